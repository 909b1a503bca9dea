"""Trains one stage to its end, from its latest checkpoint if it has one."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
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
from rireid_jax.training.progress import MetricsLog, Progress, Rest, Timed, told_every_minute
from rireid_jax.training.state import TrainState, create_state
from rireid_jax.training.step import make_train_step
from rireid_jax.training.trace import Trace

logger = logging.getLogger(__name__)

Evaluate = Callable[[Variables], dict[str, float]]


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
    rest: Rest | None = None,
    trained: Mapping[str, Variables] | None = None,
    begin: Variables | None = None,
) -> Variables:
    """Trains a stage to its end, from its latest checkpoint if there is one, and saves a last one.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      workdir: folder of the checkpoints, also of those of earlier stages.
      data: built data set of the stage.
      num_classes: number of identities of the classifier.
      parallel: the devices.
      log: log that gets one record per log period.
      stop: request that says when to save and stop.
      evaluate: function that scores variables every `config.eval.every_epochs`, to find the best checkpoint.
      timed: function that is told once, unless the stage is too short, the seconds of a step and the steps left.
      rest: function that says, from the same two numbers, how long the whole run still takes.
      trained: final variables of earlier stages that are still in memory, by stage.
      begin: as `initial_variables` takes it.

    Returns:
      The final variables, on the host.

    Raises:
      Stopped: training was asked to stop, and the state is saved.
      UserError: the loss is not finite, or the disk is full. Earlier checkpoints are kept.
    """
    steps_per_epoch, total = num_steps(config, stage, len(data.splits["train"]))
    network = create_network(config, stage, num_classes, AXIS)
    optimizer, schedules = create_optimizer(config, stage, steps_per_epoch)
    step_fn = parallel.train_step(make_train_step(config, stage, network, optimizer, AXIS))
    evaluate_every = config.eval.every_epochs * steps_per_epoch if evaluate else 0
    with Checkpoints(workdir, stage, config.checkpoint.keep) as checkpoints:
        train = tuple(config.stages[stage].train)
        state = _latest_state(config, checkpoints, network, optimizer, train, parallel)
        if state is None:
            initial = initial_variables(config, stage, workdir, num_classes, trained, begin)
            state = parallel.replicate(create_state(initial, optimizer, train))
        start = _agreed_step(stage, int(state.step), total)
        log.rewind(stage, start)
        progress = Progress(config, stage, schedules, total, steps_per_epoch, log, timed, rest)
        with (
            progress,
            _batches(config, stage, data, start, parallel) as batches,
            Trace(config.profile, workdir, stage) as trace,
        ):
            for step in range(start + 1, total + 1):
                trace.before(step)
                with _watched(stage, step == start + 1):
                    state, metrics = step_fn(state, parallel.split_for_training(next(batches)))
                    progress.add(step, metrics)
                stop.unsaved = True
                trace.after(step, metrics)
                stopping, last = stop.now(), step == total
                scoring = bool(evaluate_every) and (last or step % evaluate_every == 0)
                if stopping or scoring or last or step % config.checkpoint.every_steps == 0:
                    progress.flush()  # raises first, so that no state with NaN or infinity is saved
                    scores = evaluate(_variables(state)) if scoring and evaluate else None
                    checkpoints.save(parallel.replicate(state), step, scores)
                    if stopping and not last:
                        checkpoints.wait()
                        raise Stopped(f"{stage}: stopped at step {step} of {total}, saved")
        checkpoints.wait()
        stop.unsaved = False
    if stop.now():  # asked since the last step; the next stage would compile before its first one
        raise Stopped(f"{stage}: stopped at step {total} of {total}, saved")
    return jax.device_get(_variables(state))


@contextlib.contextmanager
def _watched(stage: str, first: bool) -> Iterator[None]:
    """Forbids transfers that no line asks for during a step, and logs a line a minute while the first one compiles."""
    told = told_every_minute(f"{stage}: the first step still compiles")
    with jax.transfer_guard("disallow"), told if first else contextlib.nullcontext():
        yield


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


def _agreed_step(stage: str, start: int, total: int) -> int:
    """Returns the step of `total` at which a stage resumes, and logs it.

    Raises:
      UserError: the processes have read different checkpoints.
    """
    first = distributed.from_first(lambda: start)
    if start != first:
        raise UserError(
            f"{stage}: process {distributed.index()} resumes at step {start} and the first one at {first}, expected a "
            "work directory that all processes see alike; run the same command again"
        )
    if start:
        logger.info("%s: resumes at step %d of %d", stage, start, total)
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
