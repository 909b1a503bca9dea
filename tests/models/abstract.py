"""Shapes and costs of modules without computing them, and variables of these shapes."""

import jax
import jax.numpy as jnp
import numpy as np

from rireid_jax.models.complexity import count_macs, count_parameters, image_like


def shapes(module, height, width, *args):
    """Shapes of a module's variables, and of the image that they are for."""
    image = image_like(height, width)
    return jax.eval_shape(lambda x: module.init(jax.random.key(0), x, *args), image), image


def size(module, height, width, *args):
    """Parameters and multiply-accumulates."""
    variables, image = shapes(module, height, width, *args)
    macs = count_macs(lambda v, x: module.apply(v, x, *args), variables, image)
    return count_parameters(variables["params"]), macs


def draw(variables, seed=0):
    """Random numbers in the shapes of variables; an initialiser would have to be compiled first."""
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda a: 0.3 * rng.standard_normal(a.shape), variables["params"])
    stats = jax.tree.map(lambda a: rng.uniform(0.5, 1.5, a.shape), variables.get("batch_stats", {}))
    return jax.tree.map(
        lambda a: jnp.asarray(a, jnp.float32), {"params": params, "batch_stats": stats}
    )
