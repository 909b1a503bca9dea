"""What CSR-GAN minimises: by hand, whose parameters each loss reaches, and its step on eight devices."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_training import (
    IDENTITIES,
    IMAGE_SIZE,
    STEPS_PER_EPOCH,
    initial_state,
    leaves,
    one_device_step,
    random_batch,
    small_config,
)

from rireid_jax.models.csr_gan import CSRGAN
from rireid_jax.models.layers import BatchNorm, Dense
from rireid_jax.models.network import Network
from rireid_jax.models.pixels import normalise
from rireid_jax.models.resnet import Head
from rireid_jax.parallel import AXIS, Parallel
from rireid_jax.training import adversarial
from rireid_jax.training.optim import create_optimizer
from rireid_jax.training.step import make_train_step

MODULES = ("super_resolution", "discriminator", "extractor")
TERMS = ("pixel_loss", "adversarial_loss", "content_loss", "unique_loss")
WEIGHTS = (1, 1e-3, 0.01, 0.1)


@pytest.fixture(scope="module", autouse=True)
def in_float64(float64):
    """Of the whole module."""


class Extractor(nn.Module):
    """The least that has maps, running statistics and all outputs."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, image, train):
        x = BatchNorm(self.axis_name, dtype=jnp.float64, name="stage3")(image, train)
        feature, logits = Head(IDENTITIES, feature_dim=3, dtype=jnp.float64, name="head")(x, train)
        return feature, logits, jnp.zeros((len(image), 0, 2))


class Adversaries(nn.Module):
    """The least that tells images by their batch's statistics."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, levels):
        def logit(i, image):
            x = BatchNorm(self.axis_name, dtype=jnp.float64, name=f"bn{i}")(image, True)
            return Dense(1, dtype=jnp.float64, name=f"logit{i}")(jnp.square(x).mean((1, 2)))[:, 0]

        return jnp.stack([logit(i, image) for i, image in enumerate(levels)], -1)


def small_network(axis_name=None, adversaries=True):
    """CSR-GAN's generators, and of everything else the least, which compiles in a fraction of the time."""
    discriminator = Adversaries(axis_name) if adversaries else None
    return Network(CSRGAN(1, 0.0625, jnp.float64, axis_name), Extractor(axis_name), discriminator)


def config_of():
    """A stage "joint" of CSR-GAN, narrow."""
    config = small_config("float64")
    config.model.generator_blocks = 1
    config.model.generator_width = config.model.discriminator_width = 0.0625
    settings = dict(super_resolution="csr_gan", extractor="resnet50", train=MODULES, mask="none")
    config.stages.joint.update(**settings, super_resolution_rate=1.0, sr_weight=1.0)
    config.optim.adversarial_rate = 0.01
    return config


def batch_of(seed):
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, IMAGE_SIZE[1] + 1, 16).astype(np.int32)
    return random_batch(seed) | {"native_width": widths}


def array(*values):
    return jnp.asarray(values, jnp.float64)


# The terms


def test_pixels_and_content_by_hand():
    generated = jnp.stack([jnp.full((1, 2, 3), 0.5), jnp.zeros((1, 2, 3)).at[0, 0, 0].set(3)])
    real = jnp.zeros((2, 1, 2, 3))
    # A half everywhere; and 3 in one of six values.
    np.testing.assert_allclose(adversarial.pixel_loss(generated, real), [0.25, 9 / 6])
    np.testing.assert_allclose(adversarial.content_loss(generated, real), [0.25, 9 / 6])


def test_unique_by_hand():
    # Differences (1, 2) and (0, -4).
    found = adversarial.unique_loss(array([1, 2], [3, 0]), array([0, 0], [3, 4]))
    np.testing.assert_allclose(found, [5 / 2, 16 / 2])


def test_adversaries_by_hand():
    # D = 1/2, 3/4 and 1/5 are the logits 0, ln 3 and -ln 4.
    logits = array([0.0, np.log(3), -np.log(4)])
    np.testing.assert_allclose(
        adversarial.adversarial_loss(logits), -np.log(array([1 / 2, 3 / 4, 1 / 5])), rtol=1e-12
    )
    # Originals at 3/4, what is generated at 1/5: -ln 3/4 - ln 4/5.
    found = adversarial.discriminator_loss(logits[:, 1], logits[:, 2])
    np.testing.assert_allclose(found, [-np.log(3 / 4) - np.log(4 / 5)], rtol=1e-12)


