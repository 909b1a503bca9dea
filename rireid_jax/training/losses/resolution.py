"""Eq. 7: the resolution loss, which trains the gates."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from rireid_jax.components import LOSSES
from rireid_jax.training.terms import Inputs, Term, Value


@LOSSES.register("resolution")
@dataclass(frozen=True)
class Resolution(Term):
    """The sum of Eq. 7 over all blocks; it is 0 in a network without gates. Its loss weight is beta of Eq. 9."""

    needs: ClassVar = ("gates",)

    def __call__(self, inputs: Inputs) -> Value:
        gates = inputs.outputs.gates
        assert gates is not None
        each = resolution_loss(gates, inputs.batch["resolution"]).sum(-1)
        return Value(each, {"resolution_loss": each.mean()} if gates.shape[1] else {})


def resolution_loss(
    gates: Float[Array, "B T 2"], resolution: Float[Array, " B"]
) -> Float[Array, "B T"]:
    """Computes Eq. 7 for every dual-stream block t: (wL - (1 - r))^2 + (wH - r)^2.

    Args:
      gates: gates (wL, wH) of the T blocks.
      resolution: resolution r of each image, in (0, 1].
    """
    r = resolution[:, None]
    return jnp.square(gates[..., 0] - (1 - r)) + jnp.square(gates[..., 1] - r)
