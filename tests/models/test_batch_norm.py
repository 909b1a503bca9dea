"""Batch normalisation against its definition, and over eight devices against one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rireid_jax.models.layers import BatchNorm

EPSILON = 1e-5
VARIABLES = {
    "params": {"scale": np.array([1.5, 0.5, -2.0]), "bias": np.array([0.0, 1.0, -1.0])},
    "batch_stats": {"mean": np.array([0.1, 0.2, 0.3]), "var": np.array([1.0, 2.0, 3.0])},
}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def images(count, mean=0.0):
    """Every image with a mean of its own, so that statistics of a part are not those of the whole."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, 2, 3, 3)) * [1.0, 2.0, 0.1] + mean
    return x + 3 * rng.standard_normal((count, 1, 1, 1))


def train(x, variables=VARIABLES, axis_name=None, dtype=jnp.float64):
    layer = BatchNorm(axis_name, dtype=dtype)
    y, updates = layer.apply(variables, jnp.asarray(x), True, mutable=["batch_stats"])
    return y, updates["batch_stats"]


def test_definition():
    x = images(4)
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    params, stats = VARIABLES["params"], VARIABLES["batch_stats"]
    y, updated = train(x)
    expected = (x - mean) / np.sqrt(var + EPSILON) * params["scale"] + params["bias"]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)
    # 4 * 2 * 3 = 24 values a channel: the running variance is the unbiased one.
    np.testing.assert_allclose(updated["mean"], 0.9 * stats["mean"] + 0.1 * mean, rtol=1e-14)
    unbiased = var * 24 / 23
    np.testing.assert_allclose(updated["var"], 0.9 * stats["var"] + 0.1 * unbiased, rtol=1e-14)

    layer = BatchNorm(dtype=jnp.float64)  # inference takes running statistics, and leaves them
    y, updates = layer.apply(VARIABLES, jnp.asarray(x), False, mutable=["batch_stats"])
    expected = (x - stats["mean"]) / np.sqrt(stats["var"] + EPSILON)
    np.testing.assert_allclose(y, expected * params["scale"] + params["bias"], rtol=0, atol=1e-12)
    jax.tree.map(np.testing.assert_array_equal, updates["batch_stats"], stats)


@pytest.mark.parametrize(
    ("dtype", "mean", "tolerance"),
    # float32 has 7 digits: E[x^2] - E[x]^2 would lose the variance of 1 next to a mean of 1000.
    [(jnp.float32, 1000.0, dict(atol=2e-3)), (jnp.bfloat16, 0.0, dict(rtol=0.01, atol=0.01))],
)
def test_statistics_are_of_two_passes_in_float32(dtype, mean, tolerance):
    x = jnp.asarray(images(8, mean), dtype)
    variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), VARIABLES)
    exact, exact_stats = train(np.asarray(x, np.float64))
    y, stats = train(x, variables, dtype=dtype)
    assert y.dtype == dtype
    assert stats["mean"].dtype == stats["var"].dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(y, np.float64), exact, **tolerance)
    np.testing.assert_allclose(stats["var"], exact_stats["var"], rtol=1e-5)


def test_one_value_a_channel_is_finite():
    y, stats = train(np.ones((1, 1, 1, 3)))
    np.testing.assert_array_equal(y[0, 0, 0], VARIABLES["params"]["bias"])
    np.testing.assert_allclose(stats["var"], 0.9 * VARIABLES["batch_stats"]["var"])


def test_initialising_leaves_the_statistics_and_needs_no_devices():
    layer = BatchNorm("devices", dtype=jnp.float64)
    variables = layer.init(jax.random.key(0), jnp.asarray(images(4)), True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], np.zeros(3))
    np.testing.assert_array_equal(variables["batch_stats"]["var"], np.ones(3))


@pytest.mark.parametrize("kind", ["pmap", "shard_map"])
def test_eight_devices_are_one(kind):
    x = images(16)
    weights = np.random.default_rng(1).standard_normal(x.shape)

    def outputs(params, x, weights, axis_name):
        """The output, the updated statistics, and the gradient of a weighted sum of the output."""
        if axis_name:
            params = jax.tree.map(lambda p: jax.lax.pcast(p, axis_name, to="varying"), params)

        def loss(params, x):
            y, stats = train(x, {**VARIABLES, "params": params}, axis_name)
            return (y * weights).sum(), (y, stats)

        (for_params, for_x), (y, stats) = jax.grad(loss, (0, 1), has_aux=True)(params, x)
        if axis_name:
            for_params = jax.lax.psum(for_params, axis_name)
        return y, for_x, stats, for_params

    def per_device(params, x, weights):
        return outputs(params, x, weights, "devices")

    assert jax.device_count() == 8
    if kind == "pmap":
        function = jax.pmap(
            per_device, "devices", in_axes=(None, 0, 0), out_axes=(0, 0, None, None)
        )
        parts = [a.reshape(8, 2, *a.shape[1:]) for a in (x, weights)]
    else:
        mesh, over = Mesh(np.array(jax.devices()), ("devices",)), P("devices")
        specs = dict(in_specs=(P(), over, over), out_specs=(over, over, P(), P()))
        function = jax.jit(jax.shard_map(per_device, mesh=mesh, **specs))
        parts = [x, weights]
    y, for_x, stats, for_params = function(VARIABLES["params"], *parts)
    found = (y.reshape(x.shape), for_x.reshape(x.shape), stats, for_params)
    expected = outputs(VARIABLES["params"], x, weights, None)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), found, expected
    )
