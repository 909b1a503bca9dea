"""CSR-GAN's losses: by hand, the parameters that each one reaches, and its step on eight devices."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_training import (
    IDENTITIES,
    IMAGE_SIZE,
    STEPS_PER_EPOCH,
    SmallExtractor,
    assert_near,
    history_of,
    history_on_eight_devices,
    initial_state,
    leaves,
    random_batch,
    random_variables,
    small_config,
)

from rireid_jax.config import validate
from rireid_jax.errors import UserError
from rireid_jax.models.interfaces import Context
from rireid_jax.models.layers import BatchNorm, Dense
from rireid_jax.models.network import Auxiliary, Network, Outputs, create_network
from rireid_jax.paper.systems import csr_gan_losses as losses
from rireid_jax.paper.systems.csr_gan_networks import CSRGAN, FACTORS, shrink
from rireid_jax.parallel import AXIS
from rireid_jax.training.optimizer import create_optimizer
from rireid_jax.training.step import make_train_step
from rireid_jax.training.terms import Inputs

MODULES = ("super_resolution", "discriminator", "extractor")
TERMS = ("pixel_loss", "adversarial_loss", "content_loss", "unique_loss")
WEIGHTS = (1, 1e-3, 0.01, 0.1)
pytestmark = pytest.mark.usefixtures("float64")


class Adversaries(nn.Module):
    """The least that tells images by their batch's statistics."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, levels):
        def logit(i, image):
            x = BatchNorm(self.axis_name, dtype=jnp.float64, name=f"bn{i}")(image, True)
            return Dense(1, dtype=jnp.float64, name=f"logit{i}")(jnp.square(x).mean((1, 2)))[:, 0]

        return jnp.stack([logit(i, image) for i, image in enumerate(levels)], -1)


def small_network(axis_name=None):
    """CSR-GAN's generators, and the least of everything else, which compiles in a fraction of the time."""
    adversaries = Auxiliary(
        lambda name: Adversaries(axis_name, name=name),
        lambda image: [shrink(image, factor // 2) for factor in FACTORS],
    )
    generators = CSRGAN(1, 0.0625, jnp.float64, axis_name)
    extractor = SmallExtractor(axis_name=axis_name)
    return Network(generators, extractor, {"discriminator": adversaries})


def csr_gan_config(dtype="float64"):
    """A stage "joint" of CSR-GAN, narrow."""
    config = small_config(dtype)
    config.model.generator_blocks, config.model.generator_width = 1, 0.0625
    adam = {"name": "adam", "rate": 0.01, "weight_decay": 0.0}
    config.stages.joint.update(
        super_resolution="csr_gan",
        extractor="resnet50",
        train=MODULES,
        losses={
            "restoration": {"weight": 0.0},
            "csr_gan": {"weight": 1.0, "discriminator_width": 0.0625},
        },
        optimizer={"super_resolution": adam, "discriminator": adam},
    )
    return config


def batch_of(seed):
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, IMAGE_SIZE[1] + 1, 16).astype(np.int32)
    return random_batch(seed) | {"native_width": widths}


def array(*values):
    return jnp.asarray(values, jnp.float64)


# By hand


def test_squared_errors_by_hand():
    generated = jnp.stack([jnp.full((1, 2, 3), 0.5), jnp.zeros((1, 2, 3)).at[0, 0, 0].set(3)])
    real = jnp.zeros((2, 1, 2, 3))
    # A half everywhere; and 3 in one of six values.
    np.testing.assert_allclose(losses.pixel_loss(generated, real), [0.25, 9 / 6])
    np.testing.assert_allclose(losses.content_loss(generated, real), [0.25, 9 / 6])
    # Differences (1, 2) and (0, -4).
    found = losses.unique_loss(array([1, 2], [3, 0]), array([0, 0], [3, 4]))
    np.testing.assert_allclose(found, [5 / 2, 16 / 2])


def test_adversaries_by_hand():
    # D = 1/2, 3/4 and 1/5 are the logits 0, ln 3 and -ln 4.
    logits = array([0.0, np.log(3), -np.log(4)])
    np.testing.assert_allclose(
        losses.adversarial_loss(logits), -np.log(array([1 / 2, 3 / 4, 1 / 5])), rtol=1e-12
    )
    # Originals at 3/4, generated images at 1/5: -ln 3/4 - ln 4/5.
    found = losses.discriminator_loss(logits[:, 1], logits[:, 2])
    np.testing.assert_allclose(found, [-np.log(3 / 4) - np.log(4 / 5)], rtol=1e-12)
    great = array(1e4, -1e4)  # stays finite
    np.testing.assert_allclose(losses.adversarial_loss(great), [0, 1e4])
    np.testing.assert_allclose(losses.discriminator_loss(great, great), [1e4, 1e4])


# The terms


def term_of(name):
    """A term's value as a function of (parameters, which examples have an original), and parameters."""
    config, network = csr_gan_config(), small_network()
    batch = jax.tree.map(jnp.asarray, batch_of(0))
    options = config.stages.joint.losses[name]
    term = losses.LOSSES[name].create(options, Context.of(config, "joint"))
    variables = random_variables(network)

    def value(params, valid):
        inputs = Inputs(
            batch | {"has_target": valid.astype(jnp.float32), "image": batch["target"]},
            outputs=Outputs(jnp.zeros((16, *IMAGE_SIZE, 3))),
            before_neck=None,
            network=network,
            variables={**variables, "params": params},
            axis_name=None,
        )
        return term(inputs)

    return value, variables["params"], batch["has_target"]


def test_each_loss_reaches_its_own_parameters_and_no_others():
    value, params, valid = term_of("csr_gan")

    def scalars(params):
        found = value(params, valid)
        metrics = [found.metrics[name] for name in (*TERMS, "discriminator_loss")]
        return jnp.stack([found.each.mean(), *metrics]), found.batch_stats

    (whole, *terms, discriminators), stats = jax.jit(scalars)(params)
    assert set(stats) == set(MODULES[:2])
    np.testing.assert_allclose(whole, np.dot(WEIGHTS, terms), rtol=1e-12)
    assert min(*terms, discriminators) > 0

    jacobian, _ = jax.jit(jax.jacrev(scalars, has_aux=True))(params)
    rows = {
        module: np.concatenate([leaf.reshape(6, -1) for leaf in jax.tree.leaves(tree)], 1)
        for module, tree in jacobian.items()
    }
    generators = np.dot(WEIGHTS, rows["super_resolution"][1:5])
    np.testing.assert_allclose(rows["super_resolution"][0], generators, rtol=1e-9, atol=1e-12)
    assert not rows["super_resolution"][5].any()
    np.testing.assert_allclose(rows["discriminator"][0], rows["discriminator"][5], rtol=1e-12)
    assert not rows["discriminator"][1:5].any()
    assert not rows["extractor"].any()
    for module, row in (("super_resolution", 0), ("discriminator", 5)):
        for path, leaf in leaves(jacobian[module]).items():
            assert leaf[row].any(), path

    # Each term alone moves generators, and no two of them alike.
    directions = rows["super_resolution"][1:5]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert np.abs(directions @ directions.T - np.eye(4)).max() < 0.999


def test_without_discriminators_it_is_the_error_of_pixels():
    value, params, valid = term_of("csr_gan_pixels")
    found = jax.jit(lambda params: vars(value(params, valid)))(params)
    assert set(found["metrics"]) == {"pixel_loss"}
    assert set(found["batch_stats"]) == {"super_resolution"}
    np.testing.assert_allclose(found["each"].mean(), found["metrics"]["pixel_loss"], rtol=1e-12)


def test_examples_without_an_original_do_not_count():
    value, params, _ = term_of("csr_gan")

    @jax.jit
    def found(valid):
        discriminators = jax.grad(lambda p: value(p, valid).each.sum())(params)["discriminator"]
        return value(params, valid).each, discriminators

    valid = np.arange(16) % 4 == 1
    some, everything, nothing = (
        found(jnp.asarray(v)) for v in (valid, np.ones(16, bool), np.zeros(16, bool))
    )
    np.testing.assert_array_equal(some[0] > 0, valid)
    np.testing.assert_allclose(some[0].mean(), everything[0][valid].mean(), rtol=1e-12)
    assert not any(leaf.any() for leaf in jax.tree.leaves(nothing))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("stages.joint.super_resolution", "ffsr", "found 'ffsr', expected 'csr_gan'"),
        ("stages.joint.extractor", "rife", "found 'rife', expected resnet50 or se_resnet50"),
        ("stages.joint.train", MODULES[1:], "found .*expected super_resolution and"),
        ("stages.joint.train", MODULES[::2], "found .*expected super_resolution"),
        # Images are halved three times.
        ("data.image_size", (36, 16), r"found \(36, 16\), expected two multiples of"),
    ],
)
def test_what_the_adversaries_need(field, value, expected):
    config = csr_gan_config("float32")
    config.run = ("joint",)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=rf"^config\.{field}: {expected}"):
        validate(config)


