"""RIFE: the Resolution-Invariant Feature Extractor (section 4.2)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from rireid_jax.components import EXTRACTORS, POSITIVE, Field, one_of
from rireid_jax.models.interfaces import Context, Extractor, Tree, adopt_parts, merge
from rireid_jax.models.layers import Dense, accurate, global_average_pool
from rireid_jax.models.resnet50 import (
    BODY_OPTIONS,
    Head,
    body,
    body_names,
    head_names,
    resnet_part_names,
    resnet_parts,
    stage_names,
    stem_names,
)
from rireid_jax.models.torch_names import Place, Tensor, layer

STREAMS = ("low", "high")
GATE_INPUTS = ("maps", "detached_maps", "width")
GATE_OPTIONS: Mapping[str, Field] = {
    "gate_dim": Field(
        64, "hidden width of the network that predicts a gate; paper section 5.2", POSITIVE
    ),
    "gate_input": Field(
        "maps",
        "what a gate is predicted from: maps, those of its stream (paper Figure 3); detached_maps, the same, but no "
        "gradient passes from the gate to them; width, the native width of the image",
        one_of(*GATE_INPUTS),
        small="detached_maps",
    ),
    "gate_losses": Field(
        "all",
        "losses that train the gates: all (Eq. 9), or resolution, Eq. 7 alone, so that the others take them as "
        "constants",
        one_of("all", "resolution"),
        small="resolution",
    ),
}


def fuse(
    low: Float[Array, "B *map C"], high: Float[Array, "B *map C"], gates: Float[Array, "B 2"]
) -> Float[Array, "B *map C"]:
    """Computes Eq. 6: m = wL * mL + wH * mH. The gates need not sum to 1.

    Args:
      low: mL, the map [B, H, W, C] or feature [B, D] of the low-resolution stream.
      high: mH, the same of the high-resolution stream.
      gates: gates (wL, wH) of each example.
    """
    weights = gates.astype(low.dtype).reshape(-1, 2, *[1] * (low.ndim - 1))
    return weights[:, 0] * low + weights[:, 1] * high


class Gate(nn.Module):
    """Predicts the gate of a stream: FC -> ReLU -> FC 1 -> sigmoid (Figure 3, section 5.2)."""

    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B C"]) -> Float[Array, " B"]:
        dtype = accurate(self.dtype)
        x = nn.relu(Dense(self.hidden, dtype=dtype, name="fc1")(x))
        return jax.nn.sigmoid(Dense(1, dtype=dtype, name="fc2")(x)[:, 0])


@dataclass(frozen=True)
class Gating:
    """How gates are predicted and trained.

    Attributes:
      hidden: hidden width of a `Gate`.
      input: one of `GATE_INPUTS`. The paper's gates see maps; after super-resolution these hardly tell the resolution
        any more, and through them Eq. 7 rewards images that keep looking low.
      losses: "all", or "resolution" if only Eq. 7 trains the gates.
      dtype: dtype of the activations; gates are at least float32.
    """

    hidden: int = 64
    input: str = "maps"
    losses: str = "all"
    dtype: DTypeLike = jnp.float32

    @classmethod
    def of(cls, context: Context) -> "Gating":
        """Returns what the options of a config say."""
        options = context.model
        return cls(options.gate_dim, options.gate_input, options.gate_losses, context.dtype)

    def fuse(
        self,
        low: Float[Array, "B *map C"],
        high: Float[Array, "B *map C"],
        maps: tuple[Float[Array, "B H W M"], Float[Array, "B H W M"]],
        width: Float[Array, " B"] | None,
    ) -> tuple[Float[Array, "B *map C"], Float[Array, "B 2"]]:
        """Predicts (wL, wH) and fuses with them (Eq. 6). The two `Gate`s become submodules of the calling module.

        Args:
          low: map or feature of the low-resolution stream.
          high: the same of the high-resolution stream.
          maps: the last maps of the two streams.
          width: native width of each image as a share of the input's, if the gates see it.

        Returns:
          The fused map or feature, and the gates.
        """
        gates = []
        for stream, x in zip(STREAMS, maps, strict=True):
            seen = global_average_pool(x) if width is None else width[:, None]
            seen = seen if self.input == "maps" else jax.lax.stop_gradient(seen)
            gates.append(Gate(self.hidden, self.dtype, name=f"gate_{stream}")(seen))
        both = jnp.stack(gates, axis=-1)
        weights = both if self.losses == "all" else jax.lax.stop_gradient(both)
        return fuse(low, high, weights), both

    def width(
        self, image: Float[Array, "B H W 3"], native_width: Int[Array, " B"] | None
    ) -> Float[Array, " B"] | None:
        """Returns the native width of each image as a share of the input's width, at most 1; None unless gates see it.

        Args:
          image: images at the network's size.
          native_width: width before enlargement, in pixels; None only while the network is initialised.
        """
        if self.input != "width":
            return None
        if native_width is None:
            return jnp.ones(len(image), accurate(self.dtype))
        return jnp.minimum(native_width / image.shape[2], 1).astype(accurate(self.dtype))


class DualStreamBlock(nn.Module):
    """DSB t: two complete copies of a part of ResNet50, whose maps are fused by predicted gates (Eq. 6).

    Attributes:
      stream: function that creates one copy, a `Stage` or a `Stem`, given its name.
      gating: how the gates are predicted.
    """

    stream: Callable[..., nn.Module]
    gating: Gating

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool, width: Float[Array, " B"] | None
    ) -> tuple[Float[Array, "B h w D"], Float[Array, "B 2"]]:
        low = self.stream(name="low")(x, train)
        high = self.stream(name="high")(x, train)
        return self.gating.fuse(low, high, (low, high), width)


class TwoStreams(Extractor):
    """The base of extractors with two streams, whose modules are named as `STREAMS` and `Gate`s as `gate_STREAM`."""

    @classmethod
    def rate_group(cls, path: tuple[str, ...]) -> str:
        """See `Part`."""
        if any(name.startswith("gate_") for name in path):
            return "gates"
        return "streams" if any(name in STREAMS for name in path) else ""


def gate_names(name: str, block: str, stream: str) -> Iterator[Tensor]:
    """Yields the names of the `Gate` of a stream, in a block or in a head."""
    for fc in ("fc1", "fc2"):
        yield from layer("fc", f"{name}.{fc}", (block, f"gate_{stream}", fc))


@EXTRACTORS.register("rife")
class RIFE(TwoStreams):
    """The stem, four dual-stream blocks, and the head.

    Attributes: those of `ResNet` (without `squeeze_excitation`), and
      gating: how the gates are predicted and trained.
      dual_stem: whether the stem is a dual-stream block too, the first of five; in the paper the streams share it.
    """

    OPTIONS: ClassVar = {**BODY_OPTIONS, **GATE_OPTIONS}
    necks: ClassVar[tuple[str, ...]] = ("fc", "batch_norm")

    num_classes: int
    neck: str = "fc"
    feature_dim: int = 256
    gating: Gating = Gating()
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    last_stride: int = 2
    dual_stem: bool = False
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @classmethod
    def create(cls, context: Context) -> "RIFE":
        """Creates the network for a stage."""
        return cls(neck=context.stage.neck, gating=Gating.of(context), **body(context))

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns our own names after `rife.`, because the paper's network has never been published.

        The names of bottlenecks are torchvision's.
        """
        rows = list(stem_names("rife.", ("stem",)))
        for t, blocks in enumerate(self.stage_sizes, start=1):
            for stream in STREAMS:
                name = f"rife.blocks.{t - 1}.{stream}"
                rows += stage_names((name,), blocks, (f"dsb{t}", stream))
                rows += gate_names(f"{name}_head", f"dsb{t}", stream)
        return [*rows, *head_names("rife.", self.neck)]

    @nn.nowrap
    def backbone_names(self) -> list[Tensor]:
        """Returns torchvision's names; both streams of a block start from the same weights."""
        stem, *stages = resnet_part_names()
        places: dict[str, tuple[Place, ...]] = {
            name: tuple((f"dsb{t}", stream) for stream in STREAMS)
            for t, name in enumerate(stages, start=1)
        }
        places[stem] = (
            tuple(("dsb0", stream) for stream in STREAMS) if self.dual_stem else ((stem,),)
        )
        return body_names(self.stage_sizes, places)

    @nn.nowrap
    def first_parameters(self, params: Tree) -> Tree:
        """Makes the two streams of every block equal, as section 5.2 does by duplication.

        They diverge later, because their gates respond to resolution differently.
        """
        return {
            name: {**block, "high": jax.tree.map(jnp.copy, block["low"])}
            if name.startswith("dsb")
            else block
            for name, block in params.items()
        }

    @nn.nowrap
    def adopt(self, own: Tree, given: Tree) -> Tree:
        """See `Part`. Both streams of a block take over the matching stage of a plain network."""
        adopted = adopt_parts(own, given)
        for name, block in own.items():
            stage = name.replace("dsb", "stage")
            if name not in given and stage in given:
                streams = {stream: merge(block[stream], given[stage]) for stream in STREAMS}
                adopted[name] = {**block, **streams}
        return adopted

    @property
    def adapts_to_width(self) -> bool:
        """See `Part`."""
        return self.gating.input == "width"

    @classmethod
    def stream_pairs(cls, params: Tree) -> dict[str, tuple[Tree, Tree]]:
        """See `Extractor`."""
        low, high = STREAMS
        return {
            name: (block[low], block[high])
            for name, block in sorted(params.items())
            if name.startswith("dsb")
        }

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W 3"],
        train: bool,
        native_width: Int[Array, " B"] | None = None,
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B T 2"]]:
        """Returns features, identity logits, and the gates (wL, wH) of every block."""
        parts = resnet_parts(
            self.stage_sizes, self.last_stride, self.width, self.dtype, self.axis_name
        )
        x, gates = image, []
        width = self.gating.width(image, native_width)
        for t, (name, part) in enumerate(parts.items()):
            if name == "stem" and not self.dual_stem:
                x = part(name=name)(x, train)
                continue
            block = DualStreamBlock(part, self.gating, name=f"dsb{t}")
            x, predicted = block(x, train, width)
            gates.append(predicted)
        head = Head(
            self.num_classes,
            self.neck,
            self.feature_dim,
            self.dtype,
            self.axis_name,
            name="head",
        )
        feature, logits = head(x, train)
        return feature, logits, jnp.stack(gates, axis=1)
