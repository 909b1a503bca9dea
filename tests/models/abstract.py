"""Shapes and costs of modules, of which nothing is computed, and variables of these shapes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rireid_jax.models.complexity import count_macs, count_parameters, image_like


def shapes(module, height, width, *args):
    """Variables of a module without computing them, and the image they are for."""
    image = image_like(height, width)
    return jax.eval_shape(lambda x: module.init(jax.random.key(0), x, *args), image), image


def size(module, height, width, *args):
    """Parameters and multiply-accumulates."""
    variables, image = shapes(module, height, width, *args)
    macs = count_macs(lambda v, x: module.apply(v, x, *args), variables, image)
    return count_parameters(variables["params"]), macs


def macs(module, height, width, *args):
    return size(module, height, width, *args)[1]


def parameters(module, *args):
    return count_parameters(shapes(module, 64, 32, *args)[0]["params"])


def maps(module, height, width):
    """Output shapes of an extractor's parts, by name."""
    variables, image = shapes(module, height, width, False)
    apply = partial(module.apply, capture_intermediates=True, mutable=["intermediates"])
    _, state = jax.eval_shape(lambda v, x: apply(v, x, False), variables, image)
    parts = {k: v for k, v in state["intermediates"].items() if isinstance(v, dict)}
    return {name: jax.tree.leaves(part["__call__"])[0].shape for name, part in parts.items()}


def draw(variables, seed=0):
    """Random numbers in the shapes of variables; an initialiser would have to be compiled first."""
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda a: 0.3 * rng.standard_normal(a.shape), variables["params"])
    stats = jax.tree.map(lambda a: rng.uniform(0.5, 1.5, a.shape), variables.get("batch_stats", {}))
    return jax.tree.map(
        lambda a: jnp.asarray(a, jnp.float32), {"params": params, "batch_stats": stats}
    )
