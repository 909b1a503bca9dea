"""Trains one stage to its end, from its latest checkpoint if it has one."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.components import LOSSES
from rireid_jax.data.augmentation import Augmentation
from rireid_jax.data.build import Built
from rireid_jax.data.keyed_random import stage_seed
from rireid_jax.data.loader import train_batches
from rireid_jax.distributed import StopRequest
from rireid_jax.errors import UserError
from rireid_jax.models.network import Network, create_network, variable_shapes
from rireid_jax.parallel import AXIS, Parallel
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.initial import Variables, initial_variables
from rireid_jax.training.optimizer import create_optimizer
from rireid_jax.training.state import TrainState, create_state
from rireid_jax.training.step import Metrics, make_train_step
from rireid_jax.training.terms import mean_over_steps
from rireid_jax.training.trace import Trace

logger = logging.getLogger(__name__)

Evaluate = Callable[[Variables], dict[str, float]]
Timed = Callable[[float, int], None]
# What is timed to tell how long training takes. Less says little: batches have queued up while the first step compiled.
_TIMED_STEPS, _TIMED_SECONDS = 3, 1.0


@runtime_checkable
class MetricsLog(Protocol):
    """The log of a run's metrics (`runs.metrics`)."""

    def write(self, record: dict[str, Any]) -> None:
        """Adds the metrics of one log period."""

    def rewind(self, stage: str, step: int) -> None:
        """Removes what a stage logged after `step`, from which it resumes."""


class Stopped(Exception):
    """Raised after training was asked to stop and has saved its state."""


