"""One training step. It is the same function under pmap, under shard_map, and on a single device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict

from rireid_jax.components import LOSSES
from rireid_jax.models.interfaces import Context
from rireid_jax.models.network import Network, Outputs
from rireid_jax.models.pixels import normalise
from rireid_jax.training.state import TrainState
from rireid_jax.training.terms import Counted, Inputs

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array | Counted]
StepFunction = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_train_step(
    config: ConfigDict,
    stage: str,
    network: Network,
    optimizer: optax.GradientTransformation,
    axis_name: str | None = None,
) -> StepFunction:
    """Makes the step of a stage: the sum of its loss terms on this device's part of the batch, and one update.

    Args:
      config: the whole config.
      stage: key of `config.stages`; it says which modules learn and which terms have a loss weight.
      network: network of the stage, with batch norms on the same `axis_name`.
      optimizer: optimizer of the stage.
      axis_name: mapped axis of devices, or None for one device. The result is that of the global batch.

    Returns:
      A pure function from (state, batch) to (state, metrics). The batch holds "image" and "target" uint8
      [B, H, W, 3], "mask" uint8 [B, H, W], "has_target" and "resolution" float32 [B], "label" int32 [B], for networks
      that adapt to it "native_width" int32 [B], and with random erasing "erased" int32 [B, 4], the rectangles (top,
      left, height, width) in pixels.
    """
    spec = config.stages[stage]
    train = tuple(spec.train)
    context = Context.of(config, stage, axis_name=axis_name)
    weights = {name: own.weight for name, own in spec.losses.items() if own.weight}
    terms = {name: LOSSES[name].create(spec.losses[name], context) for name in weights}
    keeps_before_neck = any("before_neck" in term.needs for term in terms.values())

    def loss_fn(
        learning: dict[str, Any], state: TrainState, batch: Batch
    ) -> tuple[Float[Array, ""], tuple[dict[str, Any], Metrics]]:
        variables = {
            "params": {**state.params, **learning},
            "batch_stats": state.batch_stats,
        }
        outputs, updates = network.apply(
            variables,
            normalise(batch["image"]),
            train,
            _inside(batch["erased"], *batch["image"].shape[1:3]) if "erased" in batch else None,
            batch.get("native_width"),
            mutable=["batch_stats", "intermediates"] if keeps_before_neck else ["batch_stats"],
        )
        before_neck = _before_neck(outputs, updates) if keeps_before_neck else None
        inputs = Inputs(batch, outputs, before_neck, network, variables, axis_name)
        values = {name: term(inputs) for name, term in terms.items()}
        batch_stats: dict[str, Any] = dict(updates.get("batch_stats", {}))
        metrics: Metrics = {}
        for value in values.values():
            batch_stats |= value.batch_stats
            metrics |= value.metrics
        loss = sum(weights[name] * value.each for name, value in values.items()).mean()
        metrics["loss"] = loss
        return loss, (batch_stats, metrics)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        learning = {name: state.params[name] for name in train}
        local = learning
        if axis_name is not None:
            # Each device keeps its own gradients until the single mean below. Without this cast, shard_map's
            # replication check would already sum them in the backward pass.
            local = jax.tree.map(lambda p: jax.lax.pcast(p, axis_name, to="varying"), learning)
        gradient = jax.grad(loss_fn, has_aux=True)
        grads, (batch_stats, metrics) = gradient(local, state, batch)
        if axis_name is not None:
            grads, metrics = jax.lax.pmean((grads, metrics), axis_name)
        metrics["gradient_norm"] = optax.tree.norm(grads)
        updates, opt_state = optimizer.update(grads, state.opt_state, learning)
        learning = optax.apply_updates(learning, updates)
        state = TrainState(
            step=state.step + 1,
            params={**state.params, **learning},
            batch_stats={**state.batch_stats, **batch_stats},
            opt_state=opt_state,
        )
        return state, metrics

    return train_step


def _before_neck(outputs: Outputs, updates: Any) -> Float[Array, "B D"]:
    """Returns the feature before BNNeck, which the triplet loss uses (Luo et al. 2019); f with any other neck."""
    head = updates.get("intermediates", {}).get("extractor", {}).get("head", {})
    assert outputs.feature is not None
    return head["before_neck"][0] if head else outputs.feature


def _inside(rectangle: Int[Array, "B 4"], height: int, width: int) -> Bool[Array, "B height width"]:
    """Returns a mask of the pixels of each image inside its rectangle (top, left, height, width)."""
    top, left, tall, wide = (column[:, None] for column in rectangle.T)
    y, x = jnp.arange(height), jnp.arange(width)
    rows, columns = (top <= y) & (y < top + tall), (left <= x) & (x < left + wide)
    return rows[:, :, None] & columns[:, None, :]
