"""Against numbers that PyTorch computed before (`make golden`); needs no PyTorch."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rireid_jax.data.masks import gaussian_mask, released_mask
from rireid_jax.models.network import create_network
from rireid_jax.training import losses, optim
from rireid_jax.weights import from_state_dict, to_state_dict

from .narrow import STAGES, narrow_config

FOLDER = Path(__file__).parent / "golden"
GOLDEN_WIDTH = 1 / 32


def load(name):
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def assert_close(ours, golden):
    ours = np.asarray(ours)
    assert ours.shape == golden.shape
    # Golden numbers are computed in float64 and stored in float32.
    assert np.abs(ours - golden).max() < 1e-6 * max(1, np.abs(golden).max())


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("variant", list(STAGES))
def test_networks_and_losses(variant):
    golden = load(variant)
    config, stage = narrow_config(variant, "float64", GOLDEN_WIDTH), STAGES[variant]
    network = create_network(config, stage, int(golden["identities"]))
    weights = {name[6:]: array for name, array in golden.items() if name.startswith("state/")}
    variables, _ = from_state_dict(weights, network)
    image, target = (jnp.asarray(golden[name], jnp.float64) for name in ("image", "target"))

    @jax.jit
    def both(variables, image):
        training, updates = network.apply(
            variables, image, ("super_resolution", "extractor"), mutable=["batch_stats"]
        )
        return network.apply(variables, image), training, updates

    evaluation, training, updates = both(variables, image)
    for mode, outputs in (("evaluation", evaluation), ("training", training)):
        for name in ("restored", "feature", "gates"):
            ours = getattr(outputs, name)[0] if name == "restored" else getattr(outputs, name)
            assert_close(ours, golden[f"{mode}/{name}"])
    assert_close(training.logits, golden["training/logits"])
    after = to_state_dict({**variables, **updates}, network)
    running = [name for name in golden if name.startswith("after/") and "model2.bn" not in name]
    assert running
    for name in running:
        assert_close(after[name[6:]], golden[name])

    if variant == "paper":
        mask = gaussian_mask(64, 32, config.loss.mask_sigma)
    else:
        mask = released_mask(64, 32, index_bug=True)
    sr = losses.ffsr_loss(training.restored, target, jnp.asarray(mask)[None])
    sr = losses.per_valid_example(sr, jnp.asarray(golden["valid"], jnp.float64), None)
    resolution = losses.resolution_loss(training.gates, jnp.asarray(golden["resolution"]))
    identity = losses.identity_loss(training.logits, jnp.asarray(golden["label"]))
    spec = config.stages[stage]
    rife = losses.rife_loss(identity, resolution, config.loss.beta)
    assert_close(losses.total_loss(sr, rife, spec.sr_weight, spec.alpha).mean(), golden["loss"])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_optimizers_across_a_drop_of_the_learning_rate(optimizer):
    golden = load("optimizers")
    config = narrow_config("paper", "float64")
    spec = config.stages.joint
    spec.optimizer, spec.learning_rate, spec.decay_epochs = optimizer, 0.01, (2,)
    transformation, schedule = optim.create_optimizer(config, "joint", steps_per_epoch=5)
    weights = jnp.asarray(golden["start"])
    state = transformation.init(weights)
    for gradient in jnp.asarray(golden["gradients"]):
        updates, state = transformation.update(gradient, state, weights)
        weights = weights + updates
    assert_close(weights, golden[optimizer])
    np.testing.assert_allclose([schedule(9), schedule(10)], [0.01, 0.001], rtol=1e-6)
