"""Checkpoints of a stage: the only module that knows Orbax.

A stage's checkpoints lie in `WORKDIR/checkpoints/STAGE/STEP`. Saving is asynchronous and atomic: a killed run leaves
the checkpoints it had. A checkpoint holds two items, "variables" (parameters and running statistics, which evaluation
and later stages read) and "progress" (step and optimizer state), and a checksum of each: Orbax notices a torn file,
but not a changed byte in a file of values.
"""

import logging
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from etils import epath
from orbax.checkpoint import v1 as ocp

from rireid_jax import distributed
from rireid_jax.errors import UserError
from rireid_jax.training.checkpoint_files import BEST_METRIC, damaged_scores, full_disk_is_named
from rireid_jax.training.state import TrainState

logger = logging.getLogger(__name__)


class Checkpoints:
    """A context manager for the checkpoints of one stage. Leaving the context waits for unfinished saves.

    All processes of a run must call the same methods at the same time.
    """

    def __init__(self, workdir: str, stage: str, keep: int = 1):
        """Opens or creates the stage's folder.

        Args:
          workdir: work directory of the run.
          stage: name of the stage.
          keep: number of latest checkpoints that are kept, in addition to the best one.

        Raises:
          UserError: the disk is full, or a checkpoint's scores are damaged.
        """
        if "://" not in workdir:
            workdir = os.path.abspath(workdir)  # Orbax takes no relative path
        self.directory = epath.Path(workdir) / "checkpoints" / stage
        self._damaged: list[int] = []  # steps
        # Every array is whole on every device. By default Orbax would have each device write a slice of it, which is
        # several times as slow and compiles a program for every shape.
        context = ocp.Context()
        context.array.saving.use_replica_parallel = False
        policy = ocp.training.preservation_policies
        best = policy.BestN(
            get_metric_fn=lambda metrics: metrics[BEST_METRIC],
            n=1,
            keep_checkpoints_without_metrics=False,
        )
        try:
            with full_disk_is_named(self.directory):
                self._checkpointer = ocp.training.Checkpointer(
                    self.directory,
                    context=context,
                    preservation_policy=policy.AnyPreservationPolicy(
                        policies=[policy.LatestN(n=keep), best]
                    ),
                )
        except ValueError:
            for path in damaged_scores(self.directory):
                raise UserError(
                    f"{path}: found damaged, expected JSON with {BEST_METRIC}; delete the folder {path.parent}, "
                    "the checkpoint is whole without"
                ) from None
            raise

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with full_disk_is_named(self.directory):
                self._checkpointer.close()
        except Exception:
            if kind is None:  # else the error under way says more
                raise

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, in increasing order."""
        # The first process decides: on shared storage, others may see a folder some seconds late.
        return distributed.from_first(
            lambda: sorted(c.step for c in self._checkpointer.checkpoints)
        )

    def best_step(self) -> int | None:
        """Returns the step of the best checkpoint; None if none was evaluated."""
        scored = {
            c.step: c.metrics[BEST_METRIC] for c in self._checkpointer.checkpoints if c.metrics
        }
        return distributed.from_first(
            lambda: max(scored, key=lambda step: scored[step], default=None)
        )

    def save(self, state: TrainState, step: int, metrics: dict[str, float] | None = None) -> None:
        """Starts to save a state. Its arrays may be donated as soon as this returns.

        Args:
          state: state on all devices.
          step: step of the state, which the caller knows without waiting for the device.
          metrics: scores of this state, if it was evaluated.

        Raises:
          UserError: the disk is full, now or while the previous checkpoint was written.
        """
        items = {
            "variables": {"params": state.params, "batch_stats": state.batch_stats},
            "progress": {"step": state.step, "opt_state": state.opt_state},
        }
        with full_disk_is_named(self.directory):
            while self._damaged:  # not earlier: perhaps only the reading failed
                self._checkpointer.delete(self._damaged.pop())
            self._checkpointer.save_checkpointables_async(
                step,
                items,
                metrics=metrics,
                custom_metadata={"checksums": {k: _checksum(v) for k, v in items.items()}},
                force=True,
            )

    def wait(self) -> None:
        """Waits until all saves are on disk. Raises UserError if the disk is full."""
        with full_disk_is_named(self.directory):
            self._checkpointer.wait()

    def restore(self, abstract: TrainState) -> TrainState | None:
        """Loads the latest readable checkpoint with the shardings of `abstract`; returns None if there is none.

        A damaged checkpoint is skipped with a warning, and the next save removes it.

        Args:
          abstract: TrainState of `jax.ShapeDtypeStruct`s with shardings.

        Raises:
          UserError: the checkpoint belongs to a different network.
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
        """Loads the latest readable checkpoint; returns (step, variables as from `load_variables`).

        Raises:
          UserError: there is no readable checkpoint.
        """
        for step in reversed(self.steps):
            variables = self._load_variables(step)
            if variables is not None:
                return step, variables
        raise self._no_checkpoint("checkpoint")

    def load_variables(self, step: int) -> dict[str, Any]:
        """Loads parameters and running statistics: {"params": ..., "batch_stats": ...}.

        Raises:
          UserError: there is no checkpoint of this step, or it cannot be read.
        """
        variables = self.find_variables(step)
        if variables is None:
            raise self._no_checkpoint(f"checkpoint of step {step}")
        return variables

    def find_variables(self, step: int) -> dict[str, Any] | None:
        """Does what `load_variables` does, but returns None if the checkpoint is missing or damaged."""
        return self._load_variables(step) if step in self.steps else None

    def _load_variables(self, step: int) -> dict[str, Any] | None:
        saved = self._describe(step)
        if saved is None:
            return None
        # The abstract trees come from the checkpoint itself, because a reader need not have the network or optimizer.
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
            saved.metadata["variables"],
        )
        loaded = self._load(saved, {"variables": abstract})
        return None if loaded is None else {"params": {}, "batch_stats": {}, **loaded["variables"]}

    def _describe(self, step: int) -> ocp.training.CheckpointMetadata[dict[str, Any]] | None:
        """Reads the metadata of a checkpoint (trees, checksums); warns and returns None if it is damaged."""
        try:
            saved = self._checkpointer.checkpointables_metadata(step)
            if saved.commit_timestamp_nsecs is None or saved.metadata["variables"] is None:
                raise ValueError("its metadata cannot be read")
        except Exception as error:  # Orbax and TensorStore raise many kinds for a torn file
            self._warn_of_damage(step, error)
            return None
        return saved

    def _load(self, saved: Any, items: dict[str, Any]) -> dict[str, Any] | None:
        """Loads items of a checkpoint; warns and returns None if one differs from what was saved."""
        try:
            loaded = self._checkpointer.load_checkpointables(saved.step, items)
            for name in items:
                if _checksum(loaded[name]) != saved.custom_metadata["checksums"][name]:
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
    """Computes CRC-32 over the leaves of a tree in order. The arrays may be on any device."""

    def of_leaf(leaf: Any) -> int:
        return zlib.crc32(np.asarray(leaf).reshape(-1).view(np.uint8).data)

    with ThreadPoolExecutor() as pool:  # zlib releases the interpreter's lock
        each = list(pool.map(of_leaf, jax.tree.leaves(tree)))
    return zlib.crc32(np.array(each, "<u4").tobytes())


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
