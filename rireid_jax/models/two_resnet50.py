"""Two ResNet50 side by side. Table 2 compares RIFE with them to show what more parameters alone would gain."""

from collections.abc import Callable
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from rireid_jax.components import EXTRACTORS
from rireid_jax.models.interfaces import Context, Tree, adopt_parts, merge
from rireid_jax.models.layers import Dense, accurate, global_average_pool, nearly_zero
from rireid_jax.models.resnet50 import (
    BODY_OPTIONS,
    body,
    body_names,
    resnet_part_names,
    resnet_parts,
    stage_names,
    stem_names,
)
from rireid_jax.models.rife import GATE_OPTIONS, STREAMS, Gating, TwoStreams, fuse, gate_names
from rireid_jax.models.torch_names import Tensor, layer


class Trunk(nn.Module):
    """A complete ResNet50 up to its last map."""

    parts: dict[str, Callable[..., nn.Module]]

    @nn.compact
    def __call__(self, x: Float[Array, "B H W 3"], train: bool) -> Float[Array, "B h w C"]:
        for name, part in self.parts.items():
            x = part(name=name)(x, train)
        return x


class FusingHead(nn.Module):
    """GAP -> FC gives the feature of each stream; fusing both gives f, and FC(f) the identity logits.

    Attributes: those of `TwoResNet`.
    """

    num_classes: int
    feature_dim: int
    weighted: bool
    gating: Gating
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        low: Float[Array, "B H W C"],
        high: Float[Array, "B H W C"],
        width: Float[Array, " B"] | None,
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B T 2"]]:
        dtype = accurate(self.dtype)

        def feature(name: str, x: Float[Array, "B H W C"]) -> Float[Array, "B D"]:
            return Dense(self.feature_dim, dtype=dtype, name=name)(global_average_pool(x))

        features = feature("feature_low", low), feature("feature_high", high)
        if self.weighted:
            fused, gates = self.gating.fuse(*features, (low, high), width)
            gates = gates[:, None]
        else:
            fused = fuse(*features, jnp.full((low.shape[0], 2), 0.5, dtype))
            gates = jnp.zeros((low.shape[0], 0, 2), dtype)
        logits = Dense(self.num_classes, nearly_zero, dtype, name="classifier")(fused)
        return fused, logits, gates


@EXTRACTORS.register("two_resnet50")
class TwoResNet(TwoStreams):
    """Two complete ResNet50 on the same image, whose features are fused once, at the end.

    The paper says no more than that. Here each stream has a fully connected layer of its own and its feature is that of
    `ResNet`: with a common layer and equal gates, streams that start from the same weights would stay the same forever.
    Learned gates are predicted from the last maps of the streams as in a dual-stream block, (wL, wH) for (low, high),
    and are trained by Eq. 7 with T = 1.

    Attributes: those of `ResNet` (without `neck` and `squeeze_excitation`), and
      weighted: whether features are fused with learned gates (Eq. 6); otherwise they are averaged, and T is 0.
      gating: how the gates are predicted and trained.
    """

    OPTIONS: ClassVar = {**BODY_OPTIONS, **GATE_OPTIONS}

    num_classes: int
    feature_dim: int = 256
    weighted: bool = False
    gating: Gating = Gating()
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    last_stride: int = 2
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @classmethod
    def create(cls, context: Context) -> "TwoResNet":
        """Creates the network for a stage."""
        return cls(gating=Gating.of(context), **body(context))

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns torchvision's names after `low.` and `high.`; the head has `feature_low`, `gate_low.*` and so on."""
        rows: list[Tensor] = []
        for stream in STREAMS:
            stem, *stages = resnet_part_names()
            rows += stem_names(f"{stream}.", (stream, stem))
            for t, (name, blocks) in enumerate(zip(stages, self.stage_sizes, strict=True), 1):
                rows += stage_names((f"{stream}.layer{t}",), blocks, (stream, name))
            rows += layer("fc", f"feature_{stream}", ("head", f"feature_{stream}"))
            if self.weighted:
                rows += gate_names(f"gate_{stream}", "head", stream)
        return [*rows, *layer("fc", "classifier", ("head", "classifier"))]

    @nn.nowrap
    def backbone_names(self) -> list[Tensor]:
        """Returns torchvision's names, each for both streams."""
        places = {name: tuple((stream, name) for stream in STREAMS) for name in resnet_part_names()}
        return body_names(self.stage_sizes, places)

    @nn.nowrap
    def adopt(self, own: Tree, given: Tree) -> Tree:
        """See `Part`. Each stream takes over everything that a network with a single stream has."""
        adopted = adopt_parts(own, given)
        streams = [name for name in STREAMS if name in own and name not in given]
        adopted |= {name: merge(own[name], given) for name in streams}
        if "head" in own and streams:
            # Each stream's layer starts as the only one there, whose place it takes.
            head = given.get("head", {})
            layers = {f"feature_{stream}": head.get("feature") for stream in STREAMS}
            whole = {**own["head"], **layers, "classifier": head.get("classifier")}
            adopted = adopt_parts(adopted, {"head": whole})
        return adopted

    @property
    def adapts_to_width(self) -> bool:
        """See `Part`."""
        return self.weighted and self.gating.input == "width"

    @classmethod
    def stream_pairs(cls, params: Tree) -> dict[str, tuple[Tree, Tree]]:
        """See `Extractor`. A part of ResNet50 counts as a block."""
        low, high = STREAMS
        return {name: (params[low][name], params[high][name]) for name in resnet_part_names()}

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W 3"],
        train: bool,
        native_width: Int[Array, " B"] | None = None,
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B T 2"]]:
        """Returns features, identity logits, and the gates (wL, wH) if they are learned."""
        parts = resnet_parts(
            self.stage_sizes, self.last_stride, self.width, self.dtype, self.axis_name
        )
        low, high = (Trunk(parts, name=stream)(image, train) for stream in ("low", "high"))
        head = FusingHead(
            self.num_classes,
            self.feature_dim,
            self.weighted,
            self.gating,
            self.dtype,
            name="head",
        )
        return head(low, high, self.gating.width(image, native_width))


@EXTRACTORS.register("two_resnet50_weighted")
class WeightedTwoResNet(TwoResNet):
    """Two ResNet50 whose features are fused with learned gates."""

    weighted: bool = True
