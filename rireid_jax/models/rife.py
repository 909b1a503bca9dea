"""RIFE: the Resolution-Invariant Feature Extractor (section 4.2)."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rireid_jax.components import EXTRACTORS, POSITIVE, Field
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
GATE_OPTION: Mapping[str, Field] = {
    "gate_dim": Field(64, "hidden width of a gate; paper section 5.2", POSITIVE)
}


def fuse(
    low: Float[Array, "B *map C"], high: Float[Array, "B *map C"], gates: Float[Array, "B 2"]
) -> Float[Array, "B *map C"]:
    """Eq. 6: m = wL * mL + wH * mH. The weights need not sum to 1.

    Args:
      low: map [B, H, W, C] or feature [B, D] of the low-resolution stream, mL.
      high: that of the high-resolution stream, mH.
      gates: (wL, wH) of each example.
    """
    weights = gates.astype(low.dtype).reshape(-1, 2, *[1] * (low.ndim - 1))
    return weights[:, 0] * low + weights[:, 1] * high


class Gate(nn.Module):
    """A stream's weight from its own map: GAP -> FC -> ReLU -> FC 1 -> sigmoid (Figure 3, section 5.2)."""

    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, " B"]:
        dtype = accurate(self.dtype)
        x = nn.relu(Dense(self.hidden, dtype=dtype, name="fc1")(global_average_pool(x)))
        return jax.nn.sigmoid(Dense(1, dtype=dtype, name="fc2")(x)[:, 0])


def predict_gates(
    low: Float[Array, "B H W C"], high: Float[Array, "B H W C"], hidden: int, dtype: DTypeLike
) -> Float[Array, "B 2"]:
    """(wL, wH), each from its stream's map; the two `Gate`s are of the module that calls."""
    gates = [Gate(hidden, dtype, name="gate_low")(low), Gate(hidden, dtype, name="gate_high")(high)]
    return jnp.stack(gates, axis=-1)


class DualStreamBlock(nn.Module):
    """DSB t: two complete copies of a part of ResNet50, weighed by a predicted resolution (Eq. 6).

    Attributes:
      stream: makes one copy, a `Stage` or a `Stem`, given its name.
      gate_dim: hidden width of the weight heads.
      dtype: of activations.
    """

    stream: Callable[..., nn.Module]
    gate_dim: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool
    ) -> tuple[Float[Array, "B h w D"], Float[Array, "B 2"]]:
        low = self.stream(name="low")(x, train)
        high = self.stream(name="high")(x, train)
        gates = predict_gates(low, high, self.gate_dim, self.dtype)
        return fuse(low, high, gates), gates


def gate_names(name: str, block: str, stream: str) -> Iterator[Tensor]:
    """Names of a stream's `Gate` in a block or head."""
    for fc in ("fc1", "fc2"):
        yield from layer("fc", f"{name}.{fc}", (block, f"gate_{stream}", fc))


@EXTRACTORS.register("rife")
class RIFE(Extractor):
    """The stem, four dual-stream blocks, and the head.

    Attributes: as `ResNet`'s, and
      gate_dim: hidden width of the gates; 64 in section 5.2.
      dual_stem: makes the stem a dual-stream block too, the first of five; the paper's streams share it.
    """

    OPTIONS: ClassVar = {**BODY_OPTIONS, **GATE_OPTION}
    necks: ClassVar[tuple[str, ...]] = ("fc", "batch_norm")

    num_classes: int
    neck: str = "fc"
    feature_dim: int = 256
    gate_dim: int = 64
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    last_stride: int = 2
    dual_stem: bool = False
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @classmethod
    def create(cls, context: Context) -> "RIFE":
        """The network of a stage."""
        return cls(neck=context.stage.neck, gate_dim=context.model.gate_dim, **body(context))

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Under `rife.`, as nobody has published the paper's network; bottlenecks as torchvision names them."""
        rows = list(stem_names("rife.", ("stem",)))
        for t, blocks in enumerate(self.stage_sizes, start=1):
            for stream in STREAMS:
                name = f"rife.blocks.{t - 1}.{stream}"
                rows += stage_names((name,), blocks, (f"dsb{t}", stream))
                rows += gate_names(f"{name}_head", f"dsb{t}", stream)
        return [*rows, *head_names("rife.", self.neck)]

    @nn.nowrap
    def backbone_names(self) -> list[Tensor]:
        """torchvision's; both streams of a block start from the same weights."""
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
        """Makes the streams of every block alike, as section 5.2 makes them: by duplication.

        What their gates make of different resolutions is what tells them apart later.
        """
        return {
            name: {**block, "high": jax.tree.map(jnp.copy, block["low"])}
            if name.startswith("dsb")
            else block
            for name, block in params.items()
        }

    @nn.nowrap
    def adopt(self, own: Tree, given: Tree) -> Tree:
        """See `Part`. Both streams of a block take over a plain network's stage."""
        adopted = adopt_parts(own, given)
        for name, block in own.items():
            stage = name.replace("dsb", "stage")
            if name not in given and stage in given:
                streams = {stream: merge(block[stream], given[stage]) for stream in STREAMS}
                adopted[name] = {**block, **streams}
        return adopted

    @nn.compact
    def __call__(
        self, image: Float[Array, "B H W 3"], train: bool
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B T 2"]]:
        """Features, identity logits, and the weights (wL, wH) of every block."""
        parts = resnet_parts(
            self.stage_sizes, self.last_stride, self.width, self.dtype, self.axis_name
        )
        x, gates = image, []
        for t, (name, part) in enumerate(parts.items()):
            if name == "stem" and not self.dual_stem:
                x = part(name=name)(x, train)
                continue
            block = DualStreamBlock(part, self.gate_dim, self.dtype, name=f"dsb{t}")
            x, weights = block(x, train)
            gates.append(weights)
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
