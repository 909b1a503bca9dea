"""No mask, which makes Eq. 5 the plain mean squared error."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from rireid_jax.components import MASKS, Field


@MASKS.register("none")
class NoMask:
    """Gives all pixels the same weight."""

    OPTIONS: ClassVar[Mapping[str, Field]] = {}

    @staticmethod
    def create(options: ConfigDict) -> Callable[[Mapping[str, jax.Array]], Float[Array, "1 H W"]]:
        """See the package."""
        return lambda batch: jnp.ones((1, *batch["image"].shape[1:3]), jnp.float32)
