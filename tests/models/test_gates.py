"""What gates see, and which losses reach what through them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from abstract import draw, shapes
from networks import network_of

from rireid_jax.models.network import infer

GATED = ("rife", "two_resnet50_weighted")  # which share `Gating`


def created(name, **options):
    network = network_of(name, feature_dim=8, **options)
    return network, draw(shapes(network, 32, 32)[0], seed=0)


def images(count=3):
    return jnp.asarray(np.random.default_rng(0).standard_normal((count, 32, 32, 3)), jnp.float32)


def gradients(network, variables, objective):
    """Gradients of a function of the outputs with respect to the parameters of the extractor."""

    def of(params):
        width = jnp.array([8, 16, 32])
        outputs = network.apply({**variables, "params": params}, images(), native_width=width)
        return objective(outputs)

    return jax.grad(of)(variables["params"])["extractor"]


def reached(tree):
    """Whether any gradient reaches the gates, and whether any reaches other layers."""
    gates, others = [], []
    for path, leaf in jax.tree.leaves_with_path(tree):
        keys = [key.key for key in path]
        (gates if any(key.startswith("gate_") for key in keys) else others).append(leaf)
    return any(map(np.any, gates)), any(map(np.any, others))


def of_gates(outputs):
    return jnp.square(outputs.gates).sum()


def of_identity(outputs):
    return jnp.square(outputs.logits).sum()


@pytest.mark.parametrize("seen", ["maps", "detached_maps", "width"])
def test_what_the_resolution_loss_reaches(seen):
    network, variables = created("two_resnet50_weighted", gate_input=seen)
    assert reached(gradients(network, variables, of_gates)) == (True, seen == "maps")


@pytest.mark.parametrize("losses", ["all", "resolution"])
def test_what_the_identity_loss_reaches(losses):
    network, variables = created("rife", gate_losses=losses, gate_input="detached_maps")
    assert reached(gradients(network, variables, of_identity)) == (losses == "all", True)


@pytest.mark.parametrize("name", GATED)
def test_choices_change_gradients_and_not_values(name):
    network, variables = created(name)
    other, _ = created(name, gate_losses="resolution", gate_input="detached_maps")
    ours, theirs = (infer(n, variables, images()) for n in (network, other))
    for output in ("feature", "logits", "gates"):
        np.testing.assert_array_equal(getattr(ours, output), getattr(theirs, output))


@pytest.mark.parametrize("name", GATED)
def test_gates_that_see_the_width_see_nothing_else(name):
    network, variables = created(name, gate_input="width")
    gates = infer(network, variables, images(4), jnp.array([8, 8, 16, 64])).gates
    np.testing.assert_allclose(gates[0], gates[1], rtol=1e-6)
    assert (abs(gates[0] - gates[2]) > 1e-3).any()
    at_most = infer(network, variables, images(1), jnp.array([32])).gates
    np.testing.assert_allclose(gates[3], at_most[0], rtol=1e-6)
