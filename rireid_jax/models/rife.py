"""RIFE: the Resolution-Invariant Feature Extractor (section 4.2)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rireid_jax.models.layers import Dense, accurate, global_average_pool, scaled
from rireid_jax.models.resnet import PLANES, Head, Stage, Stem, stage_strides


def fuse(
    low: Float[Array, "B H W C"], high: Float[Array, "B H W C"], gates: Float[Array, "B 2"]
) -> Float[Array, "B H W C"]:
    """Eq. 6: m = wL * mL + wH * mH. The weights need not sum to 1.

    Args:
      low: map of the low-resolution stream, mL.
      high: map of the high-resolution stream, mH.
      gates: (wL, wH) of each example.
    """
    weights = gates.astype(low.dtype)[:, :, None, None, None]
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
        gates = jnp.stack(
            [
                Gate(self.gate_dim, self.dtype, name="gate_low")(low),
                Gate(self.gate_dim, self.dtype, name="gate_high")(high),
            ],
            axis=-1,
        )
        return fuse(low, high, gates), gates


def duplicate_streams(params: dict[str, Any]) -> dict[str, Any]:
    """Makes the streams of every dual-stream block alike, as section 5.2 makes them: by duplication.

    What their weights make of different resolutions is what tells them apart later.
    """
    return {
        name: {**block, "high": jax.tree.map(jnp.copy, block["low"])} if "high" in block else block
        for name, block in params.items()
    }


def adopt(own: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What an extractor takes over from another one: all that it has, and a plain stage for both streams.

    Args:
      own: parameters or running statistics of an extractor.
      given: the same kind, of the same extractor or of a `ResNet`.
    """
    adopted = {}
    for name, value in own.items():
        plain = name.replace("dsb", "stage")
        if name in given:
            adopted[name] = given[name]
        elif plain in given:
            streams = {stream: jax.tree.map(jnp.copy, given[plain]) for stream in ("low", "high")}
            adopted[name] = {**value, **streams}
        else:
            adopted[name] = value
    return adopted


class RIFE(nn.Module):
    """The stem, four dual-stream blocks, and the head.

    The network of the authors' code is `RIFE(neck="batch_norm", gate_dim=16, last_stride=1, dual_stem=True)`.

    Attributes: as `ResNet`'s, and
      gate_dim: hidden width of the weight heads; 64 in section 5.2.
      dual_stem: makes the stem a dual-stream block too, the first of five; the paper's streams share it.
    """

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

    @nn.compact
    def __call__(
        self, image: Float[Array, "B H W 3"], train: bool
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B T 2"]]:
        """Features, identity logits, and the weights (wL, wH) of every block."""
        stem = partial(Stem, scaled(self.width, 64), self.dtype, self.axis_name)
        gates = []
        if self.dual_stem:
            block = DualStreamBlock(stem, self.gate_dim, self.dtype, name="dsb0")
            x, weights = block(image, train)
            gates.append(weights)
        else:
            x = stem(name="stem")(image, train)
        strides = stage_strides(self.last_stride)
        for t, (planes, blocks, stride) in enumerate(
            zip(PLANES, self.stage_sizes, strides, strict=True), start=1
        ):
            planes = scaled(self.width, planes)
            stage = partial(Stage, planes, blocks, stride, self.dtype, self.axis_name)
            block = DualStreamBlock(stage, self.gate_dim, self.dtype, name=f"dsb{t}")
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
