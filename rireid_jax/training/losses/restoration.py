"""Eq. 5: the restoration loss, the distance of restored persons from their originals."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from rireid_jax.components import LOSSES, MASKS, Field, Slot
from rireid_jax.models.pixels import normalise
from rireid_jax.training.terms import Inputs, Term, Value, per_valid_example


@LOSSES.register("restoration")
@dataclass(frozen=True)
class Restoration(Term):
    """The mean of Eq. 5 over the images that have an original.

    Attributes:
      mask: section of the config that names the mask M.
      low_only: whether images that are their own original are left out, as in SING.
    """

    OPTIONS: ClassVar = {
        "mask": Slot(MASKS, "none"),
        "low_only": Field(
            False, "whether images that are their own original are left out, as in SING"
        ),
    }
    needs: ClassVar = ("restored", "target", "mask")

    mask: ConfigDict
    low_only: bool

    def __call__(self, inputs: Inputs) -> Value:
        batch = inputs.batch
        mask = MASKS[self.mask.name].create(self.mask)(batch)
        loss = ffsr_loss(inputs.outputs.restored, normalise(batch["target"]), mask)
        valid = batch["has_target"]
        if self.low_only:
            valid = valid * (batch["image"] != batch["target"]).any((1, 2, 3))
        each = per_valid_example(loss, valid, inputs.axis_name)
        return Value(each, {"ffsr_loss": each.mean()})


def ffsr_loss(
    restored: Float[Array, "B H W 3"],
    target: Float[Array, "B H W 3"],
    mask: Float[Array, "#B H W"],
) -> Float[Array, " B"]:
    """Computes Eq. 5, |M * (I^r' - I^h)|^2, as a mean over pixels and channels.

    Args:
      restored: I^r', the restored image, normalised.
      target: I^h, the high-resolution original, normalised.
      mask: the mask M in [0, 1]; ones give the plain mean squared error.
    """
    return jnp.square(mask[..., None] * (restored - target)).mean((1, 2, 3))
