"""The step with BNNeck, triplets, label smoothing and random erasing: on one, two and eight devices."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_training import (
    IDENTITIES,
    IMAGE_SIZE,
    SmallExtractor,
    assert_near,
    history_of,
    history_on_eight_devices,
    random_batch,
    small_config,
)

from rireid_jax.data.augmentation import Augmentation
from rireid_jax.data.build import Built
from rireid_jax.data.build.dataset import RecordSource
from rireid_jax.models.interfaces import SuperResolution
from rireid_jax.models.network import Network
from rireid_jax.models.pixels import normalise
from rireid_jax.parallel import AXIS, Parallel
from rireid_jax.training import loop
from rireid_jax.training.losses.identity import identity_loss
from rireid_jax.training.losses.triplet import triplet_loss
from rireid_jax.training.state import create_state
from rireid_jax.training.step import make_train_step

MODULES = ("super_resolution", "extractor")
STEPS = 3
pytestmark = pytest.mark.usefixtures("float64")


class Restorer(SuperResolution):
    """The least that restores: a shade of its own for every pixel."""

    @nn.compact
    def __call__(self, image):
        return image + self.param("by", nn.initializers.normal(), (*IMAGE_SIZE, 1), jnp.float64)


def tricks(neck="batch_norm"):
    config = small_config("float64")
    spec = config.stages.joint
    spec.train, spec.neck = MODULES, neck
    spec.losses.identity.smoothing, spec.losses.triplet.weight = 0.1, 0.5
    return config


def batch_of(seed):
    rng = np.random.default_rng(seed)
    erased = np.stack([rng.integers(0, 20, 16), rng.integers(0, 10, 16)] + [[8] * 16] * 2, 1)
    erased[::3] = 0
    labels = rng.permutation(np.arange(16) % IDENTITIES).astype(np.int32)
    return random_batch(seed) | {"erased": erased.astype(np.int32), "label": labels}


def state_and_step(config, axis_name=None):
    network = Network(Restorer(), SmallExtractor(config.stages.joint.neck, axis_name))
    variables = network.init(jax.random.key(0), jnp.zeros((1, *IMAGE_SIZE, 3)))
    head = variables["params"]["extractor"]["head"]["classifier"]
    head["kernel"] = 0.3 * jax.random.normal(jax.random.key(1), head["kernel"].shape)
    optimizer = optax.sgd(0.1, momentum=0.9)
    state = create_state(dict(variables), optimizer, MODULES)
    return state, make_train_step(config, "joint", network, optimizer, axis_name)


@pytest.fixture(scope="module")
def compiled():
    """The state before the first step on one device, and the step."""
    state, step = state_and_step(tricks())
    return state, jax.jit(step)


@pytest.mark.parametrize("kind", ["pmap", "shard_map"])
def test_eight_devices_give_the_same_as_one(compiled, kind):
    before, one_device_step = compiled
    expected = history_of(one_device_step, before, map(batch_of, range(STEPS)))
    state, step = state_and_step(tricks(), AXIS)
    found = history_on_eight_devices(kind, step, state, map(batch_of, range(STEPS)))
    assert any("triplet_loss" in name for name in found[0])
    # Pixels are normalised in float32, which is fused with what follows in one way or another.
    assert_near(found, expected, rtol=1e-6, atol=1e-8)


@pytest.fixture(scope="module")
def first_step(compiled):
    """(its batch, and what the network makes of it: feature, logits, updates; the step's metrics)."""
    batch, (state, step) = batch_of(0), compiled
    _, metrics = step(state, batch)
    pixels = np.zeros((16, *IMAGE_SIZE), bool)
    for inside, (top, left, tall, wide) in zip(pixels, batch["erased"], strict=True):
        inside[top : top + tall, left : left + wide] = True
    assert 0 < pixels.mean() < 0.5
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    restored = normalise(jnp.asarray(batch["image"])) + state.params["super_resolution"]["by"]
    seen = jnp.where(pixels[..., None], 0, restored)
    (feature, logits, _), updates = SmallExtractor("batch_norm").apply(
        {kind: module["extractor"] for kind, module in variables.items()},
        seen,
        True,
        mutable=["batch_stats", "intermediates"],
    )
    return batch, feature, logits, updates, metrics


def test_without_bnneck_triplets_are_of_the_feature():
    config, batch = tricks("fc"), batch_of(0)
    state, step = state_and_step(config)
    network = Network(Restorer(), SmallExtractor("fc"))
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    del batch["erased"]
    outputs, _ = network.apply(
        variables, normalise(jnp.asarray(batch["image"])), MODULES, mutable=["batch_stats"]
    )
    expected = triplet_loss(outputs.feature, jnp.asarray(batch["label"]), 0.3, None)
    _, metrics = jax.jit(step)(state, batch)
    np.testing.assert_allclose(metrics["triplet_loss"], expected.mean(), rtol=1e-6)


def test_losses_of_a_step(first_step):
    batch, feature, logits, updates, metrics = first_step
    label = jnp.asarray(batch["label"])
    identity = identity_loss(logits, label, 0.1).mean()
    before = updates["intermediates"]["head"]["before_neck"][0]
    triplet = triplet_loss(before, label, 0.3, None).mean()
    assert float(triplet_loss(feature, label, 0.3, None).mean()) != float(triplet)
    np.testing.assert_allclose(metrics["identity_loss"], identity, rtol=1e-6)
    np.testing.assert_allclose(metrics["triplet_loss"], triplet, rtol=1e-6)
    weight = tricks().stages.joint.losses.restoration.weight
    total = weight * metrics["ffsr_loss"] + metrics["identity_loss"] + 0.5 * metrics["triplet_loss"]
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-12)
    # The neck normalises what the triplets are of.
    expected = (before - before.mean(0)) / np.sqrt(before.var(0) + 1e-5)
    np.testing.assert_allclose(feature, expected, rtol=1e-6, atol=1e-6)


