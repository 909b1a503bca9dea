"""Multiply-accumulates of functions that can be counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from rireid_jax.models.complexity import count_macs, count_parameters, image_like


def test_matrix_products():
    a, b = jnp.ones((3, 5)), jnp.ones((5, 7))
    assert count_macs(jnp.matmul, a, b) == 3 * 5 * 7
    # A batch of 4 products; the shapes alone are enough.
    many = (
        jax.ShapeDtypeStruct((4, 3, 5), jnp.float32),
        jax.ShapeDtypeStruct((4, 5, 7), jnp.float32),
    )
    assert count_macs(jax.vmap(jnp.matmul), *many) == 4 * 3 * 5 * 7


def convolution(x, kernel, stride=1, groups=1):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def test_convolutions():
    x = jnp.ones((2, 9, 7, 4))
    # The output is 2 x 4 x 3 pixels of 6 channels; each sums 3 x 3 x 4 products.
    assert count_macs(lambda x, k: convolution(x, k, 2), x, jnp.ones((3, 3, 4, 6))) == (
        2 * 4 * 3 * 6 * (3 * 3 * 4)
    )
    # In two groups every output sees half of the channels.
    assert count_macs(lambda x, k: convolution(x, k, 2, 2), x, jnp.ones((3, 3, 2, 6))) == (
        2 * 4 * 3 * 6 * (3 * 3 * 2)
    )


def test_nested_functions_are_entered_and_the_rest_is_free():
    @jax.jit
    def inner(x, w):
        return jax.nn.relu(x @ w)  # a custom derivative in a jit

    @jax.jit
    def outer(x, w):
        return jax.checkpoint(inner)(inner(x, w) + 1, w).sum() * jnp.tanh(x).mean()

    assert count_macs(outer, jnp.ones((2, 8)), jnp.ones((8, 8))) == 2 * (2 * 8 * 8)


def test_parameters_and_image():
    tree = {
        "a": np.zeros((2, 3)),
        "b": {"c": jax.ShapeDtypeStruct((5,), jnp.float32), "d": np.zeros(())},
    }
    assert count_parameters(tree) == 6 + 5 + 1
    assert image_like(6, 4).shape == (1, 6, 4, 3)
