"""Where the shards of a build lie until it is complete, so that one that is interrupted goes on where it was."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import IO
from uuid import uuid4

from etils import epath

_STAMP = "stamp"  # what its shards are made from
_LOCK = ".lock"


@contextlib.contextmanager
def unfinished_folder(place: epath.Path, stamp: str) -> Iterator[epath.Path]:
    """Holds the folder in which a build writes its shards, next to that of the finished data set.

    Whoever ends the process, by Ctrl-C or by `kill -9`, the next build of the same finds the shards there. An error
    takes the folder away, and so does the end of the build.

    Two processes may build the same at once: the second one has a folder of its own, of which nothing is kept. So has
    every build where no file can be locked, as in an object store.

    Args:
      place: of the finished data set.
      stamp: what the shards are a function of; those of another stamp are removed.
    """
    folder = place.parent / f"building-{place.name}"
    lock = _lock(folder)
    if lock is None:
        folder = place.parent / f"building-{place.name}.{uuid4().hex[:8]}"
        folder.mkdir(parents=True)
    elif not _has(folder, stamp):
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.rmtree() if path.is_dir() else path.unlink()
        (folder / _STAMP).write_text(stamp)
    finished = False
    try:
        yield folder
        finished = True
    except Exception:
        finished = True
        raise
    finally:
        if finished or lock is None:
            folder.rmtree(missing_ok=True)
        if lock is not None:
            lock.close()


def _has(folder: epath.Path, stamp: str) -> bool:
    path = folder / _STAMP
    return path.exists() and path.read_text() == stamp


def _lock(folder: epath.Path) -> IO[str] | None:
    """The open lock of a folder, made if need be; None where another process has it, or none can be had."""
    if "://" in str(folder):
        return None
    path = os.path.join(folder, _LOCK)
    os.makedirs(folder, exist_ok=True)
    file = open(path, "a")  # noqa: SIM115 closed by the caller
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The process that had it may have removed the folder meanwhile.
        if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            return file
    except OSError:
        pass
    file.close()
    return None
