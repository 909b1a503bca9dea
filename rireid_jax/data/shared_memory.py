"""Shared memory, through which decoding processes hand over their batches: how much they need, and what if it is short.

On Linux it is the folder /dev/shm, of which a container has 64 MiB unless it is given more. Where it is full, a process
that writes to it is killed by SIGBUS, or gets an error that reads like one of a full disk.
"""

import contextlib
import errno
import logging
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)

FOLDER = "/dev/shm"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)
# Measured of Grain 0.2.18, while the main process does not come to take a batch: two batches are in a worker's queue,
# two are read ahead of it by the main process, one is in the worker's hands and one in the main process's.
_BATCHES = 6
_BYTES_AN_IMAGE = 7  # and pixel: the image, the target and the mask
_BYTES_A_BATCH = 32 * 2**10  # of labels and the like, each in pages of its own
_BYTES_A_WORKER = 64 * 2**10  # of queues and locks


class Space(NamedTuple):
    """Bytes of shared memory."""

    free: int
    total: int

    def __str__(self) -> str:
        return f"{_readable(self.free)} free of {_readable(self.total)}"


def affordable(workers: int, batch_size: int, image_size: tuple[int, int]) -> int:
    """Returns how many of the decoding processes the shared memory suffices for, and logs a warning if not for all.

    Args:
      workers: the processes asked for.
      batch_size: images of a batch of this process.
      image_size: (height, width) of the network's input.
    """
    space = find_space() if workers else None
    if space is None:
        return workers
    height, width = image_size
    batch = _BYTES_AN_IMAGE * batch_size * height * width + _BYTES_A_BATCH
    need = _BATCHES * batch + _BYTES_A_WORKER
    fewer = min(workers, space.free // need)
    if fewer < workers:
        taken = f"{fewer} of them" if fewer else "none of them; the main process decodes"
        logger.warning(
            "config.data.workers: %d decoding processes need %s of %s, found %s: takes %s; for all, give a container "
            "more (docker run --shm-size=%s), or set config.data.workers=%d",
            *(workers, _readable(workers * need), FOLDER, space, taken),
            *(_option(workers * need), fewer),
        )
    return fewer


def find_space() -> Space | None:
    """Returns the shared memory of this machine; None where it is no folder, as on macOS."""
    if sys.platform != "linux":
        return None
    try:
        found = os.statvfs(FOLDER)
    except OSError:  # it is not there
        return Space(0, 0)
    free = found.f_bavail if os.access(FOLDER, os.W_OK) else 0
    return Space(free * found.f_frsize, found.f_blocks * found.f_frsize)


@contextlib.contextmanager
def full_memory_is_named(workers: int) -> Iterator[None]:
    """Raises UserError in place of the error that a full /dev/shm gives decoding processes."""
    try:
        yield
    except OSError as error:
        # Shared memory has a name such as /psm_1a2b, or none; a file of another disk has its path.
        elsewhere = os.path.dirname(str(error.filename or "")) not in ("", "/", FOLDER)
        if not workers or error.errno not in _FULL or elsewhere:
            raise
        raise _full(f"found no space left ({_left()})") from error


def refuse_dead(codes: Iterable[int | None], error: Exception | None = None) -> None:
    """Raises UserError if a decoding process has been killed.

    Grain tells as much when the batches that are decoded already are used up, which may take many slow steps.

    Args:
      codes: exit codes of the processes that are known; None while one lives.
      error: what Grain has raised, which has the code of a process that ended before its first batch.
    """
    codes = [code for code in codes if code]
    said = re.search(r"exit code (-?\d+)", str(error))
    if said and not codes:
        codes = [int(said[1])]
    if not codes:
        return
    if codes[0] == -signal.SIGBUS:
        raise _full(f"a decoding process ended with exit code {codes[0]} ({_left()})")
    raise UserError(
        f"config.data.workers: a decoding process ended with exit code {codes[0]}, expected all to live as long "
        "as the run; if memory ran out (-9), take fewer; run the same command again to go on"
    )


def _full(found: str) -> UserError:
    return UserError(
        f"{FOLDER}: {found}, expected room for the batches of all decoding processes; give a container more "
        "(docker run --shm-size=1g), or take fewer (--config.data.workers=0: none), and run the same command again to "
        "go on"
    )


def _left() -> str:
    return str(find_space())


def _readable(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB" if size >= 2**20 else f"{size / 2**10:,.0f} KiB"


def _option(size: int) -> str:
    """A size for Docker, rounded up."""
    return f"{-(-size // 2**20)}m"
