"""The mask that is stored with an image."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from rireid_jax.components import MASKS, Field


@MASKS.register("segmentation")
class Segmentation:
    """Uses the stored mask. An image without one has ones everywhere."""

    OPTIONS: ClassVar[Mapping[str, Field]] = {}

    @staticmethod
    def create(options: ConfigDict) -> Callable[[Mapping[str, jax.Array]], Float[Array, "B H W"]]:
        """See the package."""
        return lambda batch: batch["mask"].astype(jnp.float32) / 255
