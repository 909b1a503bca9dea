"""The optimizer of a stage, which has a part for each module that learns."""

from collections.abc import Mapping
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from rireid_jax.components import EXTRACTORS, OPTIMIZERS, SCHEDULES


def create_optimizer(
    config: ConfigDict, stage: str, steps_per_epoch: int
) -> tuple[optax.GradientTransformation, Mapping[str, optax.Schedule]]:
    """Creates the optimizer of a stage, and the learning rate of each of its modules as a function of the step.

    Modules whose optimizers differ only in rates share one at the greatest of their rates, and the updates of the
    slower modules, and of groups of parameters with a factor, are scaled. This gives the result of PyTorch's parameter
    groups.

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
        for factor in ("stream_factor", "gate_factor"):
            alike.pop(factor, None)
        groups.setdefault(repr(sorted(alike.items())), []).append(module)
    parts, group_of, schedules = {}, {}, {}
    for modules in groups.values():
        rate = max(options[module].rate for module in modules)
        for module in modules:
            group_of[module] = modules[0]
            schedules[module] = _schedule(spec, options[module].rate, steps_per_epoch)
        first = options[modules[0]]
        optimizer = OPTIMIZERS[first.name].create(first, _schedule(spec, rate, steps_per_epoch))
        factors = {m: _factors(spec, m, options[m].rate / rate) for m in modules}
        different = any(factor != 1 for own in factors.values() for factor in own.values())
        parts[modules[0]] = (
            optax.chain(optimizer, _scaled(spec, factors)) if different else optimizer
        )
    if len(parts) == 1:
        return next(iter(parts.values())), schedules
    labels = {module: group_of[module] for module in options}
    return optax.partition(parts, lambda params: {name: labels[name] for name in params}), schedules


def _schedule(spec: ConfigDict, rate: float, steps_per_epoch: int) -> optax.Schedule:
    return SCHEDULES[spec.schedule.name].create(spec.schedule, rate, steps_per_epoch, spec.epochs)


def _factors(spec: ConfigDict, module: str, factor: float) -> dict[str, float]:
    """Returns by what the updates of each group of a module's parameters are multiplied; "" is the rest."""
    if module != "extractor":
        return {"": factor}
    own = spec.optimizer.extractor
    return {
        "": factor,
        "streams": factor * own.stream_factor,
        "gates": factor * own.gate_factor,
    }


def _scaled(
    spec: ConfigDict, factors: Mapping[str, Mapping[str, float]]
) -> optax.GradientTransformation:
    """Returns a transformation that scales the updates of some modules, and of groups of their parameters."""

    def scale(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        module, *names = (key.key for key in path)
        own = factors[module]
        group = EXTRACTORS[spec.extractor].rate_group(tuple(names)) if len(own) > 1 else ""
        return leaf if own[group] == 1 else own[group] * leaf

    def update(updates: optax.Updates, _: optax.Params | None) -> optax.Updates:
        return jax.tree.map_with_path(scale, updates)

    return optax.stateless(update)
