"""Counts parameters and multiply-accumulates, which the column "FLOPs" of the paper's Table 1 lists."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr


def count_macs(function: Callable[..., Any], *args: Any) -> int:
    """Counts the multiply-accumulates of the convolutions and matrix products in `function(*args)`.

    The function is traced, not run, so `args` may be `jax.ShapeDtypeStruct`s. As is usual, biases, activations, norms
    and pooling are not counted; VDSR then has 32.79 G at 384x128, as in the paper.
    """
    return _macs(jax.make_jaxpr(function)(*args).jaxpr)


def image_like(height: int, width: int) -> jax.ShapeDtypeStruct:
    """Returns the shape and dtype of one normalised image, float32 [1, height, width, 3]."""
    return jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)


def count_parameters(params: Any) -> int:
    """Returns the number of scalars in a tree of parameters."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def _macs(jaxpr: Any) -> int:
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            contracted = eqn.params["dimension_numbers"][0][0]
            lhs = eqn.invars[0].aval.shape
            total += eqn.outvars[0].aval.size * math.prod(lhs[axis] for axis in contracted)
        elif eqn.primitive.name == "conv_general_dilated":
            kernel = eqn.invars[1].aval
            out_axis = eqn.params["dimension_numbers"].rhs_spec[0]
            total += eqn.outvars[0].aval.size * (kernel.size // kernel.shape[out_axis])
        else:
            for value in eqn.params.values():
                if isinstance(value, ClosedJaxpr):
                    total += _macs(value.jaxpr)
                elif isinstance(value, Jaxpr):
                    total += _macs(value)
    return total
