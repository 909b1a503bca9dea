"""The state that changes in training."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct


@struct.dataclass
class TrainState:
    """The training state, a pytree that is replicated over devices. An abstract one has `jax.ShapeDtypeStruct` leaves.

    Attributes:
      step: number of updates made so far in this stage, int32 [].
      params: {module: parameters}; the modules are "super_resolution", "extractor" and those that loss terms add.
      batch_stats: {module: running statistics}.
      opt_state: optimizer state for the parameters of the modules that learn.
    """

    step: Any
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: optax.OptState


def create_state(
    variables: dict[str, dict[str, Any]],
    optimizer: optax.GradientTransformation,
    train: tuple[str, ...] | list[str],
) -> TrainState:
    """Creates the state before the first step.

    Args:
      variables: {"params": {module: ...}, "batch_stats": {module: ...}}.
      optimizer: optimizer of the stage.
      train: names of the modules that learn.
    """
    learning = {name: variables["params"][name] for name in train}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=jax.jit(optimizer.init)(learning),
    )