def test_restoration_is_of_the_whole_image(compiled, first_step):
    state, step = compiled
    batch, *_, erased = first_step
    whole = step(state, batch | {"erased": np.zeros_like(batch["erased"])})[1]
    assert erased["ffsr_loss"] == whole["ffsr_loss"]
    assert erased["identity_loss"] != whole["identity_loss"]


def test_nothing_is_learned_through_what_is_erased():
    config = tricks()
    config.stages.joint.losses.restoration.weight = 0.0
    state, step = state_and_step(config)
    batch = batch_of(0) | {"erased": np.tile(np.int32([4, 2, 9, 7]), (16, 1))}
    after, _ = jax.jit(step)(state, batch)
    old, new = (s.params["super_resolution"]["by"] for s in (state, after))
    inside = np.zeros((*IMAGE_SIZE, 1), bool)
    inside[4:13, 2:9] = True
    np.testing.assert_array_equal(old != new, ~inside)


@pytest.mark.parametrize(
    ("stage", "kernel", "targets"),
    [("ffsr_pretrain", "bicubic", True), ("joint", "lanczos", True), ("rife", "lanczos", False)],
)
def test_batches_of_a_stage(stage, kernel, targets, monkeypatch):
    """What the stage says, and the kernel that its data set was made with."""
    config = small_config()
    config.data.recipe.kernel = "lanczos"
    spec = config.stages[stage]
    spec.images_per_identity, spec.resolution_width = 4, 32
    spec.augmentation.update(erase=0.5, degrade_targets=0.25)
    asked = {}
    monkeypatch.setattr(loop, "train_batches", lambda source, **options: asked.update(options))
    data = Built("pedestrians", "0", (1, 2), 16, {"train": RecordSource([])}, "")
    loop._batches(config, stage, data, 0, Parallel("pmap"))
    augmentation = asked["augmentation"]
    assert augmentation == Augmentation(kernel=kernel, **spec.augmentation)
    assert (augmentation.erase, augmentation.degrade_targets) == (0.5, 0.25)
    assert (asked["images_per_identity"], asked["resolution_scale"]) == (4, 0.5)
    assert asked["targets"] == targets  # only what restores has them decoded
