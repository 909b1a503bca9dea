"""Warm-up of the learning rate, with which every schedule may begin."""

from collections.abc import Mapping

import jax.numpy as jnp
import optax

from rireid_jax.components import AT_LEAST_ZERO, Field

WARMUP_OPTION: Mapping[str, Field] = {
    "warmup_epochs": Field(
        0,
        "number of epochs in which the rate rises linearly to its full value; 0: none",
        AT_LEAST_ZERO,
    )
}


def with_warmup(schedule: optax.Schedule, steps: int) -> optax.Schedule:
    """Multiplies a schedule by a factor that rises linearly over `steps` steps and reaches 1 in the last of them."""
    if not steps:
        return schedule
    return lambda step: schedule(step) * jnp.minimum((step + 1) / steps, 1)
