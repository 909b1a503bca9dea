"""The optimizer of a stage, which has a part for each module that learns."""

from collections.abc import Mapping

import optax
from ml_collections import ConfigDict

from rireid_jax.components import OPTIMIZERS, SCHEDULES


def create_optimizer(
    config: ConfigDict, stage: str, steps_per_epoch: int
) -> tuple[optax.GradientTransformation, Mapping[str, optax.Schedule]]:
    """Creates the optimizer of a stage, and the learning rate of each of its modules as a function of the step.

    Modules whose optimizers differ only in the rate share one at the greatest of their rates, and the updates of the
    slower modules are scaled down. This gives the result of PyTorch's parameter groups.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      steps_per_epoch: number of steps in an epoch of the stage.
    """
    spec = config.stages[stage]
    options = {module: spec.optimizer[module] for module in spec.train}
    groups: dict[str, list[str]] = {}
    for module, own in options.items():
        alike = own.to_dict() | {"rate": 0.0}
        groups.setdefault(repr(sorted(alike.items())), []).append(module)
    parts, group_of, schedules = {}, {}, {}
    for modules in groups.values():
        rate = max(options[module].rate for module in modules)
        for module in modules:
            group_of[module] = modules[0]
            schedules[module] = _schedule(spec, options[module].rate, steps_per_epoch)
        first = options[modules[0]]
        optimizer = OPTIMIZERS[first.name].create(first, _schedule(spec, rate, steps_per_epoch))
        scales = {m: options[m].rate / rate for m in modules if options[m].rate != rate}
        parts[modules[0]] = optax.chain(optimizer, _scaled(scales)) if scales else optimizer
    if len(parts) == 1:
        return next(iter(parts.values())), schedules
    labels = {module: group_of[module] for module in options}
    return optax.partition(parts, lambda params: {name: labels[name] for name in params}), schedules


def _schedule(spec: ConfigDict, rate: float, steps_per_epoch: int) -> optax.Schedule:
    return SCHEDULES[spec.schedule.name].create(spec.schedule, rate, steps_per_epoch, spec.epochs)


def _scaled(scales: Mapping[str, float]) -> optax.GradientTransformation:
    """Returns a transformation that scales the updates of some modules."""

    def update(updates: optax.Updates, _: optax.Params | None) -> optax.Updates:
        return {
            name: optax.tree.scale(scales[name], module) if name in scales else module
            for name, module in updates.items()
        }

    return optax.stateless(update)
