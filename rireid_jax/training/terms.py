"""The interface of loss terms. A stage minimises the sum of its terms, each times its loss weight (Eq. 4, Eq. 9)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from ml_collections import ConfigDict

from rireid_jax.components import Fields
from rireid_jax.models.interfaces import Context
from rireid_jax.models.network import Auxiliary, Network, Outputs

Variables = dict[str, dict[str, Any]]
# The inputs that a term may need: those in the batch, then outputs of the network. The last four need an extractor.
NEEDS = {
    *("target", "mask", "label", "resolution", "native_width"),
    *("restored", "feature", "logits", "gates", "before_neck"),
}


@dataclass(frozen=True)
class Inputs:
    """The inputs of a term: this device's part of a batch, and the outputs of the network for it.

    Attributes:
      batch: this device's part of the batch (see `step.make_train_step`).
      outputs: outputs of the network.
      before_neck: the feature that BNNeck normalises, or f itself, `[B, D]`; None unless a term needs "before_neck".
      network: the network.
      variables: {"params": {module: ...}, "batch_stats": {module: ...}} before this step.
      axis_name: mapped axis of devices, or None.
    """

    batch: Mapping[str, jax.Array]
    outputs: Outputs
    before_neck: Float[Array, "B D"] | None
    network: Network
    variables: Variables
    axis_name: str | None


class Counted(NamedTuple):
    """A metric that only some examples of a batch have: its mean is `total / number`, over any devices and steps.

    Attributes:
      total: sum over the examples that have it, divided by the number of all examples of this device.
      number: number of examples that have it, divided by that of all; 0 if the metric is unknown for this batch.
    """

    total: Float[Array, ""]
    number: Float[Array, ""]

    @classmethod
    def of(cls, each: Float[Array, " B"], counted: Bool[Array, " B"]) -> "Counted":
        """Returns the metric of a batch; where an example does not count, its value may be anything."""
        # This is a `where` and not a product, because such a value need not be finite.
        return cls(jnp.where(counted, each, 0).mean(), counted.astype(each.dtype).mean())


def mean_over_steps(values: Sequence[np.ndarray | Counted]) -> float | None:
    """Returns the mean of a metric of several steps, on the host; None if no example of any step has it."""
    if not isinstance(values[0], Counted):
        return float(np.mean(values))
    total, number = np.asarray(values, np.float64).sum(0).tolist()
    return total / number if number else None


@dataclass(frozen=True)
class Value:
    """The result of a term.

    Attributes:
      each: one value per example; the loss is their mean over the global batch.
      metrics: scalars to log, each a mean over this device's examples, or over those of them that count.
      batch_stats: running statistics that the term has updated, by module.
    """

    each: Float[Array, " B"]
    metrics: Mapping[str, Float[Array, ""] | Counted] = field(default_factory=dict)
    batch_stats: dict[str, Any] = field(default_factory=dict)


class Term:
    """A loss term: a frozen dataclass whose attributes are its options, registered in `components.LOSSES`.

    Class attributes:
      OPTIONS: fields of the term in `stage.losses.NAME`, in addition to "weight".
      needs: inputs that the term reads, some of `NEEDS`. Targets and masks are only decoded, and the feature before the
        neck is only kept, if a term needs them.
      brings: names of the networks that the term adds.
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
        """Creates the term for a stage."""
        return cls(**{name: options[name] for name in cls.OPTIONS})

    @classmethod
    def auxiliary(cls, options: ConfigDict, context: Context) -> dict[str, Auxiliary]:
        """Returns the networks that the term adds, by name. A stage may list them in `train`."""
        return {}

    @classmethod
    def problems(cls, options: ConfigDict, stage: ConfigDict) -> Iterator[tuple[str, str]]:
        """Yields the fields of a stage that are wrong for the term: (name in the stage, what was expected)."""
        yield from ()

    def __call__(self, inputs: Inputs) -> Value:
        """Computes the term for every example. JAX traces this function."""
        raise NotImplementedError


def per_valid_example(
    loss: Float[Array, " B"], valid: Float[Array, " B"], axis_name: str | None
) -> Float[Array, " B"]:
    """Rescales a loss so that its plain mean over the batch is the mean over the valid examples.

    An image without a high-resolution original has no restoration loss. Valid examples are counted over the global
    batch, so that the result does not depend on how the examples are distributed over devices.

    Args:
      loss: one value per example of this device.
      valid: 1 where the loss counts, else 0.
      axis_name: mapped axis of devices, or None.
    """
    fraction = valid.mean()
    if axis_name is not None:
        fraction = jax.lax.pmean(fraction, axis_name)
    # This is a `where` and not a product, because the loss of an invalid example need not be finite.
    counted = jnp.where(valid > 0, loss * valid, 0)
    return counted / jnp.where(fraction > 0, fraction, 1)