def test_adversaries_of_great_logits_are_finite():
    great = array(1e4, -1e4)
    np.testing.assert_allclose(adversarial.adversarial_loss(great), [0, 1e4])
    np.testing.assert_allclose(adversarial.discriminator_loss(great, great), [1e4, 1e4])


# All together


def cascade_of(network):
    """A state, and [generators', discriminators'] loss by example and the rest, of parameters and who is valid."""
    config, batch = config_of(), random_batch(0)
    config.stages.joint.train = MODULES if network.discriminator else MODULES[::2]
    state = initial_state(config, "joint", network)
    original = normalise(jnp.asarray(batch["target"])).astype(jnp.float64)

    def losses(params, valid=batch["has_target"]):
        variables = {"params": params, "batch_stats": state.batch_stats}
        generators, discriminators, changed, metrics = adversarial.cascade_loss(
            config, network, variables, original, jnp.asarray(valid, jnp.float32), None
        )
        return jnp.stack([generators, discriminators]), (changed, metrics)

    return state, losses


@pytest.fixture(scope="module")
def cascade():
    """Both losses, metrics, and the gradients of each loss by module."""
    state, losses = cascade_of(small_network())

    def means(params):
        values, (_, metrics) = losses(params)
        return values.mean(1), (values.mean(1), metrics)

    jacobian, (values, metrics) = jax.jit(jax.jacrev(means, has_aux=True))(state.params)
    gradients = [jax.tree.map(lambda leaf, i=i: leaf[i], jacobian) for i in (0, 1)]
    return values, gradients, {name: float(value) for name, value in metrics.items()}


def moved(tree):
    return {name: bool((np.asarray(leaf) != 0).any()) for name, leaf in leaves(tree).items()}


@pytest.mark.parametrize(("loss", "own"), [(0, "super_resolution"), (1, "discriminator")])
def test_each_loss_reaches_its_own_parameters_and_no_others(cascade, loss, own):
    _, gradients, _ = cascade
    for module in MODULES:
        reached = moved(gradients[loss][module])
        assert set(reached.values()) == {module == own}, (module, reached)


def test_the_generators_loss_is_the_weighted_sum_of_its_terms(cascade):
    (generators, discriminators), _, metrics = cascade
    expected = sum(w * metrics[term] for w, term in zip(WEIGHTS, TERMS, strict=True))
    np.testing.assert_allclose(generators, expected, rtol=1e-12)
    np.testing.assert_allclose(discriminators, metrics["discriminator_loss"], rtol=1e-12)
    assert min(metrics.values()) > 0


def test_every_term_moves_generators():
    """Each alone: the gradient of one term is not that of another."""
    state, losses = cascade_of(small_network())

    def terms(generators):
        _, (_, metrics) = losses({**state.params, "super_resolution": generators})
        return jnp.stack([metrics[term] for term in TERMS])

    jacobian = jax.jit(jax.jacrev(terms))(state.params["super_resolution"])
    rows = np.concatenate([leaf.reshape(4, -1) for leaf in jax.tree.leaves(jacobian)], 1)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.isfinite(rows).all()
    assert np.abs(rows @ rows.T - np.eye(4)).max() < 0.999


def test_without_discriminators_it_is_the_error_of_pixels():
    state, losses = cascade_of(small_network(adversaries=False))
    values, (changed, metrics) = jax.jit(losses)(state.params)
    assert set(metrics) == {"pixel_loss"}
    assert set(changed) == {"super_resolution"}
    np.testing.assert_allclose(values.mean(1), [metrics["pixel_loss"], 0], rtol=1e-12)


def test_examples_without_an_original_do_not_count():
    valid = np.arange(16) % 4 == 1
    state, losses = cascade_of(small_network())
    compiled = jax.jit(lambda valid: losses(state.params, valid)[0])
    cases = {"some": valid * 1.0, "all": np.ones(16), "none": np.zeros(16)}
    found = {name: np.asarray(compiled(counted)) for name, counted in cases.items()}
    np.testing.assert_array_equal(found["some"] > 0, np.stack([valid, valid]))
    np.testing.assert_allclose(found["some"].mean(1), found["all"][:, valid].mean(1), rtol=1e-12)
    assert not found["none"].any()


