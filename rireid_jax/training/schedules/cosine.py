"""Cosine decay of the learning rate to zero (Loshchilov and Hutter 2017, without restarts)."""

from typing import ClassVar

import optax
from ml_collections import ConfigDict

from rireid_jax.components import SCHEDULES
from rireid_jax.training.warmup import WARMUP_OPTION, with_warmup


@SCHEDULES.register("cosine")
class Cosine:
    """Multiplies the rate by (1 + cos(pi t / T)) / 2 after t of the T steps of the stage."""

    OPTIONS: ClassVar = WARMUP_OPTION

    @staticmethod
    def create(
        options: ConfigDict, rate: float, steps_per_epoch: int, epochs: int
    ) -> optax.Schedule:
        """See the package."""
        cosine = optax.cosine_decay_schedule(rate, epochs * steps_per_epoch)
        return with_warmup(cosine, options.warmup_epochs * steps_per_epoch)
