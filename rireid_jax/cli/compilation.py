"""Keeps compiled programs on disk, so that the next run starts at once.

JAX does the keeping (its persistent compilation cache). This module says where, and removes what JAX would leave: the
oldest programs, and torn ones. A program is machine code that a run executes, so the folder must be the user's own: it
is never in a work directory, which others may write to, and never one that somebody else could have filled.
"""

import contextlib
import hashlib
import logging
import os
import platform
import re
import stat
import warnings
from pathlib import Path

import jax

logger = logging.getLogger(__name__)

LIMIT_BYTES = 2**30  # the programs written least recently go beyond
_PROGRAMS = "*-cache"  # JAX's names


def keep_compiled_programs() -> None:
    """Lets JAX keep what it compiles in `$XDG_CACHE_HOME/rireid_jax`, by default `~/.cache/rireid_jax`.

    Where `JAX_COMPILATION_CACHE_DIR` is set, it alone decides, as in any program with JAX. This must be called before
    anything is compiled. A folder that cannot be written to, or that is not the user's alone, is not used; nothing
    about it ends a run.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        folder = _own_folder()
        _discard_oldest(folder)
        _discard_torn(folder)
    except (OSError, RuntimeError, ImportError) as error:  # RuntimeError: there is no home
        logger.info("compiled programs are not kept: %s", error)
        return
    # JAX compiles again what it cannot read, and does not keep what it cannot write.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # Thirty small programs take a second to compile, and a thirtieth of one to read.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _own_folder() -> Path:
    """The folder for this kind of machine, made if need be. Raises OSError where it is not the user's alone."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root).expanduser() / "rireid_jax" / f"compiled-{_machine()}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in (folder, folder.parent):
        found = path.stat()
        if hasattr(os, "getuid") and (
            found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        ):
            raise PermissionError(f"{path} is another user's, or others may write to it")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to")
    return folder


def _machine() -> str:
    """Names what programs for the CPU are compiled for, because machines that differ may share a home."""
    features = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        found = re.search(r"(?m)^(flags|Features)\s*:.*$", Path("/proc/cpuinfo").read_text())
        features += found[0] if found else ""
    return hashlib.sha256(features.encode()).hexdigest()[:8]


def _discard_oldest(folder: Path) -> None:
    # JAX's own limit (jax_compilation_cache_max_size) needs one more package, and stops writing at a torn entry.
    newest_first = sorted(
        folder.glob(_PROGRAMS), key=lambda path: path.stat().st_mtime_ns, reverse=True
    )
    total = 0
    for path in newest_first:
        total += path.stat().st_size
        if total > LIMIT_BYTES:
            path.unlink(missing_ok=True)


def _discard_torn(folder: Path) -> None:
    """Removes what a killed run has half written, which JAX would neither use nor replace."""
    from jax._src.compilation_cache import decompress_executable

    marker = folder / "checked"  # all that is older has been looked at
    checked = marker.stat().st_mtime_ns if marker.exists() else 0
    marker.touch()
    for path in folder.glob(_PROGRAMS):
        if path.stat().st_mtime_ns < checked:
            continue
        try:
            decompress_executable(path.read_bytes())
        except Exception as error:  # zlib's or Zstandard's own
            logger.info("%s is damaged and removed: %s", path, error)
            path.unlink(missing_ok=True)
