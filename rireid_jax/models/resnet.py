"""ResNet50 (He et al. 2016) as torchvision builds it: v1.5, with the stride on the 3x3 convolution; and SE-ResNet50."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
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
    linear,
    max_pool,
    nearly_zero,
    scaled,
)

PLANES = (64, 128, 256, 512)  # bottleneck widths of the four stages
EXPANSION = 4  # a stage's output is this many times its bottleneck width
REDUCTION = 16  # squeeze-and-excitation's hidden width is its input's divided by this


class SqueezeExcitation(nn.Module):
    """Channels weighed by what the whole map shows (Hu et al. 2018): GAP -> FC C/16 -> ReLU -> FC C -> sigmoid."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        channels = x.shape[-1]
        hidden = max(1, channels // REDUCTION)
        dtype = accurate(self.dtype)
        y = global_average_pool(x)[:, None, None]
        # 1x1 convolutions on one pixel, as which others store these layers.
        y = nn.relu(Conv(hidden, 1, kernel_init=linear, dtype=dtype, name="fc1")(y))
        y = Conv(channels, 1, kernel_init=linear, dtype=dtype, name="fc2")(y)
        return x * jax.nn.sigmoid(y).astype(x.dtype)


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3 with the stride, 1x1 expand, squeeze-and-excitation if asked for, and the shortcut."""

    planes: int
    stride: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None
    squeeze_excitation: bool = False

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
        if self.squeeze_excitation:
            y = SqueezeExcitation(self.dtype, name="se")(y)
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
    squeeze_excitation: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B h w D"]:
        for i in range(self.blocks):
            block = Bottleneck(
                self.planes,
                self.stride if i == 0 else 1,
                self.dtype,
                self.axis_name,
                self.squeeze_excitation,
                name=f"block{i}",
            )
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


def resnet_parts(
    stage_sizes: tuple[int, ...],
    last_stride: int,
    width: float,
    dtype: DTypeLike,
    axis_name: str | None,
    squeeze_excitation: bool = False,
) -> dict[str, Callable[..., nn.Module]]:
    """Makers of ResNet50's stem and four stages, in order and by name; each takes the name of what it makes.

    Args: as the attributes of `ResNet`.
    """
    parts: dict[str, Callable[..., nn.Module]] = {
        "stem": partial(Stem, scaled(width, 64), dtype, axis_name)
    }
    strides = (1, 2, 2, last_stride)
    for t, (planes, blocks, stride) in enumerate(
        zip(PLANES, stage_sizes, strides, strict=True), start=1
    ):
        planes = scaled(width, planes)
        parts[f"stage{t}"] = partial(
            Stage, planes, blocks, stride, dtype, axis_name, squeeze_excitation
        )
    return parts


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
            # For losses that compare features (BNNeck, Luo et al. 2019); what nobody asks for is not kept.
            self.sow("intermediates", "before_neck", feature)
            feature = BatchNorm(self.axis_name, dtype=dtype, name="bn")(feature, train)
        logits = Dense(self.num_classes, nearly_zero, dtype, name="classifier")(feature)
        return feature, logits


class ResNet(nn.Module):
    """The plain extractor that RIFE is compared with: one stream, the same head.

    With `squeeze_excitation` it is SE-ResNet50, as timm's `seresnet50` builds it: on the v1.5 network. That of the
    publication, and of pretrained-models.pytorch and torchreid after it, has a stage's stride on the first 1x1
    convolution, and pools after the stem without padding.

    Attributes:
      num_classes: identities of the training set.
      neck: of the `Head`.
      feature_dim: of the feature f where the neck is "fc"; 256 in section 5.2.
      stage_sizes: bottlenecks a stage; (3, 4, 6, 3) is ResNet50.
      last_stride: stride of the last stage.
      width: multiplies every channel count; 1 is ResNet50.
      dtype: of activations; feature and logits are at least float32.
      axis_name: mapped axis over which batch norm is synchronised.
      squeeze_excitation: weighs the channels of every bottleneck before the shortcut is added (Hu et al. 2018).
    """

    num_classes: int
    neck: str = "fc"
    feature_dim: int = 256
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    last_stride: int = 2
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None
    squeeze_excitation: bool = False

    @nn.compact
    def __call__(
        self, image: Float[Array, "B H W 3"], train: bool
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B 0 2"]]:
        """Features, logits, and no gates (see `RIFE`)."""
        x = image
        for name, part in resnet_parts(
            self.stage_sizes,
            self.last_stride,
            self.width,
            self.dtype,
            self.axis_name,
            self.squeeze_excitation,
        ).items():
            x = part(name=name)(x, train)
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
