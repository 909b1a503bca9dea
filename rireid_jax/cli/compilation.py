"""Keeps compiled programs on disk, so that the next run starts at once.

JAX does the keeping (its persistent compilation cache); here is where, for how long, and that what is damaged goes. An
entry is machine code that a run executes, so the folder is the user's own: never in a work directory, which others
may write to, and never one that somebody else could have filled.
"""

import atexit
import contextlib
import hashlib
import json
import logging
import os
import platform
import re
import stat
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import jax

logger = logging.getLogger(__name__)

LIMIT_BYTES = 2**30  # the least recently written go beyond
_ENTRIES = "*-cache"  # JAX's names
_CHECKSUMS = "checksums.json"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"


def keep_compiled_programs() -> None:
    """Lets JAX keep what it compiles in `$XDG_CACHE_HOME/rireid_jax`, by default `~/.cache/rireid_jax`.

    `JAX_COMPILATION_CACHE_DIR` names another folder, as for any program with JAX, or none if it is empty. To be called
    before anything is compiled. A folder that cannot be written to, or that is not the user's alone, is not used;
    nothing about it ends a run.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        folder = _own_folder()
        _discard_oldest(folder)
        _check(folder, discard=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        logger.info("compiled programs are not kept: %s", error)
        return
    atexit.register(_check_quietly, folder)
    # An entry that cannot be read is compiled again, and one that cannot be written is not kept.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # Thirty small programs take a second together, and a thirtieth of one to read.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _own_folder() -> Path:
    """The folder for this kind of machine, made if need be. Raises OSError where it is not the user's alone."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "rireid_jax" / f"compiled-{_machine()}"
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
    """Names what programs for the CPU are compiled for: a home may be shared by machines that differ."""
    features = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        found = re.search(r"(?m)^(flags|Features)\s*:.*$", Path("/proc/cpuinfo").read_text())
        features += found[0] if found else ""
    return hashlib.sha256(features.encode()).hexdigest()[:8]


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """What is there now; another run may remove some at any time."""
    for path in sorted(folder.glob(_ENTRIES)):
        with contextlib.suppress(FileNotFoundError):
            yield path, path.stat()


def _check(folder: Path, discard: bool) -> None:
    """Notes the checksums of whole entries; those known before are known to be whole if they still agree.

    A killed run or a full disk leaves torn ones, which JAX would never replace. They are discarded before a run, and
    not at its end, when another one may be writing them.
    """
    known, whole = _read_checksums(folder), {}
    for path, _ in _entries(folder):
        data = path.read_bytes()
        checksum = zlib.crc32(data)
        if checksum == known[path.name] if path.name in known else _unpacks(data):
            whole[path.name] = checksum
        elif discard:
            logger.info("%s is damaged and removed", path)
            path.unlink(missing_ok=True)
    draft = folder / f"{_CHECKSUMS}.{os.getpid()}"
    draft.write_text(json.dumps(whole))
    draft.replace(folder / _CHECKSUMS)


def _check_quietly(folder: Path) -> None:
    with contextlib.suppress(OSError):
        _check(folder, discard=False)


def _unpacks(data: bytes) -> bool:
    try:
        if data.startswith(_ZSTANDARD):  # JAX takes it where it is installed
            import zstandard

            zstandard.ZstdDecompressor().decompress(data)
        else:
            zlib.decompress(data)
    except ImportError:
        return True
    except Exception:  # each library has exceptions of its own
        return False
    return True


def _discard_oldest(folder: Path) -> None:
    total = 0
    for path, found in sorted(_entries(folder), key=lambda entry: -entry[1].st_mtime_ns):
        total += found.st_size
        if total > LIMIT_BYTES:
            path.unlink(missing_ok=True)


def _read_checksums(folder: Path) -> dict[str, int]:
    try:
        return dict(json.loads((folder / _CHECKSUMS).read_text()))
    except (OSError, ValueError, TypeError):
        return {}
