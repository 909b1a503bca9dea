"""Trains one stage from where it stands to its end."""

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
from rireid_jax.data.loader import train_batches
from rireid_jax.distributed import StopRequest
from rireid_jax.errors import UserError
from rireid_jax.models.network import (
    Network,
    create_network,
    initialise,
    variable_shapes,
    zero_variables,
)
from rireid_jax.parallel import AXIS, Parallel
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.optimizer import create_optimizer
from rireid_jax.training.state import TrainState, create_state
from rireid_jax.training.step import Metrics, make_train_step
from rireid_jax.training.trace import Trace
from rireid_jax.weights import load_backbone

logger = logging.getLogger(__name__)

Variables = dict[str, dict[str, Any]]
Evaluate = Callable[[Variables], dict[str, float]]


@runtime_checkable
class MetricsLog(Protocol):
    """Where a run's metrics go (`runs.metrics`)."""

    def write(self, record: dict[str, Any]) -> None:
        """Adds what one log period measured."""

    def rewind(self, stage: str, step: int) -> None:
        """Forgets what a stage logged after `step`, where it now resumes."""


class Stopped(Exception):
    """Training was asked to stop, and has saved."""


def num_steps(config: ConfigDict, stage: str, num_images: int) -> tuple[int, int]:
    """(steps of an epoch, steps of the stage). An epoch is as many full batches as the images fill."""
    per_epoch = max(1, num_images // config.batch_size)
    return per_epoch, per_epoch * config.stages[stage].epochs


def finished_variables(
    config: ConfigDict, workdir: str, stage: str, num_images: int
) -> Variables | None:
    """What a stage ended with, from the work directory; None unless its last checkpoint is whole."""
    with Checkpoints(workdir, stage) as checkpoints:
        return checkpoints.find_variables(num_steps(config, stage, num_images)[1])


def initial_variables(
    config: ConfigDict,
    stage: str,
    workdir: str,
    num_classes: int,
    trained: Mapping[str, Variables] | None = None,
) -> Variables:
    """What a stage starts from: random modules, and those that `config.stages[stage].init` names.

    An extractor that starts from no stage has its stem and streams from `config.init.backbone`, if given.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      workdir: with the checkpoints of the stages that this one starts from.
      num_classes: identities of the classifier.
      trained: what earlier stages ended with, where that is in memory.

    Raises:
      UserError: a stage that it starts from is not in the work directory, or its last checkpoint is
        damaged; the backbone does not fit.
    """
    network = create_network(config, stage, num_classes)
    variables = initialise(network, config.seed, tuple(config.data.image_size))
    if starts_from_backbone(config, stage):
        report = load_backbone(config.init.backbone, network, variables)
        logger.info("%s: starts from %s, %s", stage, config.init.backbone, report)
    for module, source in config.stages[stage].init.items():
        if not source:
            continue
        if trained and source in trained:
            loaded = trained[source]
        else:
            loaded = _last_variables(workdir, source, f"config.stages.{stage}.init.{module}")
        part = network.modules()[module]
        for kind in ("params", "batch_stats"):
            if module in variables[kind]:
                own, given = variables[kind][module], loaded[kind][module]
                variables[kind][module] = part.adopt(own, given)
    return variables


def _last_variables(workdir: str, stage: str, field: str) -> Variables:
    with Checkpoints(workdir, stage) as checkpoints:
        step, variables = checkpoints.load_latest()
        if step != checkpoints.steps[-1]:
            raise UserError(
                f"{field}: found the last checkpoint of {stage} damaged, expected a whole one; run {stage} too "
                f"(config.run), which goes on at step {step}"
            )
    return variables


def starts_from_backbone(config: ConfigDict, stage: str) -> bool:
    """Whether the stage's extractor starts from `config.init.backbone`."""
    spec = config.stages[stage]
    return bool(config.init.backbone) and spec.extractor != "none" and not spec.init.extractor


def check_backbone(config: ConfigDict, workdir: str, num_classes: int) -> None:
    """Raises UserError now if `config.init.backbone` would not fit a stage that begins hours from now."""
    for stage in config.run:
        if starts_from_backbone(config, stage):
            with Checkpoints(workdir, stage) as checkpoints:
                begun = bool(checkpoints.steps)
            if not begun:
                network = create_network(config, stage, num_classes)
                load_backbone(config.init.backbone, network, zero_variables(network))


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
    trained: Mapping[str, Variables] | None = None,
) -> Variables:
    """Runs a stage to its end, from its latest checkpoint if there is one, and saves the last checkpoint.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      workdir: where checkpoints go, and where earlier stages' are.
      data: the stage's built data set.
      num_classes: identities of the classifier.
      parallel: the devices.
      log: receives one record a log period.
      stop: says when to save and stop.
      evaluate: scores variables on the way, for the best checkpoint (`config.eval.every_epochs`).
      trained: what earlier stages ended with, where that is in memory.

    Returns:
      What the stage ended with, on the host.

    Raises:
      Stopped: asked to stop; the state is saved.
      UserError: the loss is not finite, or the disk is full. Earlier checkpoints stay.
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
        progress = _Progress(config, stage, schedules, total, steps_per_epoch, log)

        with (
            _batches(config, stage, data, start, parallel) as batches,
            Trace(config.profile, workdir, stage) as trace,
        ):
            for step in range(start + 1, total + 1):
                trace.before(step)
                with jax.transfer_guard("disallow"):  # all that moves is moved on purpose
                    state, metrics = step_fn(state, parallel.split_for_training(next(batches)))
                    progress.add(step, metrics)
                trace.after(step, metrics)
                stopping = stop.now()
                scoring = bool(evaluate_every) and (step % evaluate_every == 0 or step == total)
                due = step == total or step % config.checkpoint.every_steps == 0
                if stopping or scoring or due:
                    progress.flush()  # a state that is not finite must not be saved
                    scores = None
                    if scoring and evaluate is not None:
                        scores = evaluate(
                            {"params": state.params, "batch_stats": state.batch_stats}
                        )
                    checkpoints.save(parallel.replicate(state), step, scores)
                    if stopping and step < total:
                        checkpoints.wait()
                        raise Stopped(f"{stage}: stopped at step {step} of {total}, saved")
        checkpoints.wait()
    return jax.device_get({"params": state.params, "batch_stats": state.batch_stats})


def _latest_state(
    config: ConfigDict,
    checkpoints: Checkpoints,
    network: Network,
    optimizer: optax.GradientTransformation,
    train: tuple[str, ...],
    parallel: Parallel,
) -> TrainState | None:
    """The state of the latest checkpoint that can be read; None if there is none."""
    if not checkpoints.steps:
        return None
    shapes = jax.eval_shape(
        lambda variables: create_state(variables, optimizer, train),
        variable_shapes(network, tuple(config.data.image_size)),
    )
    return checkpoints.restore(parallel.abstract(shapes))


def _agreed_step(stage: str, start: int) -> int:
    """The step that a stage resumes at. Raises UserError where processes have read different checkpoints."""
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
    """This process's batches from step `start` on; leaving the context ends the workers."""
    spec = config.stages[stage]
    anonymous = spec.dataset != ""  # only the config's own data set has identities
    one = spec.resolution_width
    kernel = "bicubic" if anonymous else config.data.recipe.get("kernel", "bicubic")
    augmentation = Augmentation(kernel=kernel, **spec.augmentation)
    needs = {need for name, own in spec.losses.items() if own.weight for need in LOSSES[name].needs}
    batches = train_batches(
        data.splits["train"],
        labels=None if anonymous else {pid: label for label, pid in enumerate(data.train_pids)},
        image_size=tuple(config.data.image_size),
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=start,
        augmentation=augmentation,
        images_per_identity=spec.images_per_identity,
        targets="target" in needs,
        resolution_scale=data.width_max / one if one else 1.0,
        workers=config.data.workers,
        process_index=parallel.process_index,
        process_count=parallel.process_count,
    )
    return contextlib.closing(batches)


