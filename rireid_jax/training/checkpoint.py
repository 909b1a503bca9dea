"""Checkpoints of a stage: the only module that knows Orbax.

A stage's checkpoints lie in `WORKDIR/checkpoints/STAGE/STEP`. Saving is asynchronous and atomic: a run that
is killed leaves the checkpoints it had. A checkpoint holds two items, "variables" (parameters and running
statistics, what evaluation and later stages read) and "progress" (step and optimizer state), and a checksum
of each: Orbax notices a torn file, but not a byte of an array that has changed.
"""

import errno
import json
import logging
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from etils import epath
from orbax.checkpoint import v1 as ocp

from rireid_jax import distributed
from rireid_jax.errors import UserError
from rireid_jax.training.state import TrainState

logger = logging.getLogger(__name__)

BEST_METRIC = (
    "rank1"  # a stage's best checkpoint, where it is evaluated on the way, has the most of it
)

_COMMITTED = "commit_success.txt"  # Orbax writes it last


class Checkpoints:
    """The checkpoints of one stage. A context manager: leaving it waits for what is being saved.

    Of several processes all must do the same with it at the same time.
    """

    def __init__(self, workdir: str, stage: str, keep: int = 1):
        """Opens or creates the stage's folder.

        Args:
          workdir: of the run.
          stage: its name.
          keep: latest checkpoints kept; the best is kept beside them.

        Raises:
          UserError: the disk is full, or a checkpoint's scores are damaged.
        """
        if "://" not in workdir:
            workdir = os.path.abspath(workdir)  # Orbax takes no relative path
        self.directory = epath.Path(workdir) / "checkpoints" / stage
        self._damaged: list[int] = []  # steps
        # Every array is whole on every device. By default Orbax has each device write a part of it, for which it
        # cuts all arrays into slices: several times as slow, with a program compiled for every shape.
        context = ocp.Context()
        context.array.saving.use_replica_parallel = False
        policy = ocp.training.preservation_policies
        best = policy.BestN(
            get_metric_fn=lambda metrics: metrics[BEST_METRIC],
            n=1,
            keep_checkpoints_without_metrics=False,
        )
        try:
            with _full_disk_is_named(self.directory):
                self._checkpointer = ocp.training.Checkpointer(
                    self.directory,
                    context=context,
                    preservation_policy=policy.AnyPreservationPolicy(
                        policies=[policy.LatestN(n=keep), best]
                    ),
                )
        except ValueError:
            for path in _damaged_scores(self.directory):
                raise UserError(
                    f"{path}: found damaged, expected JSON with {BEST_METRIC}; delete the folder {path.parent}, "
                    "the checkpoint is whole without"
                ) from None
            raise

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
        # As the first process sees them: on shared storage, others may see a folder some seconds late.
        return distributed.from_first(
            lambda: sorted(c.step for c in self._checkpointer.checkpoints)
        )

    def best_step(self) -> int | None:
        """Step of the best checkpoint; None if none was evaluated."""
        scored = {
            c.step: c.metrics[BEST_METRIC] for c in self._checkpointer.checkpoints if c.metrics
        }
        return distributed.from_first(
            lambda: max(scored, key=lambda step: scored[step], default=None)
        )

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
            self._checkpointer.save_checkpointables_async(
                step,
                items,
                metrics=metrics,
                custom_metadata={"checksums": {k: _checksum(v) for k, v in items.items()}},
                force=True,
            )

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
            saved = self._describe(step)
            if saved is not None:
                self._refuse_another_network(step, saved.metadata["variables"], items["variables"])
                loaded = self._load(saved, items)
                if loaded is not None:
                    return TrainState(**loaded["variables"], **loaded["progress"])
            self._damaged.append(step)
        return None

    def load_latest(self) -> tuple[int, dict[str, Any]]:
        """(step, variables as `load_variables` gives them) of the latest checkpoint that can be read.

        Raises:
          UserError: there is none.
        """
        for step in reversed(self.steps):
            variables = self._load_variables(step)
            if variables is not None:
                return step, variables
        raise self._no_checkpoint("checkpoint")

    def load_variables(self, step: int) -> dict[str, Any]:
        """Parameters and running statistics as saved: {"params": ..., "batch_stats": ...}.

        Raises:
          UserError: there is no checkpoint of this step, or it cannot be read.
        """
        variables = self.find_variables(step)
        if variables is None:
            raise self._no_checkpoint(f"checkpoint of step {step}")
        return variables

    def find_variables(self, step: int) -> dict[str, Any] | None:
        """As `load_variables`; None where there is no such checkpoint, or a damaged one."""
        return self._load_variables(step) if step in self.steps else None

    def _load_variables(self, step: int) -> dict[str, Any] | None:
        saved = self._describe(step)
        if saved is None:
            return None
        # Abstract trees come from the checkpoint itself: who only reads has no optimizer, no network.
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=jax.sharding.SingleDeviceSharding(_local())
            ),
            saved.metadata["variables"],
        )
        loaded = self._load(saved, {"variables": abstract})
        return None if loaded is None else {"params": {}, "batch_stats": {}, **loaded["variables"]}

    def _describe(self, step: int) -> ocp.training.CheckpointMetadata[dict[str, Any]] | None:
        """The trees of a checkpoint's items, and checksums; None, with a warning, where it is damaged."""
        try:
            saved = self._checkpointer.checkpointables_metadata(step)
            if saved.commit_timestamp_nsecs is None or saved.metadata["variables"] is None:
                raise ValueError("its metadata cannot be read")
        except Exception as error:  # Orbax and TensorStore raise many kinds for a torn file
            self._warn_of_damage(step, error)
            return None
        return saved

    def _load(self, saved: Any, items: dict[str, Any]) -> dict[str, Any] | None:
        """Items of a checkpoint; None, with a warning, where one is not what was saved."""
        try:
            loaded = self._checkpointer.load_checkpointables(saved.step, items)
            checksums = (saved.custom_metadata or {}).get("checksums", {})  # once there were none
            for name in items.keys() & checksums.keys():
                if _checksum(loaded[name]) != checksums[name]:
                    raise ValueError(f"the values of its {name} are not what was saved")
        except Exception as error:  # as in `_describe`
            self._warn_of_damage(saved.step, error)
            return None
        return loaded

    def _warn_of_damage(self, step: int, error: Exception) -> None:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = " ".join(str(cause).split())[:300]
        logger.warning("%s/%s is damaged and skipped: %s", self.directory, step, reason)

    def _refuse_another_network(self, step: int, saved: Any, expected: Any) -> None:
        there, here = _shapes(saved), _shapes(expected)
        for name in sorted(there.keys() | here.keys()):
            found, wanted = there.get(name, "nothing"), here.get(name, "nothing")
            if found != wanted:
                raise UserError(
                    f"{self.directory}/{step}: found {name} of shape {found}, expected {wanted}; the checkpoint is "
                    "of another network or number of identities, take a new --workdir"
                )

    def _no_checkpoint(self, wanted: str) -> UserError:
        return UserError(f"{self.directory}: found no readable {wanted}, expected one; train first")


