"""Checkpoints of a stage: the only module that knows Orbax.

A stage's checkpoints lie in `WORKDIR/checkpoints/STAGE/STEP`. Saving is asynchronous and atomic: a run that
is killed leaves the checkpoints it had. A checkpoint holds two items, "variables" (parameters and running
statistics, what evaluation and later stages read) and "progress" (step and optimizer state).
"""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
from etils import epath
from orbax.checkpoint import v1 as ocp

from rireid_jax.errors import UserError
from rireid_jax.training.state import TrainState

logger = logging.getLogger(__name__)

BEST_METRIC = (
    "rank1"  # a stage's best checkpoint, where it is evaluated on the way, has the most of it
)

_COMMITTED = "commit_success.txt"  # Orbax writes it last


class Checkpoints:
    """The checkpoints of one stage. A context manager: leaving it waits for what is being saved."""

    def __init__(self, workdir: str, stage: str, keep: int = 1):
        """Opens or creates the stage's folder.

        Args:
          workdir: of the run.
          stage: its name.
          keep: latest checkpoints kept; the best is kept beside them.
        """
        if "://" not in workdir:
            workdir = os.path.abspath(workdir)  # Orbax takes no relative path
        self.directory = epath.Path(workdir) / "checkpoints" / stage
        self._damaged: list[int] = []  # steps
        policy = ocp.training.preservation_policies
        best = policy.BestN(
            get_metric_fn=lambda metrics: metrics[BEST_METRIC],
            n=1,
            keep_checkpoints_without_metrics=False,
        )
        with _full_disk_is_named(self.directory):
            self._checkpointer = ocp.training.Checkpointer(
                self.directory,
                preservation_policy=policy.AnyPreservationPolicy(
                    policies=[policy.LatestN(n=keep), best]
                ),
            )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with _full_disk_is_named(self.directory):
                self._checkpointer.close()
        except Exception:
            if kind is None:  # else the error under way says more
                raise

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, in increasing order."""
        return sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)

    def best_step(self) -> int | None:
        """Step of the best checkpoint; None if none was evaluated."""
        scored = [c for c in self._checkpointer.checkpoints if c.metrics]
        return max(scored, key=lambda c: c.metrics[BEST_METRIC]).step if scored else None

    def save(self, state: TrainState, step: int, metrics: dict[str, float] | None = None) -> None:
        """Starts to save; the arrays may be donated as soon as this returns.

        Args:
          state: on all devices.
          step: its step, on the host, so that nothing waits for the device to ask it.
          metrics: of an evaluation of this state.

        Raises:
          UserError: the disk is full (now, or when the save before this was written).
        """
        items = {
            "variables": {"params": state.params, "batch_stats": state.batch_stats},
            "progress": {"step": state.step, "opt_state": state.opt_state},
        }
        with _full_disk_is_named(self.directory):
            while self._damaged:  # only now: perhaps it was the reading that failed
                self._checkpointer.delete(self._damaged.pop())
            self._checkpointer.save_checkpointables_async(step, items, metrics=metrics, force=True)

    def wait(self) -> None:
        """Waits until what was saved is on disk. Raises UserError if the disk is full."""
        with _full_disk_is_named(self.directory):
            self._checkpointer.wait()

    def restore(self, abstract: TrainState) -> TrainState | None:
        """The latest checkpoint that can be read, placed as `abstract` says; None if there is none.

        A damaged checkpoint is skipped with a warning, and removed by the next save.

        Args:
          abstract: a TrainState of `jax.ShapeDtypeStruct` with shardings.

        Raises:
          UserError: the checkpoint is of another network.
        """
        items = {
            "variables": {"params": abstract.params, "batch_stats": abstract.batch_stats},
            "progress": {"step": abstract.step, "opt_state": abstract.opt_state},
        }
        for step in reversed(self.steps):
            self._refuse_another_network(step, items["variables"])
            loaded = self._load(step, items)
            if loaded is not None:
                return TrainState(**loaded["variables"], **loaded["progress"])
            self._damaged.append(step)
        return None

    def load_variables(self, step: int | None = None) -> dict[str, Any]:
        """Parameters and running statistics as saved: {"params": ..., "batch_stats": ...}.

        Args:
          step: of the checkpoint; None takes the latest that can be read.

        Raises:
          UserError: there is no such checkpoint, or none that can be read.
        """
        for candidate in reversed(self.steps) if step is None else [step]:
            if candidate not in self.steps:
                break
            # Abstract trees come from the checkpoint itself: who only reads has no optimizer, no network.
            abstract = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(
                    leaf.shape, leaf.dtype, sharding=jax.sharding.SingleDeviceSharding(_local())
                ),
                self._saved_shapes(candidate),
            )
            loaded = self._load(candidate, {"variables": abstract})
            if loaded is not None:
                return {"params": {}, "batch_stats": {}, **loaded["variables"]}
        wanted = "checkpoint" if step is None else f"checkpoint of step {step}"
        raise UserError(f"{self.directory}: found no readable {wanted}, expected one; train first")

    def _load(self, step: int, items: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return self._checkpointer.load_checkpointables(step, items)
        except Exception as error:  # Orbax and TensorStore raise many kinds for a torn file
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            reason = " ".join(str(cause).split())[:300]
            logger.warning("%s/%s is damaged and skipped: %s", self.directory, step, reason)
            return None

    def _saved_shapes(self, step: int) -> Any:
        """The tree of a checkpoint's variables; None where it is damaged."""
        try:
            return self._checkpointer.checkpointables_metadata(step).metadata["variables"]
        except Exception:  # as in `_load`, which tells
            return None

    def _refuse_another_network(self, step: int, variables: dict[str, Any]) -> None:
        saved, expected = (_shapes(tree) for tree in (self._saved_shapes(step), variables))
        for name in sorted(saved.keys() | expected.keys()) if saved else ():
            there, here = saved.get(name, "nothing"), expected.get(name, "nothing")
            if there != here:
                raise UserError(
                    f"{self.directory}/{step}: found {name} of shape {there}, expected {here}; the checkpoint is "
                    "of another network or number of identities, take a new --workdir"
                )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def remove_unfinished(workdir: str) -> None:
    """Removes what a killed run had not saved to the end.

    Only the run that holds the work directory may: to anybody else, a save under way looks the same.
    (Orbax can do it as it opens a folder, but in a thread that goes on when the folder is closed again.)
    """
    for path in (epath.Path(workdir) / "checkpoints").glob("*/*.orbax-checkpoint-tmp"):
        path.rmtree()


def copy_checkpoint(source: str, workdir: str, stage: str, step: int) -> None:
    """Copies a complete checkpoint to the same stage of another work directory.

    It appears there in one go: a copy that is killed is no checkpoint.

    Args:
      source: work directory that has it.
      workdir: work directory that gets it, and that this process holds.
      stage: its name.
      step: of the checkpoint.

    Raises:
      UserError: the disk is full.
    """
    origin = epath.Path(source) / "checkpoints" / stage / str(step)
    target = epath.Path(workdir) / "checkpoints" / stage / str(step)
    # As Orbax does: on gs://, where a folder is renamed file by file, the last file makes it complete.
    direct = workdir.startswith("gs://")
    copy = target if direct else target.parent / f"{step}.orbax-checkpoint-tmp"
    files = sorted(_files(origin), key=lambda path: path.name == _COMMITTED)
    with _full_disk_is_named(target.parent):
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


def _local() -> jax.Device:
    return jax.local_devices()[0]


@contextmanager
def _full_disk_is_named(directory: epath.Path) -> Iterator[None]:
    """Turns the many shapes of "no space left" into one line."""
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
