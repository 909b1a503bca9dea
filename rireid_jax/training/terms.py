"""What a loss term must offer. A stage minimises the sum of its terms, each times its weight (Eq. 4, Eq. 9)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from rireid_jax.components import Fields
from rireid_jax.models.interfaces import Context
from rireid_jax.models.network import Auxiliary, Network, Outputs

Variables = dict[str, dict[str, Any]]
# What a term can need: of the batch, then of the network's outputs. The last four are an extractor's.
NEEDS = {
    *("target", "mask", "label", "resolution", "native_width"),
    *("restored", "feature", "logits", "gates", "before_neck"),
}


@dataclass(frozen=True)
class Inputs:
    """What a term may look at: this device's part of a batch, and what the network made of it.

    Attributes:
      batch: see `step.make_train_step`.
      outputs: of the network.
      before_neck: the feature that BNNeck normalises, or f itself, `[B, D]`; None unless a term needs "before_neck".
      network: that made the outputs.
      variables: {"params": {module: ...}, "batch_stats": {module: ...}}, as they were before this step.
      axis_name: the mapped axis of devices, or None.
    """

    batch: Mapping[str, jax.Array]
    outputs: Outputs
    before_neck: Float[Array, "B D"] | None
    network: Network
    variables: Variables
    axis_name: str | None


@dataclass(frozen=True)
class Value:
    """What a term gives.

    Attributes:
      each: one value per example; the loss is the mean over the global batch.
      metrics: scalars to log, means over this device's examples.
      batch_stats: running statistics that the term has changed, by module.
    """

    each: Float[Array, " B"]
    metrics: dict[str, Float[Array, ""]] = field(default_factory=dict)
    batch_stats: dict[str, Any] = field(default_factory=dict)


class Term:
    """A loss term: a frozen dataclass whose attributes are its options, registered in `components.LOSSES`.

    Class attributes:
      OPTIONS: its fields in `stage.losses.NAME`, next to "weight".
      needs: what it reads: "target" and "label" of the batch, "logits", "feature", "gates" or "before_neck" of the
        extractor. The loader decodes no targets, and the step keeps no feature before the neck, that no term needs.
      brings: names of the networks that it brings.
    """

    OPTIONS: ClassVar[Fields] = {}
    needs: ClassVar[tuple[str, ...]] = ()
    brings: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        unknown = sorted(set(cls.needs) - NEEDS)
        if unknown:
            raise ValueError(
                f"{cls.__name__} needs {unknown[0]!r}, expected {', '.join(sorted(NEEDS))}"
            )

    @classmethod
    def create(cls, options: ConfigDict, context: Context) -> "Term":
        """The term of a stage."""
        return cls(**{name: options[name] for name in cls.OPTIONS})

    @classmethod
    def auxiliary(cls, options: ConfigDict, context: Context) -> dict[str, Auxiliary]:
        """The networks that the term brings, by name; a stage may let them learn."""
        return {}

    @classmethod
    def problems(cls, options: ConfigDict, stage: ConfigDict) -> Iterator[tuple[str, str]]:
        """Fields of a stage that do not suit the term: (name in the stage, what was expected)."""
        yield from ()

    def __call__(self, inputs: Inputs) -> Value:
        """The term's value for every example. It is traced."""
        raise NotImplementedError


def per_valid_example(
    loss: Float[Array, " B"], valid: Float[Array, " B"], axis_name: str | None
) -> Float[Array, " B"]:
    """Re-weighs a loss so that its plain mean over the batch is the mean over the valid examples.

    An image without a high-resolution counterpart has no super-resolution loss. The count of valid examples
    is the global batch's, so that the result does not depend on how examples fall on devices.

    Args:
      loss: one value per example of this device.
      valid: 1 where the loss counts, else 0.
      axis_name: the mapped axis of devices, or None.
    """
    fraction = valid.mean()
    if axis_name is not None:
        fraction = jax.lax.pmean(fraction, axis_name)
    # A where, not a product: an invalid example's loss may be anything, also not finite.
    counted = jnp.where(valid > 0, loss * valid, 0)
    return counted / jnp.where(fraction > 0, fraction, 1)
