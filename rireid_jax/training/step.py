"""One training step: the same function under pmap, under shard_map, and on a single device."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict

from rireid_jax.data.masks import gaussian_mask, released_mask
from rireid_jax.models.csr_gan import CSRGAN
from rireid_jax.models.layers import accurate
from rireid_jax.models.network import Network, Outputs
from rireid_jax.models.pixels import normalise
from rireid_jax.training import losses
from rireid_jax.training.adversarial import cascade_loss
from rireid_jax.training.state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
StepFunction = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_train_step(
    config: ConfigDict,
    stage: str,
    network: Network,
    optimizer: optax.GradientTransformation,
    axis_name: str | None = None,
) -> StepFunction:
    """The step of a stage: Eq. 4 on this device's part of the batch, and one update of what learns.

    Args:
      config: the whole config.
      stage: key of `config.stages`; says what learns and which losses have weight.
      network: with batch norms on the same `axis_name`.
      optimizer: of the stage.
      axis_name: the mapped axis of devices, or None for one device. The result is that of the global batch.

    Returns:
      A pure function from (state, batch) to (state, metrics). The batch holds "image" and "target" uint8
      [B, H, W, 3], "mask" uint8 [B, H, W], "has_target" and "resolution" float32 [B], "label" int32 [B];
      "native_width" int32 [B] for CSR-GAN; and "erased", int32 [B, 4], where rectangles (top, left, height, width) are
      erased at random.
    """
    spec = config.stages[stage]
    train = tuple(spec.train)
    triplets = bool(spec.alpha and config.loss.triplet_weight)
    cascade = isinstance(network.super_resolution, CSRGAN)

    def mask_of(batch: Batch) -> Float[Array, "#B H W"]:
        height, width = batch["image"].shape[1:3]
        if spec.mask == "gaussian":
            return jnp.asarray(gaussian_mask(height, width, tuple(config.loss.mask_sigma)))[None]
        if spec.mask in ("released", "released_fixed"):
            mask = released_mask(height, width, index_bug=spec.mask == "released")
            return jnp.asarray(mask)[None]
        if spec.mask == "segmentation":
            return batch["mask"].astype(jnp.float32) / 255
        return jnp.ones((1, height, width), jnp.float32)

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
            batch["native_width"] if cascade else None,
            mutable=["batch_stats", "intermediates"] if triplets else ["batch_stats"],
        )
        metrics, batch_stats = {}, updates.get("batch_stats", {})
        none = jnp.zeros(batch["label"].shape, accurate(outputs.restored.dtype))
        ffsr = rife = discriminators = none
        if spec.sr_weight and cascade:
            # Where there is no original, the image as it is keeps the batch's statistics those of persons.
            has_target = batch["has_target"][:, None, None, None] > 0
            original = normalise(jnp.where(has_target, batch["target"], batch["image"]))
            ffsr, discriminators, changed, found = cascade_loss(
                config, network, variables, original, batch["has_target"], axis_name
            )
            batch_stats, metrics = {**batch_stats, **changed}, found
        elif spec.sr_weight:
            ffsr = losses.ffsr_loss(outputs.restored, normalise(batch["target"]), mask_of(batch))
            valid = batch["has_target"]
            if spec.sr_of_low:
                valid = valid * (batch["image"] != batch["target"]).any((1, 2, 3))
            ffsr = losses.per_valid_example(ffsr, valid, axis_name)
            metrics["ffsr_loss"] = ffsr.mean()
        if spec.alpha:
            identity = losses.identity_loss(
                outputs.logits, batch["label"], config.loss.label_smoothing
            )
            resolution = losses.resolution_loss(outputs.gates, batch["resolution"])
            metrics["identity_loss"] = identity.mean()
            if triplets:
                triplet = losses.triplet_loss(
                    _before_neck(outputs, updates),
                    batch["label"],
                    config.loss.triplet_margin,
                    axis_name,
                )
                metrics["triplet_loss"] = triplet.mean()
                identity = identity + config.loss.triplet_weight * triplet
            rife = losses.rife_loss(identity, resolution, config.loss.beta)
            metrics["accuracy"] = (outputs.logits.argmax(-1) == batch["label"]).mean()
            if resolution.shape[-1]:
                metrics["resolution_loss"] = resolution.sum(-1).mean()
        loss = losses.total_loss(ffsr, rife, spec.sr_weight, spec.alpha).mean()
        metrics["loss"] = loss
        # Of parameters that no other term has: one gradient of the sum is that of each.
        return loss + discriminators.mean(), (batch_stats, metrics)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        learning = {name: state.params[name] for name in train}
        local = learning
        if axis_name is not None:
            # Gradients stay this device's own until the one mean below. Without this cast, shard_map's
            # replication check would sum them on the way, and the mean would come after a sum.
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


def _before_neck(outputs: Outputs, updates: Mapping[str, Any]) -> Float[Array, "B D"]:
    """What the triplet loss compares: f, or what BNNeck makes f of (Luo et al. 2019)."""
    head = updates.get("intermediates", {}).get("extractor", {}).get("head", {})
    assert outputs.feature is not None
    return head["before_neck"][0] if head else outputs.feature


def _inside(rectangle: Int[Array, "B 4"], height: int, width: int) -> Bool[Array, "B height width"]:
    """The pixels of each image in its rectangle (top, left, height, width)."""
    top, left, tall, wide = (column[:, None] for column in rectangle.T)
    y, x = jnp.arange(height), jnp.arange(width)
    rows, columns = (top <= y) & (y < top + tall), (left <= x) & (x < left + wide)
    return rows[:, :, None] & columns[:, None, :]
