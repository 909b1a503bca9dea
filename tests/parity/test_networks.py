"""Every network that the ladder does not hold, against PyTorch in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from networks import IDENTITIES, NETWORKS, network_of
from torch_reference import losses as their_losses
from torch_reference.plain import DenseNet

from rireid_jax.training.losses.identity import identity_loss
from rireid_jax.training.losses.resolution import resolution_loss
from rireid_jax.training.losses.restoration import ffsr_loss
from rireid_jax.weights import from_state_dict

from .narrow import WIDTH
from .pairs import (
    REFERENCES,
    from_torch,
    gradients_of,
    numpy_state,
    quick_jit,
    randomise_norms,
    reference_of,
    relative_error,
    to_torch,
)

pytestmark = pytest.mark.torch

LIMIT, GRADIENT_LIMIT = 1e-12, 1e-11
DENSE_BLOCKS = (2, 1, 3, 2)
LABEL, RESOLUTION = np.array([0, 3, 4, 3]), np.array([0.25, 0.5, 0.75, 1.0])
EXTRACTORS = ("resnet50", "se_resnet50", "densenet121", "two_resnet50", "two_resnet50_weighted")


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def images(height, width, count=4, seed=0):
    return np.random.default_rng(seed).standard_normal((count, height, width, 3))


def pair_of(name):
    torch.manual_seed(0)
    network = network_of(name, dtype="float64", width=WIDTH, feature_dim=256, gate_dim=64)
    if name == "densenet121":  # with fewer layers, whose gradients cancel less
        network = network.clone(extractor=network.extractor.clone(block_sizes=DENSE_BLOCKS))
        reference = DenseNet(IDENTITIES, DENSE_BLOCKS, WIDTH).double()
    else:
        reference = reference_of(name).double()
    randomise_norms(reference)
    if name.startswith("two_"):  # they start alike, as from one file of weights
        reference.high.load_state_dict(reference.low.state_dict())
    variables, report = from_state_dict(numpy_state(reference), network)
    assert not report.unexpected
    return reference, network, variables


def assert_alive(gradients):
    leaves = jax.tree.leaves_with_path(gradients)
    assert [jax.tree_util.keystr(path) for path, value in leaves if not value.any()] == []


def test_every_network_is_compared():
    assert {*REFERENCES, "csr_gan", "rife_released"} == set(NETWORKS)


# What SING's loses on the way there and back is that of the four digits of its colour matrices.
@pytest.mark.parametrize(
    ("name", "limit"), [("srcnn", LIMIT), ("vdsr", LIMIT), ("srcnn_luminance", 1e-3)]
)
def test_super_resolution(name, limit):
    """Restored images of odd sizes, and the gradients of Eq. 5."""
    reference, network, variables = pair_of(name)
    x, target = 0.7 * images(19, 14, 2), images(19, 14, 2, seed=1)
    mask = their_losses.gaussian_mask(19, 14).double()

    def objective(params):
        restored = network.apply({"params": params}, jnp.asarray(x)).restored
        loss = ffsr_loss(restored, jnp.asarray(target), jnp.asarray(mask)[None])
        return loss.mean(), restored

    grads, restored = quick_jit(jax.grad(objective, has_aux=True))(variables["params"])
    (module,) = reference.values()
    theirs = module(to_torch(x))
    their_losses.ffsr_loss(theirs, to_torch(target), mask).mean().backward()
    assert relative_error(restored, from_torch(theirs)) < limit
    expected = gradients_of(reference, network)["params"]
    assert relative_error(grads, expected) < max(limit, GRADIENT_LIMIT)
    assert_alive(grads)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_extractor(name):
    """Features and gates in both modes, logits, running statistics, and the gradients of Eq. 9."""
    reference, network, variables = pair_of(name)
    # Odd maps: 72 rows become 18, 9 and 5 or, where an odd last row is left out, 4.
    x = jnp.asarray(images(72, 40))

    def objective(params):
        whole = {**variables, "params": params}
        outputs, updates = network.apply(whole, x, ("extractor",), mutable=["batch_stats"])
        identity = identity_loss(outputs.logits, jnp.asarray(LABEL))
        resolution = resolution_loss(outputs.gates, jnp.asarray(RESOLUTION))
        loss = (identity + 0.1 * resolution.sum(-1)).mean()
        used = network.apply(whole, x)
        values = (outputs.feature, outputs.logits, outputs.gates, used.feature, used.gates, loss)
        return loss, (values, updates["batch_stats"])

    grads, ours = quick_jit(jax.grad(objective, has_aux=True))(variables["params"])

    with torch.no_grad():
        used = reference.eval()(to_torch(x))
    theirs = reference.train()(to_torch(x))
    identity = their_losses.identity_loss(theirs.logits, torch.from_numpy(LABEL))
    resolution = their_losses.resolution_loss(
        theirs.weight_low, theirs.weight_high, torch.from_numpy(RESOLUTION)
    )
    loss = their_losses.rife_loss(identity, resolution).mean()
    loss.backward()
    gates, used_gates = (
        torch.stack([output.weight_low, output.weight_high], dim=-1) for output in (theirs, used)
    )
    values = (theirs.feature, theirs.logits, gates, used.feature, used_gates, loss)
    values = tuple(value.detach().numpy() for value in values)
    after = gradients_of(reference, network)
    assert gates.shape[1] == (name == "two_resnet50_weighted")
    assert relative_error(ours, (values, after["batch_stats"])) < LIMIT
    assert relative_error(grads, after["params"]) < GRADIENT_LIMIT
    assert_alive(grads)
    if name.startswith("two_"):  # and do not stay alike
        low, high = (jax.tree.leaves(grads["extractor"][stream]) for stream in ("low", "high"))
        assert not any(np.allclose(a, b, rtol=1e-3) for a, b in zip(low, high, strict=True))
