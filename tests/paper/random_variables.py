"""Variables to compute with, without the time that compiling an initialiser takes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def random_variables(shapes: Any) -> Any:
    """Random numbers in the shapes of variables; none is zero, and variances are positive."""
    rng = np.random.default_rng(0)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        deviation = np.sqrt(2 / np.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0.1
        one = path[-1].key in ("scale", "var")
        values = np.maximum(one + deviation * rng.standard_normal(leaf.shape), -1 + 1.5 * one)
        return jnp.asarray(values, leaf.dtype)

    return jax.tree.map_with_path(draw, shapes)
