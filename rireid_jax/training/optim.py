"""Optimizers with step decay and warm-up, as PyTorch's SGD (section 5.2) and Adam with MultiStepLR."""

from collections.abc import Sequence

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict


def learning_rate(
    initial: float,
    decay_epochs: Sequence[int],
    factor: float,
    steps_per_epoch: int,
    warmup_epochs: int = 0,
) -> optax.Schedule:
    """A rate that is multiplied by `factor` as soon as each of `decay_epochs` epochs is complete.

    Over the first `warmup_epochs` it rises linearly from step to step, and their last step has the whole rate.
    """
    # Two drops at one epoch multiply, as they would in MultiStepLR.
    scales: dict[int, float] = {}
    for epoch in decay_epochs:
        step = epoch * steps_per_epoch
        scales[step] = scales.get(step, 1.0) * factor
    decayed = optax.piecewise_constant_schedule(initial, scales)
    if not warmup_epochs:
        return decayed
    warmup_steps = warmup_epochs * steps_per_epoch
    return lambda step: decayed(step) * jnp.minimum((step + 1) / warmup_steps, 1)


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
        spec.learning_rate,
        spec.decay_epochs,
        optim.decay_factor,
        steps_per_epoch,
        spec.warmup_epochs,
    )
    if spec.optimizer == "adam":
        optimizer = adam(schedule, spec.weight_decay)
    else:
        optimizer = sgd(schedule, optim.momentum, spec.weight_decay)
    if spec.super_resolution_rate != 1:
        optimizer = optax.chain(optimizer, _scaled_module(spec.super_resolution_rate))
    if "discriminator" in spec.train:
        adversaries = learning_rate(
            optim.adversarial_rate, spec.decay_epochs, optim.decay_factor, steps_per_epoch
        )
        optimizer = _with_adversaries(optimizer, optax.adam(adversaries))
    return optimizer, schedule


def _with_adversaries(
    optimizer: optax.GradientTransformation, adversarial: optax.GradientTransformation
) -> optax.GradientTransformation:
    """`adversarial` for what is restored with and against, `optimizer` for the extractor."""

    def kinds(params: optax.Params) -> dict[str, str]:
        return {name: "own" if name == "extractor" else "adversarial" for name in params}

    return optax.partition({"own": optimizer, "adversarial": adversarial}, kinds)


def _scaled_module(rate: float) -> optax.GradientTransformation:
    """Scales the updates of "super_resolution", as a parameter group of its own would in PyTorch."""

    def update(updates: optax.Updates, _: optax.Params | None) -> optax.Updates:
        return {
            name: optax.tree.scale(rate, module) if name == "super_resolution" else module
            for name, module in updates.items()
        }

    return optax.stateless(update)
