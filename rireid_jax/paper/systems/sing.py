"""SING (Jiao et al., AAAI 2018): its super-resolution network."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from rireid_jax.components import SUPER_RESOLUTION
from rireid_jax.models.interfaces import Restorer
from rireid_jax.models.layers import Conv, accurate, scaled
from rireid_jax.models.pixels import DEVIATION, MEAN
from rireid_jax.models.torch_names import Tensor, plain_layers

# Luminance from RGB in [0, 1] and back, by ITU-R BT.601 with its foot room of 16/255.
_LUMINANCE = (0.2568, 0.5041, 0.0979)
_FOOT, _GAIN = 16 / 255, 1.1644


@SUPER_RESOLUTION.register("srcnn_luminance")
class LuminanceSRCNN(Restorer):
    """SRCNN as in the code of SING's authors: kernels 9-5-5 on luminance; colours stay as they were.

    Theirs has no padding and loses 8 pixels at every side; here zeros keep the size. It starts from weights drawn as
    `SRCNN`'s are.

    Attributes: as `Restorer`'s.
    """

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Under `srcnn.` and our own names of the layers."""
        return plain_layers("srcnn", ("extract", "map", "reconstruct"))

    @nn.compact
    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Restores normalised images of any size, clipped to black and white."""

        def conv(name: str, features: int, kernel: int) -> Conv:
            return Conv(features, kernel, 1, kernel // 2, dtype=self.dtype, name=name)

        pixels = image * DEVIATION + MEAN
        luminance = (pixels * jnp.array(_LUMINANCE)).sum(-1, keepdims=True) + _FOOT
        x = nn.relu(conv("extract", scaled(self.width, 64), 9)(luminance))
        x = nn.relu(conv("map", scaled(self.width, 32), 5)(x))
        restored = conv("reconstruct", 1, 5)(x).astype(accurate(self.dtype))
        # The differences of blue and red stay, so that all three colours change by the same amount.
        pixels = jnp.clip(pixels + _GAIN * (restored - luminance), 0, 1)
        return (pixels - MEAN) / DEVIATION
