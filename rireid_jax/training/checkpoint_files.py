"""Handles checkpoint files without Orbax: copies, leftovers of killed runs, and a full disk."""

import errno
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from etils import epath

from rireid_jax import distributed
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)

BEST_METRIC = "rank1"  # the best checkpoint of a stage has the highest value
_COMMITTED = "commit_success.txt"  # Orbax writes it last


@distributed.by_first
def remove_unfinished(workdir: str) -> None:
    """Removes the unfinished checkpoints of a killed run, and score files that a power failure has damaged.

    Only the run that holds the lock of the work directory may call this, because an unfinished checkpoint looks the
    same as one that is being saved. (Orbax can do this when it opens a folder, but in a thread that continues after the
    folder is closed.)
    """
    checkpoints = epath.Path(workdir) / "checkpoints"
    for path in checkpoints.glob("*/*.orbax-checkpoint-tmp"):
        path.rmtree()
    for stage in checkpoints.glob("*"):
        for path in damaged_scores(stage):  # Orbax cannot open a stage with damaged scores
            logger.warning("%s is damaged; the checkpoint counts as not evaluated", path)
            path.parent.rmtree()


def damaged_scores(directory: epath.Path) -> Iterator[epath.Path]:
    """Yields the score files of a stage's checkpoints that are damaged."""
    for path in directory.glob("*/metrics/metrics"):
        try:
            whole = BEST_METRIC in json.loads(path.read_text())
        except ValueError:
            whole = False
        if not whole:
            yield path


@distributed.by_first
def copy_checkpoint(source: str, workdir: str, stage: str, step: int) -> None:
    """Copies a complete checkpoint to the same stage of another work directory.

    The copy is atomic: if it is killed, no checkpoint appears.

    Args:
      source: work directory that has the checkpoint.
      workdir: work directory that gets the copy; this run must hold its lock.
      stage: name of the stage.
      step: step of the checkpoint.

    Raises:
      UserError: the disk is full.
    """
    origin = epath.Path(source) / "checkpoints" / stage / str(step)
    target = epath.Path(workdir) / "checkpoints" / stage / str(step)
    # This follows Orbax: gs:// renames a folder file by file, so there the last file marks a checkpoint as complete.
    direct = workdir.startswith("gs://")
    copy = target if direct else target.parent / f"{step}.orbax-checkpoint-tmp"
    files = sorted(_files(origin), key=lambda path: path.name == _COMMITTED)
    with full_disk_is_named(target.parent):
        for path in files:
            place = copy / path.relative_to(origin)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.copy(place, overwrite=True)
        if not direct:
            copy.rename(target)


def _files(folder: epath.Path) -> Iterator[epath.Path]:
    for path in folder.iterdir():
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


@contextmanager
def full_disk_is_named(directory: epath.Path) -> Iterator[None]:
    """Turns the many errors that mean "no space left" into one UserError."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            number = getattr(cause, "errno", None)
            text = str(cause)
            if (
                number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
                or "No space left" in text
                or "File too large" in text
                or "Disk quota exceeded" in text
            ):
                raise UserError(
                    f"{directory}: no space left to save a checkpoint; the ones before it are kept, "
                    "free some space and run the same command again"
                ) from error
            cause = cause.__cause__ or cause.__context__
        raise