class _Progress:
    """Collects the steps' metrics and logs them one period late, so that the device never waits."""

    def __init__(
        self,
        config: ConfigDict,
        stage: str,
        schedules: Mapping[str, Callable[[int], Any]],
        total: int,
        steps_per_epoch: int,
        log: MetricsLog,
    ):
        self._config, self._stage, self._log = config, stage, log
        # Of the module that the stage is about: the last that inference passes.
        self._schedule = jax.jit(list(schedules.values())[-1])
        self._total, self._steps_per_epoch = total, steps_per_epoch
        self._running: list[Metrics] = []
        self._waiting: tuple[int, list[Metrics], float] | None = None  # and seconds a step
        self._measured_from: tuple[float, int] | None = None  # time, step

    def add(self, step: int, metrics: Metrics) -> None:
        """Takes the metrics of a step, which may still be running."""
        self._running.append(metrics)
        if self._measured_from is None:  # the first step compiles, and one after a pause waits
            jax.block_until_ready(metrics)
            self._measured_from = (time.perf_counter(), step)
        if step % self._config.log_every == 0 or step == self._total:
            self._report()
            self._waiting = (step, self._running, self._seconds_a_step(step))
            self._running = []

    def flush(self) -> None:
        """Waits for all steps so far and raises UserError if one was not finite. What follows is a pause."""
        self._report()
        _averages(self._stage, self._running)
        self._measured_from = None

    def _seconds_a_step(self, step: int) -> float:
        """Over the period that `step` ends; not a number if it is the first that is measured."""
        # Until the step before is done: the host is not ahead then, and the device has this one to do.
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
        with jax.transfer_guard("allow"):  # of the step's number
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


def _averages(stage: str, steps: list[Metrics]) -> dict[str, float]:
    """The means of a period's metrics, in one transfer; refuses what is not finite."""
    values = jax.device_get(steps)
    for metrics in values:
        broken = [name for name, value in metrics.items() if not np.isfinite(value)]
        if broken:
            raise UserError(
                f"config.stages.{stage}: {' and '.join(broken)} became {metrics[broken[0]]}, expected finite "
                "values; the checkpoints before it are kept. Try a smaller learning_rate"
            )
    names = values[0] if values else ()
    return {name: float(np.mean([metrics[name] for metrics in values])) for name in names}


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
