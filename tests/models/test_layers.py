"""Precision of layers, and initial values; what layers compute is compared with PyTorch in tests/parity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import network_of

from rireid_jax.models.layers import (
    Conv,
    UpConv,
    global_average_pool,
    he_fan_in,
    he_fan_out,
    he_one_pixel,
    linear,
)
from rireid_jax.models.network import initialise

SIZE = (32, 16)


@pytest.mark.parametrize("layer", [Conv, UpConv])
def test_bfloat16_activations_have_float32_parameters(layer):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 4, 4, 3)), jnp.float32)
    y, variables = layer(4, 2, dtype=jnp.bfloat16).init_with_output(jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(y.astype(jnp.float32), layer(4, 2).apply(variables, x), atol=0.1)


def test_global_average_pool_is_accurate():
    # In bfloat16 the running sum of ones would stop growing at 256.
    pooled = global_average_pool(jnp.ones((1, 40, 40, 2), jnp.bfloat16))
    assert pooled.dtype == jnp.float32
    np.testing.assert_array_equal(pooled, np.ones((1, 2)))


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


def assert_same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_initial_variables_depend_on_the_seed_and_a_modules_own_name():
    ffsr, rife = network_of("ffsr"), network_of("rife")
    joint = initialise(ffsr.clone(extractor=rife.extractor), 0, SIZE)
    assert_same(
        {"super_resolution": joint["params"].pop("super_resolution")},
        initialise(ffsr, 0, SIZE)["params"],
    )
    assert_same(joint, initialise(rife, 0, SIZE))
    first, other = (initialise(ffsr, seed, SIZE)["params"]["super_resolution"] for seed in (0, 1))
    for name, layer in first.items():
        if name != "out":  # starts at zero
            assert not np.isin(layer["kernel"], other[name]["kernel"]).any(), name

    extractor = joint["params"]["extractor"]
    for t in (1, 2, 3, 4):  # streams start alike, gates do not
        block = extractor[f"dsb{t}"]
        assert_same(block["low"], block["high"])
        low, high = (block[name]["fc1"]["kernel"] for name in ("gate_low", "gate_high"))
        assert not np.array_equal(low, high)
    first = extractor["dsb1"]["low"]["block0"]  # layers of one shape differ
    kernels = [np.asarray(first[name]["kernel"]) for name in ("expand_conv", "shortcut_conv")]
    assert kernels[0].shape == kernels[1].shape
    assert not np.isin(*kernels).any()
