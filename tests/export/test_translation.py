"""Arithmetic that networks of others may have, translated and run."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exported import file_of, nodes

from rireid_jax.export import Model
from rireid_jax.export.checking import differences
from rireid_jax.models.interfaces import Extractor
from rireid_jax.models.network import Network, variable_shapes


class Computing(Extractor):
    """Any function of images `[B, 8, 4, 3]` as an extractor."""

    function: Callable[[jax.Array], jax.Array]

    def __call__(self, image, train):
        y = self.function(nn.Conv(8, (1, 1), name="conv")(image))
        return y.reshape(y.shape[0], -1), None, None

    __call__ = nn.compact(__call__)


class Foreign(Extractor):
    """Layers of Flax itself."""

    @nn.compact
    def __call__(self, image, train):
        x = nn.Conv(8, (3, 3), (2, 2), feature_group_count=1, padding="SAME")(image)
        x = nn.Conv(16, (3, 3), feature_group_count=4, kernel_dilation=2)(nn.gelu(x))
        x = nn.GroupNorm(4)(x)
        x = nn.ConvTranspose(4, (4, 4), (2, 2), padding="SAME")(nn.silu(x))
        x = nn.avg_pool(nn.leaky_relu(x), (2, 2), (2, 2))
        x = nn.Dense(8)(nn.LayerNorm()(x))
        attention = nn.softmax(x.reshape(x.shape[0], -1, 8) @ jnp.ones((8, 2)), axis=1)
        return (
            jnp.einsum("npk,npc->nkc", attention, x.reshape(*attention.shape[:2], 8)).reshape(
                x.shape[0], -1
            ),
            None,
            None,
        )


def drawn(network):
    rng = np.random.default_rng(0)
    shapes = variable_shapes(network, (8, 4))
    variables = jax.tree.map(lambda a: rng.standard_normal(a.shape).astype(np.float32), shapes)
    return Model(network, variables, (8, 4), False, 4)


def shuffled(x):
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, c // 4, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(b, 2 * h, 2 * w, c // 4)


FUNCTIONS = {
    "pixel shuffle": shuffled,
    "blocks of pixels": lambda x: x.reshape(x.shape[0], 4, 2, 2, 2, 8).mean((2, 4)),
    "merged axes": lambda x: jnp.abs(x.reshape(x.shape[0], 32, 8)).swapaxes(1, 2).max(-1),
    "cut and joined": lambda x: jnp.concatenate([x[:, ::2, 1:3], 2 * x[:, 4:, :2]], 2),
    "parts of stacked": lambda x: jnp.stack([x.min((1, 2)), x.sum((1, 2))], 1)[:, 1] ** 3,
    "padded": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), constant_values=2.0),
    "chosen": lambda x: jnp.where(x > 0.5, jnp.sqrt(jnp.abs(x)), jnp.float32(3)) / (1 + x**2),
    "clipped": lambda x: jnp.clip(x, -0.5, 0.25) - jnp.minimum(x, 0.1) + jnp.log1p(jnp.exp(x)),
    "a matrix for rows": lambda x: jnp.einsum("bhwc,hk->bkwc", x, jnp.eye(8)[:, :3] + 0.5),
    "a matrix for columns": lambda x: jnp.einsum("kw,bhwc->bhkc", jnp.ones((2, 4)) * 0.3, x),
    "a matrix for channels": lambda x: x @ (jnp.arange(16.0).reshape(8, 2) / 7),
    "a matrix for each": lambda x: x @ x.swapaxes(2, 3),
    "resized": lambda x: jax.image.resize(x, (x.shape[0], 5, 2, 8), "linear"),
    "constants for each image": lambda x: (
        x.mean((1, 2)) * jnp.full((x.shape[0], 8), 0.5)
        + jnp.concatenate([jnp.zeros((x.shape[0], 3)), x[:, 0, 0, 3:]], 1)
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gives_the_same(name):
    model = drawn(Network(None, Computing(FUNCTIONS[name])))
    _, run = file_of(model, "float")
    assert differences(model, "float", run, (1, 3))["features"] < 1e-5


def test_layers_of_flax_give_the_same():
    model = drawn(Network(None, Foreign()))
    file, run = file_of(model, "uint8")
    assert {"Conv", "ConvTranspose", "AveragePool", "Einsum"} <= {*nodes(file)}
    assert differences(model, "uint8", run, (1, 3))["features"] < 1e-5


def test_axes_move_once():
    """A chain of convolutions, pools and arithmetic has no transposition but that of the image."""
    file, _ = file_of(drawn(Network(None, Computing(lambda x: nn.relu(2 * x + 1)))), "uint8")
    assert nodes(file) == [
        "Transpose",
        "Cast",
        "BatchNormalization",
        "Conv",
        "Relu",
        "Transpose",
        "Reshape",
    ]
    file, _ = file_of(drawn(Network(None, Computing(lambda x: x.mean((1, 2))))), "float")
    assert nodes(file) == ["Conv", "ReduceMean"]
