"""Eq. 8: the identity loss."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import optax
from jaxtyping import Array, Float, Int

from rireid_jax.components import BELOW_ONE, LOSSES, Field
from rireid_jax.training.terms import Inputs, Term, Value


@LOSSES.register("identity")
@dataclass(frozen=True)
class Identity(Term):
    """Eq. 8: cross-entropy of the predicted identity.

    Attributes:
      smoothing: epsilon of label smoothing.
    """

    OPTIONS: ClassVar = {
        "smoothing": Field(
            0.0,
            "epsilon of label smoothing (Szegedy et al. 2016; 0.1 in Luo et al. 2019); the paper has none",
            BELOW_ONE,
        ),
    }
    needs: ClassVar = ("label", "logits")

    smoothing: float

    def __call__(self, inputs: Inputs) -> Value:
        logits, label = inputs.outputs.logits, inputs.batch["label"]
        assert logits is not None
        each = identity_loss(logits, label, self.smoothing)
        return Value(
            each, {"identity_loss": each.mean(), "accuracy": (logits.argmax(-1) == label).mean()}
        )


def identity_loss(
    logits: Float[Array, "B N"], label: Int[Array, " B"], smoothing: float = 0.0
) -> Float[Array, " B"]:
    """Computes Eq. 8: cross-entropy of FC(f) with the label of the identity in [0, N).

    Args:
      logits: FC(f), one logit per identity.
      label: label of the identity.
      smoothing: epsilon of label smoothing (Szegedy et al. 2016), the share of the label's probability that is
        spread evenly over all N identities. The paper has none.
    """
    right = optax.losses.softmax_cross_entropy_with_integer_labels(logits, label)
    if not smoothing:
        return right
    of_all = jax.nn.logsumexp(logits, axis=-1) - logits.mean(-1)
    return (1 - smoothing) * right + smoothing * of_all
