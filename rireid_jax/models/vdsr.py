"""VDSR of Table 1.

It is fully convolutional and keeps the image size; like FFSR, it reads the low-resolution image after enlargement. The
publication restores luminance in [0, 1]; this network has FFSR's interface (three normalised channels in and out) and
pads every convolution with zeros. It is trained in FFSR's stages and not by the schedule of the publication.
"""

import flax.linen as nn
from jaxtyping import Array, Float

from rireid_jax.components import SUPER_RESOLUTION
from rireid_jax.models.interfaces import Restorer
from rireid_jax.models.layers import Conv, accurate, scaled, zeros
from rireid_jax.models.torch_names import Tensor, plain_layers


@SUPER_RESOLUTION.register("vdsr")
class VDSR(Restorer):
    """Twenty 3x3 convolutions of 64 channels that predict a residual (Kim et al. 2016): 32.79 GMACs at 384x128.

    The layers, their ReLUs, the single global residual and He's initial weights are those of the publication. Colour
    is ours, and biases and the last layer start at zero, so that training starts from the bilinear image as with
    `FFSR`.

    Attributes: those of `Restorer`.
    """

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns our own names of the layers, after `vdsr.`."""
        return plain_layers("vdsr", (*(f"conv{i}" for i in range(1, 20)), "out"))

    @nn.compact
    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Restores normalised images of any size."""
        x = image
        for i in range(1, 20):
            conv = Conv(scaled(self.width, 64), 3, 1, 1, dtype=self.dtype, name=f"conv{i}")
            x = nn.relu(conv(x))
        out = Conv(3, 3, 1, 1, kernel_init=zeros, dtype=self.dtype, name="out")
        residual = out(x).astype(accurate(self.dtype))
        return image.astype(residual.dtype) + residual