# The step


def small_step(axis_name=None):
    config = csr_gan_config()
    optimizer, _ = create_optimizer(config, "joint", STEPS_PER_EPOCH)
    return make_train_step(config, "joint", small_network(axis_name), optimizer, axis_name)


@pytest.fixture(scope="module")
def history():
    """Three steps on one device."""
    state = initial_state(csr_gan_config(), "joint", small_network())
    return history_of(jax.jit(small_step()), state, map(batch_of, range(3)))


@pytest.mark.parametrize("kind", ["pmap", "shard_map"])
def test_eight_devices_are_one(kind, history):
    state = initial_state(csr_gan_config(), "joint", small_network())
    found = history_on_eight_devices(kind, small_step(AXIS), state, map(batch_of, range(3)))
    assert_near(found, history, rtol=1e-8, atol=1e-7)


def test_a_stage_has_the_real_networks():
    """Traced alone: compiling them takes a minute."""
    config = csr_gan_config()
    network = create_network(config, "joint", IDENTITIES)
    optimizer, _ = create_optimizer(config, "joint", STEPS_PER_EPOCH)
    step = make_train_step(config, "joint", network, optimizer)
    before = jax.eval_shape(lambda: initial_state(config, "joint"))
    after, metrics = jax.eval_shape(step, before, batch_of(0))
    assert before.params.keys() == before.batch_stats.keys() == set(MODULES)
    assert jax.tree.map(jnp.shape, before.params) == jax.tree.map(jnp.shape, after.params)
    assert {*TERMS, "discriminator_loss", "identity_loss"} <= set(metrics)


def test_re_identification_does_not_move_generators():
    network = small_network()
    variables = random_variables(network)
    image = jnp.ones((2, *IMAGE_SIZE, 3))

    def objective(params):
        outputs = network.apply({**variables, "params": params}, image)
        return outputs.feature.sum() + outputs.restored.sum()

    gradient = jax.jit(jax.grad(objective))(variables["params"])
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient["super_resolution"]))
    assert any(leaf.any() for leaf in jax.tree.leaves(gradient["extractor"]))
