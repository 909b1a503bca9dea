"""The mask of the authors' code, as published and with its index bug fixed."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from rireid_jax.components import MASKS, Field


@MASKS.register("released")
class Released:
    """The mask as published, with the bug."""

    OPTIONS: ClassVar[Mapping[str, Field]] = {}
    index_bug: ClassVar = True

    @classmethod
    def create(
        cls, options: ConfigDict
    ) -> Callable[[Mapping[str, jax.Array]], Float[Array, "1 H W"]]:
        """See the package."""

        def mask(batch: Mapping[str, jax.Array]) -> Float[Array, "1 H W"]:
            height, width = batch["image"].shape[1:3]
            return jnp.asarray(released_mask(height, width, cls.index_bug))[None]

        return mask


@MASKS.register("released_fixed")
class ReleasedFixed(Released):
    """The mask that the authors probably intended."""

    index_bug: ClassVar = False


def released_mask(
    height: int, width: int, index_bug: bool
) -> Float[np.ndarray, "{height} {width}"]:
    """Returns the mask of the authors' code: 2^(-|y - cy| / H) * 2^(-|x - cx| / W).

    It falls off exponentially from 1 at the centre (cy, cx) to about 1/2 at a corner, so the background gets hardly
    less weight than the person.

    Args:
      height: rows of the image, H.
      width: columns of the image, W.
      index_bug: whether the second factor uses the row y instead of the column x, as published. The mask is then the
        same in every column and, at 256x128, largest in row 64, a quarter of the height from the top.

    Returns:
      Float32 `[H, W]` in (0, 1].
    """
    y = np.arange(height)[:, None]
    x = y if index_bug else np.arange(width)[None, :]
    exponent = np.abs(y - (height - 1) / 2) / height + np.abs(x - (width - 1) / 2) / width
    return np.broadcast_to(np.exp2(-exponent), (height, width)).astype(np.float32)
