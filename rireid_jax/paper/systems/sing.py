"""SING (Jiao et al., AAAI 2018): its super-resolution network."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from rireid_jax.components import SUPER_RESOLUTION
from rireid_jax.models.pixels import DEVIATION, MEAN
from rireid_jax.models.srcnn import SRCNN

# Luminance from RGB in [0, 1] and back, by ITU-R BT.601 with its foot room of 16/255.
_LUMINANCE = (0.2568, 0.5041, 0.0979)
_FOOT, _GAIN = 16 / 255, 1.1644


@SUPER_RESOLUTION.register("srcnn_luminance")
class LuminanceSRCNN(SRCNN):
    """SRCNN as in the code of SING's authors: kernels 9-5-5 on luminance; colours stay as they were.

    Theirs has no padding and loses 8 pixels at every side; here zeros keep the size. It starts from weights drawn as
    `SRCNN`'s are.

    Attributes: as `SRCNN`'s.
    """

    kernels: ClassVar[tuple[int, int, int]] = (9, 5, 5)

    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Restores normalised images of any size, clipped to black and white."""
        pixels = image * DEVIATION + MEAN
        luminance = (pixels * jnp.array(_LUMINANCE)).sum(-1, keepdims=True) + _FOOT
        restored = self.convolve(luminance)
        # The differences of blue and red stay, so that all three colours change by the same amount.
        pixels = jnp.clip(pixels + _GAIN * (restored - luminance), 0, 1)
        return (pixels - MEAN) / DEVIATION
