"""Convolutions, pooling and fully connected layers against literal loops in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rireid_jax.models.layers import Conv, Dense, UpConv, global_average_pool, max_pool


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def random(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape))


def convolve(x, kernel, bias, stride, padding):
    """Cross-correlation, an output pixel at a time."""
    k = kernel.shape[0]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((n - k) // stride + 1 for n in x.shape[1:3])
    y = np.empty((len(x), height, width, kernel.shape[-1]))
    for i, j in itertools.product(range(height), range(width)):
        window = x[:, i * stride : i * stride + k, j * stride : j * stride + k]
        y[:, i, j] = np.tensordot(window, kernel, 3) + bias
    return y


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        pytest.param(1, 1, 0, id="1x1"),
        pytest.param(1, 2, 0, id="1x1 with stride"),
        pytest.param(1, 1, 1, id="1x1 padded"),
        pytest.param(2, 2, 0, id="kernel is stride"),
        pytest.param(3, 3, 0, id="kernel is stride, remainder"),
        pytest.param(3, 3, 1, id="kernel is stride, padded"),
        pytest.param(3, 1, 1, id="3x3"),
        pytest.param(3, 2, 1, id="3x3 with stride"),
        pytest.param(7, 2, 3, id="stem"),
    ],
)
@pytest.mark.parametrize("size", [(8, 11), (4, 3)], ids=["large", "small"])
def test_convolution_is_the_loop(kernel, stride, padding, size):
    x = random(2, *size, 3)
    params = {"kernel": random(kernel, kernel, 3, 5), "bias": random(5)}
    layer = Conv(5, kernel, stride, padding, dtype=jnp.float64)
    expected = convolve(x, params["kernel"], params["bias"], stride, padding)
    np.testing.assert_allclose(layer.apply({"params": params}, x), expected, rtol=0, atol=1e-12)

    without = Conv(5, kernel, stride, padding, use_bias=False, dtype=jnp.float64)
    found = without.apply({"params": {"kernel": params["kernel"]}}, x)
    np.testing.assert_allclose(found, expected - params["bias"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(1, 1, 0), (1, 2, 0), (2, 2, 0), (3, 1, 1), (3, 1, 0), (3, 2, 1), (5, 1, 2), (7, 2, 3)],
)
@pytest.mark.parametrize("features", [2, 6])
@pytest.mark.parametrize("size", [(8, 11), (4, 3)], ids=["large", "small"])
def test_gradients_of_a_convolution_are_its_adjoints(kernel, stride, padding, features, size):
    # It is linear in the image and in the kernel: <gradient, direction> is exactly <weights, what the direction adds>.
    x, direction_of_x = random(2, *size, 4), random(2, *size, 4, seed=1)
    shape = (kernel, kernel, 4, features)
    weights_of_layer, direction_of_kernel = random(*shape), random(*shape, seed=1)
    layer = Conv(features, kernel, stride, padding, use_bias=False, dtype=jnp.float64)

    def conv(x, kernel):
        return layer.apply({"params": {"kernel": kernel}}, x)

    y, gradients = jax.vjp(conv, x, weights_of_layer)
    weights = random(*y.shape, seed=2)
    for_x, for_kernel = gradients(weights)
    by_x = (weights * convolve(direction_of_x, weights_of_layer, 0, stride, padding)).sum()
    by_kernel = (weights * convolve(x, direction_of_kernel, 0, stride, padding)).sum()
    np.testing.assert_allclose((for_x * direction_of_x).sum(), by_x, rtol=0, atol=1e-11)
    np.testing.assert_allclose(
        (for_kernel * direction_of_kernel).sum(), by_kernel, rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("kernel", [2, 3])
def test_up_convolution_writes_a_tile_for_every_pixel(kernel):
    x = random(2, 3, 4, 5)
    params = {"kernel": random(kernel, kernel, 5, 6), "bias": random(6)}
    expected = np.empty((2, 3 * kernel, 4 * kernel, 6))
    for i, j, p, q in itertools.product(range(3), range(4), range(kernel), range(kernel)):
        tile = x[:, i, j] @ params["kernel"][p, q] + params["bias"]
        expected[:, i * kernel + p, j * kernel + q] = tile
    found = UpConv(6, kernel, dtype=jnp.float64).apply({"params": params}, x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_up_convolution_is_the_transpose_of_the_convolution():
    # <conv(x), y> == <x, upconv(y)> with the same kernel, in and out exchanged.
    x, y, kernel = random(1, 4, 6, 3), random(1, 2, 3, 5), random(2, 2, 3, 5)
    down = Conv(5, 2, 2, use_bias=False, dtype=jnp.float64)
    down = down.apply({"params": {"kernel": kernel}}, x)
    params = {"kernel": kernel.transpose(0, 1, 3, 2), "bias": jnp.zeros(3)}
    up = UpConv(3, 2, dtype=jnp.float64).apply({"params": params}, y)
    np.testing.assert_allclose((down * y).sum(), (x * up).sum(), rtol=1e-12)


def test_dense_by_hand():
    params = {"kernel": jnp.array([[1.0, 2], [3, 4], [5, 6]]), "bias": jnp.array([0.5, -0.5])}
    found = Dense(2, dtype=jnp.float64).apply({"params": params}, jnp.array([[1.0, 0, -1]]))
    np.testing.assert_array_equal(found, [[1 - 5 + 0.5, 2 - 6 - 0.5]])


@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_max_pool_pads_with_nothing(size):
    # All values are negative: a zero from the padding would win.
    x = -1 - jnp.abs(random(2, *size, 3))
    height, width = ((n + 2 - 3) // 2 + 1 for n in size)
    expected = np.empty((2, height, width, 3))
    for i, j in itertools.product(range(height), range(width)):
        rows, columns = (slice(max(0, 2 * n - 1), 2 * n + 2) for n in (i, j))
        expected[:, i, j] = x[:, rows, columns].max((1, 2))
    np.testing.assert_array_equal(max_pool(x), expected)


def test_gradient_of_max_pool_goes_to_the_maximum():
    x, weights = random(1, 7, 6, 2), random(1, 4, 3, 2, seed=1)
    expected = np.zeros(x.shape)
    for i, j, c in itertools.product(range(4), range(3), range(2)):
        top, left = max(0, 2 * i - 1), max(0, 2 * j - 1)
        window = np.asarray(x[0, top : 2 * i + 2, left : 2 * j + 2, c])
        row, column = np.unravel_index(window.argmax(), window.shape)
        expected[0, top + row, left + column, c] += weights[0, i, j, c]
    found = jax.grad(lambda x: (max_pool(x) * weights).sum())(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_global_average_pool_is_accurate():
    # In bfloat16 the running sum of ones would stop growing at 256.
    pooled = global_average_pool(jnp.ones((1, 40, 40, 2), jnp.bfloat16))
    assert pooled.dtype == jnp.float32
    np.testing.assert_array_equal(pooled, np.ones((1, 2)))
    x = random(2, 3, 5, 4)
    np.testing.assert_allclose(global_average_pool(x), x.mean((1, 2)), atol=1e-15)


@pytest.mark.parametrize(
    "layer",
    [
        Conv(4, 1, dtype=jnp.bfloat16),
        Conv(4, 2, 2, dtype=jnp.bfloat16),
        Conv(4, 3, 1, 1, dtype=jnp.bfloat16),
        UpConv(4, dtype=jnp.bfloat16),
    ],
    ids=["1x1", "kernel is stride", "3x3", "up"],
)
def test_bfloat16_activations_have_float32_parameters(layer):
    x = random(1, 4, 4, 3).astype(jnp.float32)
    y, variables = layer.init_with_output(jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    exact = type(layer)(**{**_fields(layer), "dtype": jnp.float32}).apply(variables, x)
    np.testing.assert_allclose(y.astype(jnp.float32), exact, atol=0.1)


def _fields(layer):
    return {name: getattr(layer, name) for name in ("features", "kernel", "dtype")} | {
        name: getattr(layer, name) for name in ("stride", "padding") if hasattr(layer, name)
    }
