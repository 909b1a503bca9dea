"""ResNet50 (He et al. 2016) and its parts: torchvision's v1.5, which has the stride on the 3x3 convolution."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rireid_jax.components import EXTRACTORS, POSITIVE, Check, Field
from rireid_jax.models.interfaces import Context, Extractor
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
from rireid_jax.models.torch_names import Place, Tensor, batch_norm, layer, within

PLANES = (64, 128, 256, 512)  # bottleneck widths of the four stages
EXPANSION = 4  # the output of a stage has this many times its bottleneck width
REDUCTION = 16  # squeeze-and-excitation divides its input width by this for its hidden width

_STAGE_SIZES = Check(
    lambda value: len(value) == 4 and all(type(n) is int and n > 0 for n in value),
    "four positive block counts",
)
# Every extractor that is built from the parts of ResNet50 has these options.
BODY_OPTIONS: Mapping[str, Field] = {
    "width": Field(1.0, "multiplier of the extractor's channel counts", POSITIVE, small=0.25),
    "stage_sizes": Field(
        (3, 4, 6, 3), "number of bottlenecks in ResNet50's stages", _STAGE_SIZES, small=(1, 1, 1, 1)
    ),
    "feature_dim": Field(
        256, "dimensions of the feature f if the neck is `fc`; paper section 5.2", POSITIVE
    ),
}


def body(context: Context) -> dict[str, Any]:
    """Returns the arguments that all extractors with `BODY_OPTIONS` share."""
    return dict(
        num_classes=context.num_classes,
        feature_dim=context.model.feature_dim,
        stage_sizes=tuple(context.model.stage_sizes),
        last_stride=context.stage.last_stride,
        width=context.model.width,
        dtype=context.dtype,
        axis_name=context.axis_name,
    )


class SqueezeExcitation(nn.Module):
    """Scales channels by factors from the whole map (Hu et al. 2018): GAP -> FC C/16 -> ReLU -> FC C -> sigmoid."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        channels = x.shape[-1]
        hidden = max(1, channels // REDUCTION)
        dtype = accurate(self.dtype)
        y = global_average_pool(x)[:, None, None]
        # Other libraries store these layers as 1x1 convolutions, so they are 1x1 convolutions on one pixel here.
        y = nn.relu(Conv(hidden, 1, kernel_init=linear, dtype=dtype, name="fc1")(y))
        y = Conv(channels, 1, kernel_init=linear, dtype=dtype, name="fc2")(y)
        return x * jax.nn.sigmoid(y).astype(x.dtype)


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3 with the stride, 1x1 expand, optional squeeze-and-excitation, and the shortcut."""

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
    """A main block of ResNet50: `blocks` bottlenecks, of which the first has the stride."""

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
    """Returns functions that create ResNet50's stem and four stages, in order and by name.

    Each function takes the name of the module that it creates. The arguments are the attributes of `ResNet`.
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
      num_classes: number of identities in the training set.
      neck: "fc" maps to f by a fully connected layer, as in the paper; "batch_norm" normalises, as the authors'
        code and BNNeck do; "none" uses the pooled map as f.
      feature_dim: dimensions of f if the neck is "fc".
      dtype: dtype of the activations before the head; the head computes in at least float32.
      axis_name: mapped axis over which batch norm is synchronised.
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
            # Losses that compare features use this one (BNNeck, Luo et al. 2019). Flax drops it unless it is requested.
            self.sow("intermediates", "before_neck", feature)
            feature = BatchNorm(self.axis_name, dtype=dtype, name="bn")(feature, train)
        logits = Dense(self.num_classes, nearly_zero, dtype, name="classifier")(feature)
        return feature, logits


def resnet_part_names() -> tuple[str, ...]:
    """Returns the names of `resnet_parts`."""
    return ("stem", *(f"stage{t}" for t in range(1, len(PLANES) + 1)))


def body_names(
    stage_sizes: tuple[int, ...],
    places: Mapping[str, tuple[Place, ...]],
    squeeze_excitation: bool = False,
) -> list[Tensor]:
    """Returns torchvision's names of the stem and the stages.

    Args:
      stage_sizes: number of bottlenecks in each stage.
      places: places of each part in the network, by the name of the part; several places get the same weights.
      squeeze_excitation: whether bottlenecks have timm's `se.*`.
    """
    stem, *stages = resnet_part_names()
    rows = list(stem_names("", *places[stem]))
    for t, (name, blocks) in enumerate(zip(stages, stage_sizes, strict=True), start=1):
        rows += stage_names(
            (f"layer{t}",), blocks, *places[name], squeeze_excitation=squeeze_excitation
        )
    return rows


def stem_names(prefix: str, *places: Place) -> Iterator[Tensor]:
    """Yields torchvision's names of a `Stem`, after a prefix."""
    yield from layer("conv", f"{prefix}conv1", *within(places, "conv"), bias=False)
    yield from batch_norm(f"{prefix}bn1", *within(places, "bn"))


def stage_names(
    names: tuple[str, ...], blocks: int, *places: Place, squeeze_excitation: bool = False
) -> Iterator[Tensor]:
    """Yields torchvision's names of the bottlenecks of a `Stage`.

    Args:
      names: names of the stage in PyTorch; several if the file stores its tensors several times.
      blocks: number of bottlenecks.
      places: places of the stage in our network.
      squeeze_excitation: whether bottlenecks have timm's `se.*`.
    """
    for i in range(blocks):
        layers = [
            ("conv1", "bn1", "reduce"),
            ("conv2", "bn2", "spatial"),
            ("conv3", "bn3", "expand"),
        ]
        if i == 0:
            layers.append(("downsample.0", "downsample.1", "shortcut"))
        where = within(places, f"block{i}")
        for conv, bn, ours in layers:
            convs, bns = (tuple(f"{name}.{i}.{end}" for name in names) for end in (conv, bn))
            yield from layer("conv", convs, *within(where, f"{ours}_conv"), bias=False)
            yield from batch_norm(bns, *within(where, f"{ours}_bn"))
        for fc in ("fc1", "fc2") if squeeze_excitation else ():
            fcs = tuple(f"{name}.{i}.se.{fc}" for name in names)
            yield from layer("conv", fcs, *within(where, "se", fc))


def head_names(prefix: str, neck: str) -> Iterator[Tensor]:
    """Yields our names of a `Head`, after a prefix."""
    if neck == "fc":
        yield from layer("fc", f"{prefix}feature", ("head", "feature"))
    elif neck == "batch_norm":
        yield from batch_norm(f"{prefix}bn", ("head", "bn"))
    yield from layer("fc", f"{prefix}classifier", ("head", "classifier"))


@EXTRACTORS.register("resnet50")
class ResNet(Extractor):
    """The plain extractor that RIFE is compared with. It has one stream and the same head.

    Attributes:
      num_classes: number of identities in the training set.
      neck: neck of the `Head`.
      feature_dim: dimensions of the feature f if the neck is "fc"; 256 in section 5.2.
      stage_sizes: number of bottlenecks in each stage; (3, 4, 6, 3) gives ResNet50.
      last_stride: stride of the last stage.
      width: multiplier of every channel count; 1 gives ResNet50.
      dtype: dtype of the activations; feature and logits are at least float32.
      axis_name: mapped axis over which batch norm is synchronised.
      squeeze_excitation: whether every bottleneck scales its channels before it adds the shortcut (Hu et al. 2018).
    """

    OPTIONS: ClassVar = BODY_OPTIONS
    necks: ClassVar[tuple[str, ...]] = ("fc", "batch_norm")

    num_classes: int
    neck: str = "fc"
    feature_dim: int = 256
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    last_stride: int = 2
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None
    squeeze_excitation: bool = False

    @classmethod
    def create(cls, context: Context) -> "ResNet":
        """Creates the network for a stage."""
        return cls(neck=context.stage.neck, **body(context))

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns torchvision's names, timm's `se.*`, and `feature.*` or `bn.*` and `classifier.*` for the head."""
        return [*self.backbone_names(), *head_names("", self.neck)]

    @nn.nowrap
    def backbone_names(self) -> list[Tensor]:
        """Returns torchvision's names."""
        places = {name: ((name,),) for name in resnet_part_names()}
        return body_names(self.stage_sizes, places, self.squeeze_excitation)

    @nn.compact
    def __call__(
        self, image: Float[Array, "B H W 3"], train: bool
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B 0 2"]]:
        """Returns features, logits, and an empty array of gates (see `RIFE`)."""
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
