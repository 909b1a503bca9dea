"""FFSR of the authors' code, which differs from the paper (docs/paper-vs-released-code.md)."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from rireid_jax.components import SUPER_RESOLUTION
from rireid_jax.models.interfaces import Restorer
from rireid_jax.models.layers import Conv, UpConv, accurate, normal, scaled
from rireid_jax.models.torch_names import Tensor, plain_layers

# PyTorch initialises this network uniformly; this normal draw has the same standard deviation.
_uniform_fan_in = normal(lambda shape: math.sqrt(1 / (3 * math.prod(shape[:-1]))))


@SUPER_RESOLUTION.register("ffsr_released")
class ReleasedFFSR(Restorer):
    """The fifteen-layer network of the authors' code, with their layer names: 7.62 GMACs at 384x128.

    It has two bottlenecks where `FFSR` has one, a 5x5 convolution, and wider layers around them. It starts from random
    weights and has no super-resolution stage of its own.

    Attributes: those of `Restorer`.
    """

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns the authors' names."""
        layers = (
            "conv0",
            "conv1",
            "conv12",
            "conv2",
            "conv3",
            "conv34",
            "conv4",
            "conv5",
            "conv56",
            "conv6",
        )
        ends = ("dconv1", "conv9", "dconv2", "conv10", "conv11")
        return plain_layers("SRnet", (*layers, *ends), up=("dconv1", "dconv2"))

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