def num_steps(config: ConfigDict, stage: str, num_images: int) -> tuple[int, int]:
    """Returns (steps per epoch, steps of the stage). An epoch has as many full batches as the images fill, or one."""
    per_epoch = max(1, num_images // config.batch_size)
    return per_epoch, per_epoch * config.stages[stage].epochs


def finished_variables(
    config: ConfigDict, workdir: str, stage: str, num_images: int
) -> Variables | None:
    """Loads the variables with which a stage ended; None unless its last checkpoint is intact."""
    with Checkpoints(workdir, stage) as checkpoints:
        found = checkpoints.find_variables(num_steps(config, stage, num_images)[1])
    return jax.device_get(found)  # so that no device holds it until a later stage needs it


def train_stage(
    config: ConfigDict,
    stage: str,
    *,
    workdir: str,
    data: Built,
    num_classes: int,
    parallel: Parallel,
    log: MetricsLog,
    stop: StopRequest,
    evaluate: Evaluate | None = None,
    timed: Timed | None = None,
    trained: Mapping[str, Variables] | None = None,
) -> Variables:
    """Trains a stage to its end, from its latest checkpoint if there is one, and saves a last checkpoint.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      workdir: work directory for the checkpoints; it also holds those of earlier stages.
      data: built data set of the stage.
      num_classes: number of identities of the classifier.
      parallel: the devices.
      log: log that gets one record per log period.
      stop: request that says when to save and stop.
      evaluate: function that scores variables during the stage, to find the best checkpoint
        (`config.eval.every_epochs`).
      timed: function that is told once, after the first steps, how many seconds a step takes and how many steps are
        left. It is not called if the stage pauses or ends before there are enough.
      trained: final variables of earlier stages that are still in memory, by stage.

    Returns:
      The final variables of the stage, on the host.

    Raises:
      Stopped: training was asked to stop, and the state is saved.
      UserError: the loss is not finite, or the disk is full. Earlier checkpoints are kept.
    """
    source = data.splits["train"]
    steps_per_epoch, total = num_steps(config, stage, len(source))
    network = create_network(config, stage, num_classes, AXIS)
    optimizer, schedules = create_optimizer(config, stage, steps_per_epoch)
    step_fn = parallel.train_step(make_train_step(config, stage, network, optimizer, AXIS))
    evaluate_every = config.eval.every_epochs * steps_per_epoch if evaluate else 0

    with Checkpoints(workdir, stage, config.checkpoint.keep) as checkpoints:
        train = tuple(config.stages[stage].train)
        state = _latest_state(config, checkpoints, network, optimizer, train, parallel)
        if state is None:
            variables = initial_variables(config, stage, workdir, num_classes, trained)
            state = parallel.replicate(create_state(variables, optimizer, train))
        start = _agreed_step(stage, int(state.step))
        log.rewind(stage, start)
        if start:
            logger.info("%s: resumes at step %d of %d", stage, start, total)
        progress = _Progress(config, stage, schedules, total, steps_per_epoch, log, timed)

        with (
            _batches(config, stage, data, start, parallel) as batches,
            Trace(config.profile, workdir, stage) as trace,
        ):
            for step in range(start + 1, total + 1):
                trace.before(step)
                with jax.transfer_guard("disallow"):  # every transfer has to be explicit
                    state, metrics = step_fn(state, parallel.split_for_training(next(batches)))
                    progress.add(step, metrics)
                trace.after(step, metrics)
                stopping = stop.now()
                scoring = bool(evaluate_every) and (step % evaluate_every == 0 or step == total)
                due = step == total or step % config.checkpoint.every_steps == 0
                if stopping or scoring or due:
                    progress.flush()  # raises first, so that no state with NaN or infinity is saved
                    scores = evaluate(_variables(state)) if scoring and evaluate else None
                    checkpoints.save(parallel.replicate(state), step, scores)
                    if stopping and step < total:
                        checkpoints.wait()
                        raise Stopped(f"{stage}: stopped at step {step} of {total}, saved")
        checkpoints.wait()
    return jax.device_get(_variables(state))


def _variables(state: TrainState) -> Variables:
    return {"params": state.params, "batch_stats": state.batch_stats}


def _latest_state(
    config: ConfigDict,
    checkpoints: Checkpoints,
    network: Network,
    optimizer: optax.GradientTransformation,
    train: tuple[str, ...],
    parallel: Parallel,
) -> TrainState | None:
    """Returns the state of the latest readable checkpoint; None if there is none."""
    if not checkpoints.steps:
        return None
    shapes = jax.eval_shape(
        lambda variables: create_state(variables, optimizer, train),
        variable_shapes(network, tuple(config.data.image_size)),
    )
    return checkpoints.restore(parallel.abstract(shapes))


def _agreed_step(stage: str, start: int) -> int:
    """Returns the step at which a stage resumes.

    Raises:
      UserError: the processes have read different checkpoints.
    """
    first = distributed.from_first(lambda: start)
    if start != first:
        raise UserError(
            f"{stage}: process {distributed.index()} resumes at step {start} and the first one at {first}, expected a "
            "work directory that all processes see alike; run the same command again"
        )
    return start


def _batches(
    config: ConfigDict, stage: str, data: Built, start: int, parallel: Parallel
) -> "contextlib.closing[Any]":
    """Returns this process's batches from step `start` on; leaving the context ends the worker processes."""
    spec = config.stages[stage]
    anonymous = spec.dataset != ""  # only the config's own data set has identities
    kernel = "bicubic" if anonymous else config.data.recipe.get("kernel", "bicubic")
    augmentation = Augmentation(kernel=kernel, **spec.augmentation)
    needs = {need for name, own in spec.losses.items() if own.weight for need in LOSSES[name].needs}
    batches = train_batches(
        data.splits["train"],
        labels=None if anonymous else {pid: label for label, pid in enumerate(data.train_pids)},
        image_size=tuple(config.data.image_size),
        batch_size=config.batch_size,
        seed=stage_seed(config.seed, stage),
        start_step=start,
        augmentation=augmentation,
        images_per_identity=spec.images_per_identity,
        targets=bool(needs & {"target", "mask"}),
        resolution_scale=data.resolution_scale(spec.resolution_width),
        workers=config.data.workers,
        process_index=parallel.process_index,
        process_count=parallel.process_count,
    )
    return contextlib.closing(batches)


class _Progress:
    """Collects the metrics of the steps and logs them one period late, so that the device never waits."""

    def __init__(
        self,
        config: ConfigDict,
        stage: str,
        schedules: Mapping[str, Callable[[int], Any]],
        total: int,
        steps_per_epoch: int,
        log: MetricsLog,
        timed: Timed | None,
    ):
        self._config, self._stage, self._log = config, stage, log
        # One rate is logged: the extractor's where it learns.
        self._schedule = schedules.get("extractor") or next(iter(schedules.values()))
        self._total, self._steps_per_epoch = total, steps_per_epoch
        self._running: list[Metrics] = []
        # (last step, metrics, seconds per step) of the period that is still to be logged.
        self._waiting: tuple[int, list[Metrics], float] | None = None
        self._measured_from: tuple[float, int] | None = None  # (time, step)
        self._timed, self._timed_from = timed, (0.0, 0)  # (time, step)
        self._last_step = 0

    def add(self, step: int, metrics: Metrics) -> None:
        """Adds the metrics of a step, which may still be running."""
        self._running.append(metrics)
        # The first step is not timed because it compiles, nor one after a pause because it waits.
        if self._measured_from is None:
            jax.block_until_ready(metrics)
            self._measured_from = self._timed_from = (time.perf_counter(), step)
        self._last_step = step
        self._tell(metrics, _TIMED_SECONDS)
        if step % self._config.log_every == 0 or step == self._total:
            self._report()
            self._waiting = (step, self._running, self._seconds_a_step(step))
            self._running = []

    def flush(self) -> None:
        """Waits for all steps so far, before a pause in training.

        Raises:
          UserError: a metric of a step is not finite.
        """
        self._report()
        _averages(self._stage, self._running)
        self._tell(self._running, 0.0)  # no step follows without a pause
        self._measured_from = None

    def _tell(self, metrics: Any, at_least: float) -> None:
        """Calls `timed` once, after steps without a pause that took at least so many seconds."""
        then, first = self._timed_from
        steps = self._last_step - first
        if self._timed is None or steps < _TIMED_STEPS or time.perf_counter() - then < at_least:
            return
        jax.block_until_ready(metrics)
        self._timed((time.perf_counter() - then) / steps, self._total - self._last_step)
        self._timed = None

    def _seconds_a_step(self, step: int) -> float:
        """Returns the mean over the period that ends with `step`; NaN if no step before it was timed."""
        # It only waits for the previous step, so that the device still has this one to work on.
        jax.block_until_ready(self._running[-2:-1])
        now = time.perf_counter()
        assert self._measured_from is not None
        then, first = self._measured_from
        self._measured_from = (now, step)
        return (now - then) / (step - first) if step > first else math.nan

    def _report(self) -> None:
        if self._waiting is None:
            return
        step, steps, seconds_a_step = self._waiting
        self._waiting = None
        averages = _averages(self._stage, steps)
        with jax.transfer_guard("allow"):  # the step number goes to the device
            learning_rate = float(self._schedule(step - 1))
        record = {
            "stage": self._stage,
            "step": step,
            "epoch": step / self._steps_per_epoch,
            **averages,
            "learning_rate": learning_rate,
            "images_per_second": None
            if math.isnan(seconds_a_step)
            else self._config.batch_size / seconds_a_step,
        }
        self._log.write(record)
        _print_progress(record, self._total, seconds_a_step)


def _averages(stage: str, steps: list[Metrics]) -> dict[str, float | None]:
    """Returns the means of a period's metrics, which are fetched in one transfer; None if no example had a metric.

    Raises:
      UserError: a metric is not finite.
    """
    values = jax.device_get(steps)
    for metrics in values:
        broken = [name for name, value in metrics.items() if not np.isfinite(value).all()]
        if broken:
            raise UserError(
                f"config.stages.{stage}: {' and '.join(broken)} became {metrics[broken[0]]}, expected finite "
                "values; the checkpoints before it are kept. Try a smaller optimizer.MODULE.rate"
            )
    names = values[0] if values else ()
    return {name: mean_over_steps([metrics[name] for metrics in values]) for name in names}


def _print_progress(record: dict[str, Any], total: int, seconds_a_step: float) -> None:
    parts = [f"{record['stage']:<13} step {record['step']:>6}/{total}"]
    parts += [
        f"{name} {record[key]:.4g}"
        for name, key in (
            ("loss", "loss"),
            ("sr", "ffsr_loss"),
            ("id", "identity_loss"),
            ("triplet", "triplet_loss"),
            ("acc", "accuracy"),
        )
        if key in record
    ]
    if not math.isnan(seconds_a_step):
        left = round((total - record["step"]) * seconds_a_step)
        parts.append(f"{record['images_per_second']:.0f} images/s")
        parts.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
    logger.info("%s", "  ".join(parts))
