"""DenseNet121 (Huang et al. 2017) as torchvision builds it, with the re-identification head."""

from collections.abc import Iterator
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rireid_jax.components import EXTRACTORS
from rireid_jax.errors import UserError
from rireid_jax.models.interfaces import Context, Extractor
from rireid_jax.models.layers import BatchNorm, Conv, scaled
from rireid_jax.models.resnet50 import BODY_OPTIONS, Head, Stem, body, head_names
from rireid_jax.models.torch_names import Tensor, batch_norm, layer

BOTTLENECK = 4  # channels of a dense layer's 1x1 convolution, as a multiple of the growth rate


def dense_block_sizes(stage_sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the number of layers of the four dense blocks for given numbers of ResNet50's bottlenecks.

    A block is scaled down from DenseNet121 by the same factor as the stage from ResNet50, and rounded: (3, 4, 6, 3)
    gives DenseNet121's (6, 12, 24, 16), and (1, 1, 1, 1) gives (2, 3, 4, 5).
    """
    of_each = (6 / 3, 12 / 4, 24 / 6, 16 / 3)
    return tuple(round(n * layers) for n, layers in zip(stage_sizes, of_each, strict=True))


class DenseLayer(nn.Module):
    """Batch norm, ReLU, 1x1, batch norm, ReLU, 3x3; the new maps are appended to the input."""

    growth: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B H W D"]:
        def bn(name: str) -> BatchNorm:
            return BatchNorm(self.axis_name, dtype=self.dtype, name=name)

        def conv(name: str, features: int, kernel: int) -> Conv:
            padding = kernel // 2
            return Conv(features, kernel, 1, padding, use_bias=False, dtype=self.dtype, name=name)

        y = nn.relu(bn("reduce_bn")(x, train))
        y = conv("reduce_conv", BOTTLENECK * self.growth, 1)(y)
        y = nn.relu(bn("grow_bn")(y, train))
        y = conv("grow_conv", self.growth, 3)(y)
        return jnp.concatenate([x, y], axis=-1)


class DenseBlock(nn.Module):
    """A chain of dense layers, each of which reads the outputs of all layers before it."""

    layers: int
    growth: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B H W D"]:
        for i in range(self.layers):
            dense = DenseLayer(self.growth, self.dtype, self.axis_name, name=f"layer{i}")
            x = dense(x, train)
        return x


class Transition(nn.Module):
    """Batch norm, ReLU, 1x1 to half the channels, and 2x2 average pooling if the stride is 2."""

    stride: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B h w D"]:
        x = nn.relu(BatchNorm(self.axis_name, dtype=self.dtype, name="bn")(x, train))
        conv = Conv(x.shape[-1] // 2, 1, use_bias=False, dtype=self.dtype, name="conv")
        x = conv(x)
        if self.stride == 1:
            return x
        b, h, w, c = x.shape  # an odd last row or column is dropped, as in PyTorch
        if min(h, w) < 2:
            raise UserError(
                f"config.data.image_size: found images that leave a map of {h}x{w} to halve, expected "
                "at least 32 pixels a side for densenet121"
            )
        x = x[:, : h // 2 * 2, : w // 2 * 2]
        return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


@EXTRACTORS.register("densenet121")
class DenseNet(Extractor):
    """torchvision's DenseNet121 up to the last map, then `Head`. It is one of the systems in Table 3.

    Attributes:
      num_classes: identities of the training set.
      feature_dim: dimensions of the feature f.
      block_sizes: layers of each dense block; (6, 12, 24, 16) is DenseNet121.
      last_stride: stride of the last transition; 1 omits its pooling.
      width: multiplier of the stem's channels and of the growth rate; 1 gives DenseNet121's 64 and 32.
      dtype: dtype of the activations; feature and logits are at least float32.
      axis_name: mapped axis over which batch norm is synchronised.
    """

    OPTIONS: ClassVar = BODY_OPTIONS

    num_classes: int
    feature_dim: int = 256
    block_sizes: tuple[int, ...] = (6, 12, 24, 16)
    last_stride: int = 2
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @classmethod
    def create(cls, context: Context) -> "DenseNet":
        """Creates the network for a stage."""
        common = body(context)
        return cls(block_sizes=dense_block_sizes(common.pop("stage_sizes")), **common)

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns torchvision's names, and `feature.*` and `classifier.*` for the head."""
        return [*self.backbone_names(), *head_names("", "fc")]

    @nn.nowrap
    def backbone_names(self) -> list[Tensor]:
        """Returns torchvision's names."""
        return list(self._features())

    @nn.nowrap
    def _features(self) -> Iterator[Tensor]:
        def conv(name: str, *place: str) -> Iterator[Tensor]:
            yield from layer("conv", f"features.{name}", place, bias=False)

        def norm(name: str, *place: str) -> Iterator[Tensor]:
            yield from batch_norm(f"features.{name}", place)

        yield from conv("conv0", "stem", "conv")
        yield from norm("norm0", "stem", "bn")
        for t, layers in enumerate(self.block_sizes, start=1):
            if t > 1:
                yield from norm(f"transition{t - 1}.norm", f"transition{t - 1}", "bn")
                yield from conv(f"transition{t - 1}.conv", f"transition{t - 1}", "conv")
            for i in range(layers):
                theirs, ours = f"denseblock{t}.denselayer{i + 1}", (f"block{t}", f"layer{i}")
                for n, part in enumerate(("reduce", "grow"), start=1):
                    yield from norm(f"{theirs}.norm{n}", *ours, f"{part}_bn")
                    yield from conv(f"{theirs}.conv{n}", *ours, f"{part}_conv")
        yield from norm("norm5", "bn")

    @nn.compact
    def __call__(
        self, image: Float[Array, "B H W 3"], train: bool
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B 0 2"]]:
        """Returns features, logits, and an empty array of gates (see `RIFE`)."""
        dtype, axis_name = self.dtype, self.axis_name
        growth = scaled(self.width, 32)
        x = Stem(scaled(self.width, 64), dtype, axis_name, name="stem")(image, train)
        strides = (1, 2, 2, self.last_stride)
        for t, (layers, stride) in enumerate(zip(self.block_sizes, strides, strict=True), start=1):
            if t > 1:
                x = Transition(stride, dtype, axis_name, name=f"transition{t - 1}")(x, train)
            x = DenseBlock(layers, growth, dtype, axis_name, name=f"block{t}")(x, train)
        x = nn.relu(BatchNorm(axis_name, dtype=dtype, name="bn")(x, train))
        head = Head(
            self.num_classes,
            feature_dim=self.feature_dim,
            dtype=dtype,
            axis_name=axis_name,
            name="head",
        )
        feature, logits = head(x, train)
        return feature, logits, jnp.zeros((image.shape[0], 0, 2), feature.dtype)
