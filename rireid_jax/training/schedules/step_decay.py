"""Step decay of the learning rate, as in PyTorch's MultiStepLR (section 5.2)."""

from collections.abc import Sequence
from typing import ClassVar

import optax
from ml_collections import ConfigDict

from rireid_jax.components import EPOCHS, PROBABILITY, SCHEDULES, Field
from rireid_jax.training.warmup import WARMUP_OPTION, with_warmup


@SCHEDULES.register("step")
class StepDecay:
    """Multiplies the rate by a factor after each of the given epochs."""

    OPTIONS: ClassVar = {
        "decay_epochs": Field((), "numbers of the epochs after which the rate drops", EPOCHS),
        "decay_factor": Field(0.1, "factor of the rate at a drop; paper section 5.2", PROBABILITY),
        **WARMUP_OPTION,
    }

    @staticmethod
    def create(
        options: ConfigDict, rate: float, steps_per_epoch: int, epochs: int
    ) -> optax.Schedule:
        """See the package."""
        decayed = step_decay(rate, options.decay_epochs, options.decay_factor, steps_per_epoch)
        return with_warmup(decayed, options.warmup_epochs * steps_per_epoch)


def step_decay(
    rate: float, decay_epochs: Sequence[int], factor: float, steps_per_epoch: int
) -> optax.Schedule:
    """Returns a schedule that multiplies `rate` by `factor` after each of the epochs `decay_epochs`."""
    # Two drops at the same epoch multiply, as in MultiStepLR.
    scales: dict[int, float] = {}
    for epoch in decay_epochs:
        step = epoch * steps_per_epoch
        scales[step] = scales.get(step, 1.0) * factor
    return optax.piecewise_constant_schedule(rate, scales)
