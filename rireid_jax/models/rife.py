"""RIFE: the Resolution-Invariant Feature Extractor (section 4.2)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rireid_jax.models.layers import Dense, accurate, global_average_pool
from rireid_jax.models.resnet import Head, resnet_parts


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


def duplicate_streams(params: dict[str, Any]) -> dict[str, Any]:
    """Makes the streams of every dual-stream block alike, as section 5.2 makes them: by duplication.

    What their weights make of different resolutions is what tells them apart later.
    """
    return {
        name: {**block, "high": jax.tree.map(jnp.copy, block["low"])} if "high" in block else block
        for name, block in params.items()
    }


def adopt(own: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What an extractor takes over from another one: every part that both have, and a plain one for both streams.

    An array without a counterpart stays as it is, such as those of squeeze-and-excitation beside a plain ResNet. A
    head is taken over whole or not at all: a classifier means nothing to other features.

    Args:
      own: parameters or running statistics of an extractor.
      given: the same kind, of an extractor of any kind.
    """
    adopted = {}
    for name, value in own.items():
        plain = name.replace("dsb", "stage")
        if name == "head":
            shapes = [jax.tree.map(jnp.shape, head) for head in (value, given.get("head"))]
            adopted[name] = given[name] if shapes[0] == shapes[1] else value
        elif name in given:
            adopted[name] = _merge(value, given[name])
        elif plain in given:
            streams = {stream: _merge(value[stream], given[plain]) for stream in ("low", "high")}
            adopted[name] = {**value, **streams}
        elif name in ("low", "high"):  # of two networks, each takes all that a single one has
            adopted[name] = _merge(value, given)
        else:
            adopted[name] = value
    return adopted


def _merge(own: Any, given: Any) -> Any:
    """`own` with copies of the arrays that `given` has under the same names."""
    if not isinstance(own, dict):
        return jnp.copy(given)
    return {
        name: _merge(value, given[name]) if name in given else value for name, value in own.items()
    }


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
