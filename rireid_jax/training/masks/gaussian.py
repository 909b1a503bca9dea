"""A Gaussian kernel as the foreground mask (section 4.1)."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from rireid_jax.components import MASKS, Field, numbers


@MASKS.register("gaussian")
class Gaussian:
    """The paper's mask, which is the same for all images of one size."""

    OPTIONS: ClassVar = {
        "sigma": Field(
            (1 / 3, 1 / 3),
            "standard deviations as fractions of height and width; 1/3 is our choice, the paper gives none",
            numbers(2, "two positive fractions, of height and width", lambda value: value > 0),
        ),
    }

    @staticmethod
    def create(options: ConfigDict) -> Callable[[Mapping[str, jax.Array]], Float[Array, "1 H W"]]:
        """See the package."""

        def mask(batch: Mapping[str, jax.Array]) -> Float[Array, "1 H W"]:
            height, width = batch["image"].shape[1:3]
            return jnp.asarray(gaussian_mask(height, width, tuple(options.sigma)))[None]

        return mask


def gaussian_mask(
    height: int, width: int, sigma: tuple[float, float]
) -> Float[np.ndarray, "{height} {width}"]:
    """Returns a Gaussian kernel as the foreground mask (Eq. 5, section 4.1).

    The person is in the middle of a detector's box, so the mask is 1 at the centre of the image,
    `((height - 1) / 2, (width - 1) / 2)`, and falls off towards the border. The paper gives no standard deviations.

    Args:
      height: rows of the image.
      width: columns of the image.
      sigma: standard deviations as fractions of height and width.

    Returns:
      Float32 `[H, W]` in (0, 1].
    """

    def profile(length: int, fraction: float) -> np.ndarray:
        distance = (np.arange(length) - (length - 1) / 2) / (fraction * length)
        return np.exp(-0.5 * distance**2)

    mask = np.outer(profile(height, sigma[0]), profile(width, sigma[1]))
    return mask.astype(np.float32)
