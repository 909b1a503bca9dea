"""RIFE: the Resolution-Invariant Feature Extractor (section 4.2)."""

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
    """DSB t: two complete copies of ResNet50's stage t, weighed by a predicted resolution (Eq. 6)."""

    planes: int
    blocks: int
    stride: int
    gate_dim: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool
    ) -> tuple[Float[Array, "B h w D"], Float[Array, "B 2"]]:
        stream = (self.planes, self.blocks, self.stride, self.dtype, self.axis_name)
        low = Stage(*stream, name="low")(x, train)
        high = Stage(*stream, name="high")(x, train)
        gates = jnp.stack(
            [
                Gate(self.gate_dim, self.dtype, name="gate_low")(low),
                Gate(self.gate_dim, self.dtype, name="gate_high")(high),
            ],
            axis=-1,
        )
        return fuse(low, high, gates), gates


class RIFE(nn.Module):
    """A stem shared by both streams, four dual-stream blocks, and the head.

    Attributes: as `ResNet`'s, and
      gate_dim: hidden width of the weight heads; 64 in section 5.2.
    """

    num_classes: int
    feature_dim: int = 256
    gate_dim: int = 64
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    last_stride: int = 2
    width: float = 1.0
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, image: Float[Array, "B H W 3"], train: bool
    ) -> tuple[Float[Array, "B D"], Float[Array, "B N"], Float[Array, "B T 2"]]:
        """Features, identity logits, and the weights (wL, wH) of every block."""
        x = Stem(scaled(self.width, 64), self.dtype, self.axis_name, name="stem")(image, train)
        gates = []
        strides = stage_strides(self.last_stride)
        for t, (planes, blocks, stride) in enumerate(
            zip(PLANES, self.stage_sizes, strides, strict=True), start=1
        ):
            block = DualStreamBlock(
                scaled(self.width, planes),
                blocks,
                stride,
                self.gate_dim,
                self.dtype,
                self.axis_name,
                name=f"dsb{t}",
            )
            x, weights = block(x, train)
            gates.append(weights)
        feature, logits = Head(self.feature_dim, self.num_classes, self.dtype, name="head")(x)
        return feature, logits, jnp.stack(gates, axis=1)
