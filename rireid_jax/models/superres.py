"""The super-resolution networks that FFSR is compared with: SRCNN and VDSR of Table 1, and the one in SING.

All are fully convolutional and keep the image's size: they read the low-resolution image after it has been
enlarged, as `FFSR` does. Their publications restore luminance in [0, 1]; here they have FFSR's interface, three
normalised channels in and out, and every convolution is padded with zeros so that the size stays. Stages of
FFSR's kind train them; the schedules of their publications are not reproduced.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rireid_jax.models.layers import Conv, accurate, scaled, zeros
from rireid_jax.models.pixels import DEVIATION, MEAN


class SRCNN(nn.Module):
    """Patches, a non-linear mapping, reconstruction (Dong et al. 2014): kernels 9-1-5, 64 and 32 channels.

    Of the publication: the layers, their ReLUs, and that there is no residual, so that it starts far from the bilinear
    image. Ours: colours, and He's initial weights, from which SGD at FFSR's learning rate gets in a quarter of
    the steps as far as from the published ones of deviation 0.001. 0.98 GMACs at 384x128; Table 1 prints 2.53,
    which neither this nor the kernels 9-3-5 and 9-5-5 have.

    Attributes:
      width: multiplies both hidden widths; 1 is the publication.
      dtype: of activations; the output is at least float32.
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Restores normalised images of any size."""

        def conv(name: str, features: int, kernel: int) -> Conv:
            return Conv(features, kernel, 1, kernel // 2, dtype=self.dtype, name=name)

        x = nn.relu(conv("extract", scaled(self.width, 64), 9)(image))
        x = nn.relu(conv("map", scaled(self.width, 32), 1)(x))
        return conv("reconstruct", 3, 5)(x).astype(accurate(self.dtype))


# Luminance of RGB in [0, 1], and RGB of it, by ITU-R BT.601 with its foot room of 16/255.
_LUMINANCE = (0.2568, 0.5041, 0.0979)
_FOOT, _GAIN = 16 / 255, 1.1644


class LuminanceSRCNN(nn.Module):
    """SRCNN in SING (Jiao et al. 2018), by their code: kernels 9-5-5 on luminance, colours as they were.

    Theirs pads nothing and loses 8 pixels at every side; here zeros keep the size. Its initial weights are `SRCNN`'s.

    Attributes: as `SRCNN`'s.
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Restores normalised images of any size; what comes out is within black and white."""

        def conv(name: str, features: int, kernel: int) -> Conv:
            return Conv(features, kernel, 1, kernel // 2, dtype=self.dtype, name=name)

        pixels = image * DEVIATION + MEAN
        luminance = (pixels * jnp.array(_LUMINANCE)).sum(-1, keepdims=True) + _FOOT
        x = nn.relu(conv("extract", scaled(self.width, 64), 9)(luminance))
        x = nn.relu(conv("map", scaled(self.width, 32), 5)(x))
        restored = conv("reconstruct", 1, 5)(x).astype(accurate(self.dtype))
        # Blue and red differences stay, so that every colour changes by as much.
        pixels = jnp.clip(pixels + _GAIN * (restored - luminance), 0, 1)
        return (pixels - MEAN) / DEVIATION


class VDSR(nn.Module):
    """Twenty 3x3 convolutions of 64 channels that add to their input (Kim et al. 2016): 32.79 GMACs at 384x128.

    Of the publication: the layers, their ReLUs, the one global residual, and He's initial weights. Ours: colours,
    biases that start at zero, and a last layer that starts at zero, so that training starts from the
    bilinear image as `FFSR`'s does.

    Attributes:
      width: multiplies the hidden width; 1 is the publication.
      dtype: of activations; the output is at least float32.
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

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
