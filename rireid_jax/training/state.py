"""What changes while training."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct


@struct.dataclass
class TrainState:
    """A pytree; replicated over devices. As an abstract tree it holds `jax.ShapeDtypeStruct`s for arrays.

    Attributes:
      step: updates made so far in this stage, int32 [].
      params: {module: parameters}, modules "super_resolution", "extractor" and "discriminator".
      batch_stats: {module: running statistics}.
      opt_state: the optimizer's, for the parameters of the modules that learn.
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
    """The state before the first step.

    Args:
      variables: {"params": {module: ...}, "batch_stats": {module: ...}}.
      optimizer: of the stage.
      train: the modules that learn.
    """
    learning = {name: variables["params"][name] for name in train}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=jax.jit(optimizer.init)(learning),
    )
