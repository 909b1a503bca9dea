"""Optimizers with step decay, as PyTorch's SGD (section 5.2) and Adam with MultiStepLR."""

from collections.abc import Sequence

import optax
from ml_collections import ConfigDict


def learning_rate(
    initial: float, decay_epochs: Sequence[int], factor: float, steps_per_epoch: int
) -> optax.Schedule:
    """A rate that is multiplied by `factor` as soon as each of `decay_epochs` epochs is complete."""
    # Two drops at one epoch multiply, as they would in MultiStepLR.
    scales: dict[int, float] = {}
    for epoch in decay_epochs:
        step = epoch * steps_per_epoch
        scales[step] = scales.get(step, 1.0) * factor
    return optax.piecewise_constant_schedule(initial, scales)


def sgd(
    schedule: optax.Schedule, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
    """torch.optim.SGD: weight decay is added to the gradient, before the momentum."""
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.sgd(schedule, momentum=momentum or None),
    )


def adam(schedule: optax.Schedule, weight_decay: float) -> optax.GradientTransformation:
    """torch.optim.Adam: weight decay is added to the gradient, before the moments."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(schedule))


def create_optimizer(
    config: ConfigDict, stage: str, steps_per_epoch: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimizer of a stage, and its learning rate as a function of the step."""
    spec, optim = config.stages[stage], config.optim
    schedule = learning_rate(
        spec.learning_rate, spec.decay_epochs, optim.decay_factor, steps_per_epoch
    )
    if spec.optimizer == "adam":
        optimizer = adam(schedule, spec.weight_decay)
    else:
        optimizer = sgd(schedule, optim.momentum, spec.weight_decay)
    if spec.super_resolution_rate != 1:
        optimizer = optax.chain(optimizer, _scaled_module(spec.super_resolution_rate))
    return optimizer, schedule


def _scaled_module(rate: float) -> optax.GradientTransformation:
    """Scales the updates of "super_resolution", as a parameter group of its own would in PyTorch."""

    def update(updates: optax.Updates, _: optax.Params | None) -> optax.Updates:
        return {
            name: optax.tree.scale(rate, module) if name == "super_resolution" else module
            for name, module in updates.items()
        }

    return optax.stateless(update)
