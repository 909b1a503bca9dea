"""Starts the command in forks of a process that has imported everything, which saves the seconds that this takes."""

import errno
import multiprocessing
import os
import re
import resource
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from command import ROOT

# Imports alone: JAX starts its threads with the first device, which every fork has for itself.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["rireid_jax.main", "rireid_jax.runs.run"])


def error_line(output: Path, *flags: str | Path) -> str:
    """The one line that the command prints for a user's mistake in its flags."""
    process = start(*flags, output=output)
    process.join()
    text = output.read_text()
    assert process.exitcode == 2, text
    assert len(text.splitlines()) == 1, text
    assert text.startswith("error: ")
    return text.removeprefix("error: ").removesuffix("\n")


def start(
    *flags: str | Path,
    output: Path,
    compiled: str | Path = os.environ["JAX_COMPILATION_CACHE_DIR"],
    full: str = "",
    spared: int = 0,
    file_size: int = resource.RLIM_INFINITY,
) -> ForkServerProcess:
    """Starts the command on one device, with fast compilation.

    Args:
      flags: of the command.
      output: file that gets what it prints.
      compiled: folder of compiled programs.
      full: pattern of files that there is no space for when they are opened to be written.
      spared: times that there is.
      file_size: bytes that a file may have.
    """
    limits = (full, spared, file_size)
    process = _CONTEXT.Process(
        target=_run, args=([str(flag) for flag in flags], output, str(compiled), *limits)
    )
    process.start()
    return process


def _run(
    flags: list[str], output: Path, compiled: str, full: str, spared: int, file_size: int
) -> None:
    with output.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(ROOT)
    sys.argv = ["rireid_jax", *flags]
    # As `command.environment` sets them; the import of JAX has read the variables.
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 1)
    jax.config.update("jax_compilation_cache_dir", compiled)
    from rireid_jax.main import main

    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    if full:
        _fill_the_disk(full, spared)
    main()


def _fill_the_disk(pattern: str, spared: int) -> None:
    def refuse(event: str, arguments: tuple) -> None:
        if event != "open" or not re.search(pattern, str(arguments[0])):
            return
        _, mode, flags = arguments
        if not set(mode or "") & set("wax") and not flags & (os.O_WRONLY | os.O_RDWR):
            return
        nonlocal spared
        spared -= 1
        if spared < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), arguments[0])

    sys.addaudithook(refuse)