# The step


def small_step(axis_name=None):
    config = config_of()
    optimizer, _ = create_optimizer(config, "joint", STEPS_PER_EPOCH)
    return make_train_step(config, "joint", small_network(axis_name), optimizer, axis_name)


@pytest.fixture(scope="module")
def history():
    """States and metrics of three steps on one device, and the state before them."""
    step, state = jax.jit(small_step()), initial_state(config_of(), "joint", small_network())
    history = [(leaves(state), {})]
    for seed in range(3):
        state, metrics = step(state, batch_of(seed))
        history.append((leaves(state), leaves(metrics)))
    return history


@pytest.mark.parametrize("kind", ["pmap", "shard_map"])
def test_eight_devices_are_one(kind, history):
    parallel = Parallel(kind)
    assert parallel.num_devices == 8
    step = parallel.train_step(small_step(AXIS))
    state = parallel.replicate(initial_state(config_of(), "joint", small_network()))
    for seed, (expected, metrics) in enumerate(history[1:]):
        state, found = step(state, parallel.split_for_training(batch_of(seed)))
        for wanted, got in ((expected, leaves(jax.tree.map(jnp.copy, state))), (metrics, found)):
            assert wanted.keys() == got.keys()
            for name in wanted:
                np.testing.assert_allclose(
                    got[name], wanted[name], rtol=1e-8, atol=1e-8, err_msg=f"{seed}: {name}"
                )


def test_adversaries_have_adam_and_the_extractor_its_own_optimizer(history):
    """Adam's first step is the rate in the sign of the gradient, whatever its size."""
    (before, _), (after, _), *_ = history
    moves = {n: np.abs(after[n] - old) for n, old in before.items() if n.startswith("params")}
    for module in ("super_resolution", "discriminator"):
        own = [m for name, m in moves.items() if name.startswith(f"params/{module}")]
        own = np.concatenate([m.ravel() for m in own])
        np.testing.assert_allclose(np.median(own[own > 0]), 0.01, rtol=1e-3)
        assert own.max() <= 0.01 * (1 + 1e-6)
    moments = [set(name.split("/")) for name in before if name.startswith("opt_state")]
    assert all("extractor" in path for path in moments if "trace" in path)
    assert not any("extractor" in path for path in moments if path & {"mu", "nu"})
    assert {"trace", "mu", "nu"} <= set().union(*moments)


def test_a_step_of_the_real_networks_moves_everything():
    config = config_of()
    before = initial_state(config, "joint")
    after, metrics = one_device_step(config, "joint")(before, batch_of(0))
    for kind in ("params", "batch_stats"):
        new = leaves(getattr(after, kind))
        for name, old in leaves(getattr(before, kind)).items():
            assert name.split("/")[0] in MODULES
            assert (old != new[name]).any(), name
            assert np.isfinite(new[name]).all(), name
    generators = sum(w * metrics[term] for w, term in zip(WEIGHTS, TERMS, strict=True))
    np.testing.assert_allclose(metrics["loss"], generators + metrics["identity_loss"], rtol=1e-9)
    assert metrics["discriminator_loss"] > 0


def test_re_identification_does_not_move_generators():
    config, network = config_of(), small_network(adversaries=False)
    spec = config.stages.joint
    spec.train = ("super_resolution", "extractor")
    spec.weight_decay, spec.sr_weight = 0.0, 0.0
    before = initial_state(config, "joint", network)
    optimizer, _ = create_optimizer(config, "joint", STEPS_PER_EPOCH)
    step = jax.jit(make_train_step(config, "joint", network, optimizer))
    after, metrics = step(before, batch_of(0))
    assert "pixel_loss" not in metrics
    same = functools.partial(jax.tree.map, np.array_equal)
    assert all(jax.tree.leaves(same(*(s.params["super_resolution"] for s in (before, after)))))
    assert not any(jax.tree.leaves(same(*(s.params["extractor"] for s in (before, after)))))
