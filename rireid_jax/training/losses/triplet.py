"""The batch-hard triplet loss (Hermans et al. 2017), which the paper does not have."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rireid_jax.components import AT_LEAST_ZERO, LOSSES, Field
from rireid_jax.training.terms import Inputs, Term, Value


@LOSSES.register("triplet")
@dataclass(frozen=True)
class Triplet(Term):
    """The triplet loss of f, or of the feature before the neck if that is BNNeck (Luo et al. 2019).

    Attributes:
      margin: margin in units of Euclidean distance.
    """

    OPTIONS: ClassVar = {
        "margin": Field(
            0.3, "margin in units of Euclidean distance (Luo et al. 2019)", AT_LEAST_ZERO
        ),
    }
    needs: ClassVar = ("label", "before_neck")

    margin: float

    def __call__(self, inputs: Inputs) -> Value:
        assert inputs.before_neck is not None
        each = triplet_loss(
            inputs.before_neck, inputs.batch["label"], self.margin, inputs.axis_name
        )
        return Value(each, {"triplet_loss": each.mean()})


def triplet_loss(
    feature: Float[Array, "B D"], label: Int[Array, " B"], margin: float, axis_name: str | None
) -> Float[Array, " B"]:
    """Computes the batch-hard triplet loss (Hermans et al. 2017), [margin + |a - p| - |a - n|]+, for every example a.

    p is the farthest other example of the same identity and n the nearest example of another identity, both in the
    global batch. An example that lacks one of them has no triplet, and its loss is 0.

    Args:
      feature: features of this device's examples.
      label: labels of their identities.
      margin: margin in units of Euclidean distance.
      axis_name: mapped axis of devices, or None.
    """
    others, other_label, number = feature, label, jnp.arange(len(label))
    if axis_name is not None:
        others = jax.lax.all_gather(feature, axis_name, tiled=True)
        other_label = jax.lax.all_gather(label, axis_name, tiled=True)
        number += jax.lax.axis_index(axis_name) * len(label)
    same = label[:, None] == other_label
    positive = same & (number[:, None] != jnp.arange(len(other_label)))

    # No gradient passes through the choice of the hardest examples. It uses matrix products, which need little memory.
    # For features that are close to each other only differences are exact, so the chosen distances are computed again.
    a, b = jax.lax.stop_gradient((feature, others))
    products = jnp.matmul(a, b.T, precision="highest")
    squared = jnp.square(a).sum(-1)[:, None] + jnp.square(b).sum(-1) - 2 * products
    farthest = jnp.where(positive, squared, -jnp.inf).argmax(-1)
    nearest = jnp.where(same, jnp.inf, squared).argmin(-1)
    loss = margin + _distance(feature, others[farthest]) - _distance(feature, others[nearest])
    exists = positive.any(-1) & ~same.all(-1)
    return jnp.where(exists, jax.nn.relu(loss), 0)


def _distance(a: Float[Array, "B D"], b: Float[Array, "B D"]) -> Float[Array, " B"]:
    """Computes the Euclidean distance. For equal features it is 0, and so is its gradient."""
    squared = jnp.square(a - b).sum(-1)
    apart = squared > 0
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1)), 0)