def _checksum(tree: Any) -> int:
    """CRC-32 over the values of a tree's leaves, in their order; arrays may be on any device."""

    def of_leaf(leaf: Any) -> int:
        return zlib.crc32(np.asarray(leaf).reshape(-1).view(np.uint8).data)

    with ThreadPoolExecutor() as pool:  # zlib lets go of the interpreter's lock
        each = list(pool.map(of_leaf, jax.tree.leaves(tree)))
    return zlib.crc32(np.array(each, "<u4").tobytes())


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


@distributed.by_first
def remove_unfinished(workdir: str) -> None:
    """Removes what a killed run had not saved to the end, and scores that a power failure has torn.

    Only the run that holds the work directory may: to anybody else, a save under way looks the same.
    (Orbax can do it as it opens a folder, but in a thread that goes on when the folder is closed again.)
    """
    checkpoints = epath.Path(workdir) / "checkpoints"
    for path in checkpoints.glob("*/*.orbax-checkpoint-tmp"):
        path.rmtree()
    for stage in checkpoints.glob("*"):
        for path in _damaged_scores(stage):  # with them, Orbax would not open the stage
            logger.warning("%s is damaged; the checkpoint counts as not evaluated", path)
            path.parent.rmtree()


def _damaged_scores(directory: epath.Path) -> Iterator[epath.Path]:
    """Files of a stage's checkpoints that should tell how good they are, and do not."""
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
