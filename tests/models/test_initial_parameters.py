"""What a network starts from: the initialisers' deviations, and what parameters depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rireid_jax.config import base_config
from rireid_jax.models.layers import he_fan_in, he_fan_out, he_one_pixel, linear
from rireid_jax.models.network import create_network, initialise
from rireid_jax.models.rife import adopt

SIZE = (32, 16)


@pytest.mark.parametrize(
    ("initialiser", "shape", "variance"),
    [
        pytest.param(he_fan_out, (3, 3, 32, 128), 2 / (9 * 128), id="fan_out"),
        pytest.param(he_fan_in, (3, 3, 32, 128), 2 / (9 * 32), id="fan_in"),
        pytest.param(he_one_pixel, (2, 2, 64, 128), 2 / 64, id="one_pixel"),
        # torch.nn.Linear draws uniformly in +-1/sqrt(in), whose variance is a third of 1/in.
        pytest.param(linear, (200, 150), 1 / (3 * 200), id="linear"),
    ],
)
def test_deviation(initialiser, shape, variance):
    values = np.asarray(initialiser(jax.random.key(3), shape))
    assert values.dtype == np.float32
    deviation, count = np.sqrt(variance), values.size
    # Five standard errors of a normal sample's deviation and mean.
    assert abs(values.std() / deviation - 1) < 5 / np.sqrt(2 * count)
    assert abs(values.mean()) < 5 * deviation / np.sqrt(count)


def test_key_decides():
    shape = (3, 3, 4, 4)
    first, again, other = (np.asarray(he_fan_in(jax.random.key(s), shape)) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.isin(first, other).any()
    compiled = jax.jit(lambda key: he_fan_in(key, shape))(jax.random.key(0))
    np.testing.assert_array_equal(first, compiled)
    assert he_fan_in(jax.random.key(0), shape, jnp.bfloat16).dtype == jnp.bfloat16


@pytest.fixture(scope="module")
def variables():
    """Initial variables of three stages at seed 0, and of one of them at seed 1."""
    config = base_config("pedestrians")
    config.model.width = config.model.ffsr_width = 0.0625

    def of(stage, seed):
        return initialise(create_network(config, stage, num_classes=3), seed, SIZE)

    pairs = [("ffsr", 0), ("rife", 0), ("joint", 0), ("ffsr", 1)]
    return {pair: of(*pair) for pair in pairs}


def test_neighbours_do_not_matter(variables):
    joint = variables["joint", 0]
    for stage, module in (("ffsr", "super_resolution"), ("rife", "extractor")):
        alone = variables[stage, 0]
        assert set(alone["params"]) == {module}
        jax.tree.map(
            np.testing.assert_array_equal, alone["params"][module], joint["params"][module]
        )
    jax.tree.map(
        np.testing.assert_array_equal, variables["rife", 0]["batch_stats"], joint["batch_stats"]
    )


def test_seed_decides(variables):
    first, other = (variables["ffsr", seed]["params"]["super_resolution"] for seed in (0, 1))
    for name, layer in first.items():
        if name != "out":  # starts at zero
            assert not np.isin(layer["kernel"], other[name]["kernel"]).any(), name


def test_streams_start_alike_and_gates_do_not(variables):
    extractor = variables["rife", 0]["params"]["extractor"]
    for t in (1, 2, 3, 4):
        block = extractor[f"dsb{t}"]
        jax.tree.map(np.testing.assert_array_equal, block["low"], block["high"])
        low, high = (block[name]["fc1"]["kernel"] for name in ("gate_low", "gate_high"))
        assert not np.array_equal(low, high)


def test_layers_of_one_shape_differ(variables):
    extractor = variables["rife", 0]["params"]["extractor"]
    first = extractor["dsb1"]["low"]["block0"]
    kernels = [np.asarray(first[name]["kernel"]) for name in ("expand_conv", "shortcut_conv")]
    assert kernels[0].shape == kernels[1].shape
    assert not np.isin(*kernels).any()


def test_rife_takes_over_a_plain_resnet_in_both_streams():
    config = base_config("pedestrians")
    config.model.width = 0.125
    plain, rife = (
        initialise(create_network(config, stage, num_classes=3), seed, SIZE)
        for seed, stage in enumerate(("backbone", "rife"))
    )
    for kind in ("params", "batch_stats"):
        given, own = plain[kind]["extractor"], rife[kind]["extractor"]
        adopted = adopt(own, given)
        assert jax.tree.structure(adopted) == jax.tree.structure(own)
        for t in range(1, 5):
            for stream in ("low", "high"):
                jax.tree.map(
                    np.testing.assert_array_equal, adopted[f"dsb{t}"][stream], given[f"stage{t}"]
                )
        jax.tree.map(np.testing.assert_array_equal, adopted["stem"], given["stem"])
    # Heads of the weights have no counterpart and stay as they were drawn.
    own = rife["params"]["extractor"]
    adopted = adopt(own, plain["params"]["extractor"])
    for gate in ("gate_low", "gate_high"):
        jax.tree.map(np.testing.assert_array_equal, adopted["dsb1"][gate], own["dsb1"][gate])
