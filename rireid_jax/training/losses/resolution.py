"""Eq. 7: what the gates should be."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from rireid_jax.components import LOSSES
from rireid_jax.training.terms import Inputs, Term, Value


@LOSSES.register("resolution")
@dataclass(frozen=True)
class Resolution(Term):
    """The sum over blocks of Eq. 7; its weight is beta of Eq. 9. It is 0 in a network without gates."""

    needs: ClassVar = ("gates",)

    def __call__(self, inputs: Inputs) -> Value:
        gates = inputs.outputs.gates
        assert gates is not None
        each = resolution_loss(gates, inputs.batch["resolution"]).sum(-1)
        return Value(each, {"resolution_loss": each.mean()} if gates.shape[1] else {})


def resolution_loss(
    gates: Float[Array, "B T 2"], resolution: Float[Array, " B"]
) -> Float[Array, "B T"]:
    """Eq. 7 of every dual-stream block t: (wL - (1 - r))^2 + (wH - r)^2.

    Args:
      gates: (wL, wH) of the T blocks.
      resolution: r in (0, 1].
    """
    r = resolution[:, None]
    return jnp.square(gates[..., 0] - (1 - r)) + jnp.square(gates[..., 1] - r)
