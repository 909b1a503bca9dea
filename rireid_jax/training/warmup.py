"""Warm-up, which every schedule may begin with."""

from collections.abc import Mapping

import jax.numpy as jnp
import optax

from rireid_jax.components import AT_LEAST_ZERO, Field

WARMUP_OPTION: Mapping[str, Field] = {
    "warmup_epochs": Field(
        0, "epochs over which the learning rate rises linearly; 0: it starts in full", AT_LEAST_ZERO
    )
}


def with_warmup(schedule: optax.Schedule, steps: int) -> optax.Schedule:
    """The schedule, times a factor that rises linearly over some steps; the last of them has the full rate."""
    if not steps:
        return schedule
    return lambda step: schedule(step) * jnp.minimum((step + 1) / steps, 1)
