"""FFSR, the Foreground-Focus Super-Resolution autoencoder (section 4.1)."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from rireid_jax.components import SUPER_RESOLUTION
from rireid_jax.models.interfaces import Restorer
from rireid_jax.models.layers import Conv, UpConv, accurate, scaled, zeros
from rireid_jax.models.torch_names import Tensor, plain_layers


@SUPER_RESOLUTION.register("ffsr")
class FFSR(Restorer):
    """Twelve layers, two of stride 2 and two transposed, with symmetric skips: 3.71 GMACs at 384x128 (Table 1).

    The paper prints depth, strides and cost but no widths; these widths match the cost. The input is the
    low-resolution image enlarged bilinearly to the network's size, and the network predicts a residual. The last layer
    starts at zero, so that training starts from the bilinear image.

    Attributes: those of `Restorer`.
    """

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns our own names after `ffsr.`, because the paper's network has never been published."""
        layers = (
            "down1",
            "enc1",
            "down2",
            "enc2",
            "squeeze",
            "mid",
            "expand",
            "up1",
            "dec1",
            "up2",
            "dec2",
            "out",
        )
        return plain_layers("ffsr", layers, up=("up1", "up2"))

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
