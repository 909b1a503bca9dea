"""ResNet50 (He et al. 2016) as torchvision builds it: v1.5, with the stride on the 3x3 convolution."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rireid_jax.models.layers import (
    BatchNorm,
    Conv,
    Dense,
    accurate,
    global_average_pool,
    he_fan_out,
    max_pool,
    nearly_zero,
    scaled,
)

PLANES = (64, 128, 256, 512)  # bottleneck widths of the four stages
EXPANSION = 4  # a stage's output is this many times its bottleneck width


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3 with the stride, 1x1 expand, and the shortcut."""

    planes: int
    stride: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B h w D"]:
        def conv_bn(
            name: str, x: Float[Array, "B H W C"], features: int, kernel: int = 1, stride: int = 1
        ) -> Float[Array, "B h w D"]:
            conv = Conv(
                features,
                kernel,
                stride,
                kernel // 2,
                use_bias=False,
                kernel_init=he_fan_out,
                dtype=self.dtype,
                name=f"{name}_conv",
            )
            bn = BatchNorm(self.axis_name, dtype=self.dtype, name=f"{name}_bn")
            return bn(conv(x), train)

        out = self.planes * EXPANSION
        y = nn.relu(conv_bn("reduce", x, self.planes))
        y = nn.relu(conv_bn("spatial", y, self.planes, kernel=3, stride=self.stride))
        y = conv_bn("expand", y, out)
        needs_projection = x.shape[-1] != out or self.stride != 1
        shortcut = conv_bn("shortcut", x, out, stride=self.stride) if needs_projection else x
        return nn.relu(y + shortcut)


class Stage(nn.Module):
    """A main block of ResNet50: `blocks` bottlenecks, the first with the stride."""

    planes: int
    blocks: int
    stride: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B h w D"]:
        for i in range(self.blocks):
            stride = self.stride if i == 0 else 1
            block = Bottleneck(self.planes, stride, self.dtype, self.axis_name, name=f"block{i}")
            x = block(x, train)
        return x


class Stem(nn.Module):
    """7x7 convolution of stride 2, batch norm, ReLU, 3x3 max-pool of stride 2."""

    features: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W 3"], train: bool) -> Float[Array, "B h w D"]:
        conv = Conv(
            self.features,
            7,
            2,
            3,
            use_bias=False,
            kernel_init=he_fan_out,
            dtype=self.dtype,
            name="conv",
        )
        bn = BatchNorm(self.axis_name, dtype=self.dtype, name="bn")
        return max_pool(nn.relu(bn(conv(x), train)))


def stage_strides(last_stride: int) -> tuple[int, int, int, int]:
    """Strides of the four stages; `last_stride` 1 keeps the last map twice as fine."""
    return (1, 2, 2, last_stride)


class Head(nn.Module):
    """GAP -> neck = the feature f -> FC = identity logits (Eq. 8; the logits serve training only).

    Attributes:
      num_classes: identities of the training set.
      neck: "fc" maps to f by a fully connected layer, as the paper; "batch_norm" normalises, as the authors'
        code and as BNNeck does; "none" takes the pooled map.
      feature_dim: of f, where the neck is "fc".
    """

    num_classes: int
    neck: str = "fc"
    feature_dim: int = 256
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"]]:
        dtype = accurate(self.dtype)
        feature = global_average_pool(x)
        if self.neck == "fc":
            feature = Dense(self.feature_dim, dtype=dtype, name="feature")(feature)
        elif self.neck == "batch_norm":
            feature = BatchNorm(self.axis_name, dtype=dtype, name="bn")(feature, train)
        logits = Dense(self.num_classes, nearly_zero, dtype, name="classifier")(feature)
        return feature, logits


class ResNet(nn.Module):
    """The plain extractor that RIFE is compared with: one stream, the same head.

    Attributes:
      num_classes: identities of the training set.
      neck: of the `Head`.
      feature_dim: of the feature f where the neck is "fc"; 256 in section 5.2.
      stage_sizes: bottlenecks a stage; (3, 4, 6, 3) is ResNet50.
      last_stride: stride of the last stage.
      width: multiplies every channel count; 1 is ResNet50.
      dtype: of activations; feature and logits are at least float32.
      axis_name: mapped axis over which batch norm is synchronised.
    """

    num_classes: int
    neck: str = "fc"
    feature_dim: int = 256
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    last_stride: int = 2
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, image: Float[Array, "B H W 3"], train: bool
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B 0 2"]]:
        """Features, logits, and no gates (see `RIFE`)."""
        x = Stem(scaled(self.width, 64), self.dtype, self.axis_name, name="stem")(image, train)
        strides = stage_strides(self.last_stride)
        for t, (planes, blocks, stride) in enumerate(
            zip(PLANES, self.stage_sizes, strides, strict=True), start=1
        ):
            planes = scaled(self.width, planes)
            x = Stage(planes, blocks, stride, self.dtype, self.axis_name, name=f"stage{t}")(
                x, train
            )
        head = Head(
            self.num_classes,
            self.neck,
            self.feature_dim,
            self.dtype,
            self.axis_name,
            name="head",
        )
        feature, logits = head(x, train)
        return feature, logits, jnp.zeros((image.shape[0], 0, 2), feature.dtype)
