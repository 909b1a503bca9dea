"""FFSR, the Foreground-Focus Super-Resolution autoencoder (section 4.1): the paper's and the released one."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rireid_jax.models.layers import Conv, UpConv, accurate, normal, scaled, zeros

# The deviation of PyTorch's uniform draw, from which the released network starts.
_uniform_fan_in = normal(lambda shape: math.sqrt(1 / (3 * math.prod(shape[:-1]))))


class FFSR(nn.Module):
    """Twelve layers, two of stride 2, two transposed, with symmetric skips: 3.71 GMACs at 384x128 (Table 1).

    The paper prints depth, strides and cost but no widths; these widths meet its cost. The input is the
    low-resolution image enlarged bilinearly to the network's size, and the network adds to it. Its last layer
    starts at zero, so that training starts from the bilinear image.

    Attributes:
      width: multiplies every hidden width; 1 is the paper.
      dtype: of activations; the output is at least float32.
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Restores normalised images whose height and width are multiples of 4."""

        def conv(name: str, features: int, kernel: int, stride: int = 1) -> Conv:
            padding = kernel // 2 if stride == 1 else 0
            features = scaled(self.width, features)
            return Conv(features, kernel, stride, padding, dtype=self.dtype, name=name)

        def up(name: str, features: int) -> UpConv:
            return UpConv(scaled(self.width, features), dtype=self.dtype, name=name)

        x = conv("down1", 64, 2, stride=2)(image)
        half = nn.relu(conv("enc1", 64, 3)(x))

        x = conv("down2", 256, 2, stride=2)(half)
        quarter = nn.relu(conv("enc2", 256, 3)(x))

        x = nn.relu(conv("squeeze", 64, 1)(quarter))
        x = nn.relu(conv("mid", 64, 3)(x))
        x = conv("expand", 256, 1)(x) + quarter

        x = nn.relu(up("up1", 32)(x))
        x = nn.relu(conv("dec1", 64, 3)(x))
        x = jnp.concatenate([x, half], axis=-1)

        x = nn.relu(up("up2", 32)(x))
        x = nn.relu(conv("dec2", 32, 3)(x))
        out = Conv(3, 3, 1, 1, kernel_init=zeros, dtype=self.dtype, name="out")
        residual = out(x).astype(accurate(self.dtype))
        return image.astype(residual.dtype) + residual


class ReleasedFFSR(nn.Module):
    """The fifteen-layer network of the authors' code, under its layer names: 7.62 GMACs at 384x128.

    Two bottlenecks where `FFSR` has one, a 5x5 convolution, and wider layers around; it starts at random,
    without a super-resolution stage of its own.

    Attributes: as `FFSR`'s.
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Restores normalised images whose height and width are multiples of 4."""

        def conv(name: str, features: int, kernel: int, stride: int = 1) -> Conv:
            padding = kernel // 2 if stride == 1 else 0
            start = _uniform_fan_in
            return Conv(features, kernel, stride, padding, True, start, self.dtype, name=name)

        def up(name: str, features: int) -> UpConv:
            return UpConv(features, dtype=self.dtype, name=name)

        narrow, middle, wide = (scaled(self.width, features) for features in (64, 128, 256))
        x = conv("conv0", narrow, 2, stride=2)(image)
        half = nn.relu(conv("conv1", narrow, 5)(x))

        x = conv("conv12", middle, 2, stride=2)(half)
        quarter = nn.relu(conv("conv2", wide, 3)(x))

        x = nn.relu(conv("conv3", narrow, 1)(quarter))
        x = nn.relu(conv("conv34", narrow, 3)(x))
        quarter = conv("conv4", wide, 1)(x) + quarter

        x = nn.relu(conv("conv5", narrow, 1)(quarter))
        x = nn.relu(conv("conv56", narrow, 3)(x))
        quarter = conv("conv6", wide, 1)(x) + quarter

        x = nn.relu(up("dconv1", wide)(quarter))
        x = nn.relu(conv("conv9", narrow, 3)(x))
        x = jnp.concatenate([x, half], axis=-1)

        x = nn.relu(up("dconv2", narrow)(x))
        x = nn.relu(conv("conv10", narrow, 3)(x))
        residual = conv("conv11", 3, 3)(x).astype(accurate(self.dtype))
        return image.astype(residual.dtype) + residual
