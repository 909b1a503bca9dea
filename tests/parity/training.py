"""Twenty training steps of either variant, on both sides, from the same weights on the same batches."""

from functools import lru_cache
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch_reference import losses as their_losses
from torch_reference import train as their_train

from rireid_jax.models.pixels import DEVIATION, MEAN
from rireid_jax.training import optimizer as optimizers
from rireid_jax.training import state, step
from rireid_jax.training.losses import restoration
from rireid_jax.weights import from_state_dict

from .narrow import IDENTITIES
from .pairs import Pair, gradients_of, make_pair, numpy_state, quick_jit, to_torch

BATCH, HEIGHT, WIDTH = 4, 64, 32
STEPS, DROP = 20, 10  # the learning rate drops after DROP steps


class Run(NamedTuple):
    """What a training run on both sides leaves to compare, ours first."""

    gradients: tuple[Any, Any]
    one_step: tuple[Any, Any]
    all_steps: tuple[Any, Any]
    losses: tuple[list[float], list[float]]


def _batches(dtype: str) -> list[tuple[dict[str, Any], their_train.Batch]]:
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(STEPS):
        image, target = rng.integers(0, 256, (2, BATCH, HEIGHT, WIDTH, 3), np.uint8)
        valid = np.ones(BATCH, np.float32)
        valid[rng.integers(BATCH)] = 0
        label = rng.integers(0, IDENTITIES, BATCH).astype(np.int32)
        resolution = (rng.integers(1, 65, BATCH) / 64).astype(np.float32)
        ours = {
            "image": image,
            "target": target,
            "mask": np.full((BATCH, HEIGHT, WIDTH), 255, np.uint8),
            "has_target": valid,
            "resolution": resolution,
            "label": label,
        }
        as_float = getattr(torch, dtype)
        theirs = their_train.Batch(
            image=to_torch(_normalise(image, dtype)),
            target=to_torch(_normalise(target, dtype)),
            mask=torch.ones(BATCH, 1, HEIGHT, WIDTH, dtype=as_float),
            valid=torch.from_numpy(valid > 0),
            resolution=torch.from_numpy(resolution).to(as_float),
            pid=torch.from_numpy(label).long(),
        )
        batches.append((ours, theirs))
    return batches


def _normalise(image: Any, dtype: str) -> Any:
    """`normalise` in another precision than float32."""
    return (image / np.asarray(255, dtype) - MEAN.astype(dtype)) / DEVIATION.astype(dtype)


def _recording(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The optimizer, with the last gradients in its state."""
    record = optax.GradientTransformation(
        lambda params: jax.tree.map(jnp.zeros_like, params), lambda g, _, params=None: (g, g)
    )
    return optax.chain(record, optimizer)


@lru_cache
def run(variant: str, dtype: str) -> Run:
    """Twenty steps of the variant's own optimizer, with a drop of the learning rate half-way."""
    pair = make_pair(variant, dtype)
    spec = pair.config.stages[pair.stage]
    spec.schedule.decay_epochs = (1,)  # an epoch being DROP steps
    rate = spec.optimizer.extractor.rate
    if variant == "paper":
        mask = their_losses.gaussian_mask(HEIGHT, WIDTH)
        objective = their_train.joint_objective
        their_optimizer = their_train.paper_optimizer(pair.reference, rate, [DROP])
    else:
        mask = their_losses.released_mask(HEIGHT, WIDTH)
        objective = their_train.released_objective
        their_optimizer = their_train.released_optimizer(pair.reference, [DROP])
    optimizer, _ = optimizers.create_optimizer(pair.config, pair.stage, DROP)
    optimizer = _recording(optimizer)
    train_step = quick_jit(step.make_train_step(pair.config, pair.stage, pair.network, optimizer))
    now = jax.device_put(state.create_state(pair.variables, optimizer, tuple(spec.train)))

    history: tuple[list[float], list[float]] = ([], [])
    for i, (ours, theirs) in enumerate(_batches(dtype)):
        theirs.mask[:] = mask
        # The step itself normalises in float32, whatever the precision of what follows.
        with (
            mock.patch.object(step, "normalise", lambda image: _normalise(image, dtype)),
            mock.patch.object(restoration, "normalise", lambda image: _normalise(image, dtype)),
        ):
            now, metrics = train_step(now, ours)
        history[0].append(float(metrics["loss"]))
        history[1].extend(their_train.train(pair.reference, objective, [theirs], *their_optimizer))
        if i == 0:
            gradients = (now.opt_state[0], gradients_of(pair.reference, pair.network)["params"])
            one_step = (_variables(now), _their_variables(pair))
    return Run(gradients, one_step, (_variables(now), _their_variables(pair)), history)


def _variables(now: state.TrainState) -> dict[str, Any]:
    return {"params": now.params, "batch_stats": now.batch_stats}


def _their_variables(pair: Pair) -> dict[str, Any]:
    return from_state_dict(numpy_state(pair.reference), pair.network)[0]
