"""SRCNN of Table 1.

It is fully convolutional and keeps the image size; like FFSR, it reads the low-resolution image after enlargement. The
publication restores luminance in [0, 1]; this network has FFSR's interface (three normalised channels in and out) and
pads every convolution with zeros. It is trained in FFSR's stages and not by the schedule of the publication.
"""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from rireid_jax.components import SUPER_RESOLUTION
from rireid_jax.models.interfaces import Restorer
from rireid_jax.models.layers import Conv, accurate, scaled
from rireid_jax.models.torch_names import Tensor, plain_layers


@SUPER_RESOLUTION.register("srcnn")
class SRCNN(Restorer):
    """Patch extraction, non-linear mapping, reconstruction (Dong et al. 2014): kernels 9-1-5, 64 and 32 channels.

    The layers and their ReLUs are those of the publication. It also has no residual, so that training starts far from
    the bilinear image. Colour is ours, and so are He's initial weights: with them, SGD at FFSR's learning rate needs a
    quarter of the steps that the published initial weights (standard deviation 0.001) need. The network has 0.98 GMACs
    at 384x128; Table 1 prints 2.53, which the kernels 9-3-5 and 9-5-5 do not give either.

    Attributes: those of `Restorer`.

    Class attributes:
      kernels: sides of the three convolutions, in pixels.
    """

    kernels: ClassVar[tuple[int, int, int]] = (9, 1, 5)

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns our own names of the layers, after `srcnn.`."""
        return plain_layers("srcnn", ("extract", "map", "reconstruct"))

    @nn.compact
    def convolve(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Applies the three convolutions to images of any number of channels, and returns as many."""

        def conv(name: str, features: int, kernel: int) -> Conv:
            return Conv(features, kernel, 1, kernel // 2, dtype=self.dtype, name=name)

        extract, mapping, reconstruct = self.kernels
        channels = x.shape[-1]
        x = nn.relu(conv("extract", scaled(self.width, 64), extract)(x))
        x = nn.relu(conv("map", scaled(self.width, 32), mapping)(x))
        return conv("reconstruct", channels, reconstruct)(x).astype(accurate(self.dtype))

    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Restores normalised images of any size."""
        return self.convolve(image)
