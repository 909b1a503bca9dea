"""A JAX trace as a graph of ONNX's operations.

Whatever a network computes is a trace (jaxpr) of some dozen primitives, and each of these has one rule here or in
`primitives`. So a network needs no description of its own to be exported, and one with Flax's own layers, or with
arithmetic between layers, is as good as one with ours. The other ways were a list of layers for each network, which
would be a second description to keep equal to the first, and Flax's interceptors, which see layers but not what is
computed between them, such as Eq. 6.

- What depends on the parameters alone is computed here, in float64. A batch norm is thus two constants, and
  `simplify` folds them into the convolution before it.
- Axes are not moved where they are only named: a value knows in which order its axes are stored. Convolutions store
  channels before rows and columns, everything after them keeps to that, and a transposition costs nothing until an
  operation needs another order.
- The trace is one of `BATCH` images; sizes that are multiples of it stand for any number of images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from rireid_jax.export.graph import (
    Op,
    constant,
    depends_on_batch,
    reshape,
    transpose,
)


@dataclass(frozen=True)
class Value:
    """A value of a trace that depends on an input.

    Attributes:
      op: what computes it. An axis on which all numbers are the same may have size 1 there.
      order: for every axis of `op`, the axis of the trace's array that it is.
      shape: of the trace's array.
    """

    op: Op
    order: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers."""
        return self.op.dtype


class Untranslatable(Exception):
    """A primitive, or a form of one, that has no rule.

    Attributes:
      place: names of the modules that it is in.
    """

    def __init__(self, what: str):
        super().__init__(what)
        self.place = ""


Known = np.ndarray  # a value that depends on no input; fractions are float64
Rule = Callable[..., "Value | Known"]
RULES: dict[str, Rule] = {}
# Primitives that only hold a trace of their own.
_CALLS = {
    *("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "custom_lin"),
    *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
}


def rule(*primitives: str) -> Callable[[Rule], Rule]:
    """Registers how primitives are translated: a function of (equation, values), of which at least one is a `Value`."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(primitives, function))
        return function

    return register


def translated(closed: ClosedJaxpr, arguments: Sequence[Any]) -> list[Op]:
    """The outputs of a trace, stored as the trace has them.

    Args:
      closed: the trace.
      arguments: for every input of it, an array, or an `Op` for an input of the graph.

    Raises:
      Untranslatable: ONNX, or this module, has nothing for a primitive.
    """
    values = [
        as_value(argument) if isinstance(argument, Op) else exact(argument)
        for argument in arguments
    ]
    outputs = _run(closed.jaxpr, [exact(value) for value in closed.consts], values)
    return [as_stored(output) for output in outputs]


def _run(
    jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Value | Known]
) -> Sequence[Value | Known]:
    known: dict[Any, Value | Known] = dict(zip(jaxpr.constvars, constants, strict=True))
    known |= dict(zip(jaxpr.invars, arguments, strict=True))

    def read(variable: Any) -> Value | Known:
        return exact(variable.val) if isinstance(variable, Literal) else known[variable]

    for equation in jaxpr.eqns:
        values = [read(variable) for variable in equation.invars]
        try:
            outputs = _translate(equation, values)
        except Untranslatable as error:
            error.place = error.place or str(equation.source_info.name_stack)
            raise
        known |= zip(equation.outvars, outputs, strict=True)
    return [read(variable) for variable in jaxpr.outvars]


def _translate(equation: Any, values: Sequence[Value | Known]) -> Sequence[Value | Known]:
    name = equation.primitive.name
    if name in _CALLS:
        inner = next(
            part for part in equation.params.values() if isinstance(part, ClosedJaxpr | Jaxpr)
        )
        if isinstance(inner, ClosedJaxpr):
            return _run(inner.jaxpr, [exact(value) for value in inner.consts], values)
        return _run(inner, [], values)
    sizes = [size for variable in equation.outvars for size in variable.aval.shape]
    constants = [value for value in values if isinstance(value, np.ndarray)]
    if len(constants) == len(values):
        if not any(map(depends_on_batch, sizes)):
            return _computed(equation, constants)
        values = [as_value(value) for value in values]
    if name not in RULES:
        raise Untranslatable(name)
    result = RULES[name](equation, *values)
    (output,) = equation.outvars
    assert result.shape == output.aval.shape, (name, result.shape, output.aval.shape)
    return [result]


# JAX would compile a program for each of these and each shape, which takes half a minute for a deep network.
_COMPUTED: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "and": np.bitwise_and,
    "eq": np.equal,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "select_n": lambda which, *cases: np.choose(which.astype(int), cases),
    "sqrt": np.sqrt,
    "sub": np.subtract,
}


def _computed(equation: Any, values: Sequence[Known]) -> list[Known]:
    """What an equation gives for constants; numbers with fractions are computed in float64."""
    name, (output,) = equation.primitive.name, equation.outvars
    if name == "convert_element_type":
        return [exact(values[0].astype(_exact_dtype(equation.params["new_dtype"])))]
    if name in _COMPUTED:
        return [exact(_COMPUTED[name](*values))]
    if name in ("reshape", "squeeze", "expand_dims"):
        return [values[0].reshape(output.aval.shape)]
    if name == "broadcast_in_dim":
        places = equation.params["broadcast_dimensions"]
        sizes = [1] * len(output.aval.shape)
        for place, size in zip(places, values[0].shape, strict=True):
            sizes[place] = size
        return [np.broadcast_to(values[0].reshape(sizes), output.aval.shape)]
    params = {name: _exact_dtype(value) for name, value in equation.params.items()}
    with jax.enable_x64(True):
        outputs = equation.primitive.bind(*values, **params)
    if not equation.primitive.multiple_results:
        outputs = [outputs]
    return [exact(output) for output in outputs]


def _exact_dtype(value: Any) -> Any:
    is_dtype = isinstance(value, np.dtype) and jax.numpy.issubdtype(value, np.floating)
    return np.dtype(np.float64) if is_dtype else value


def exact(value: Any) -> Known:
    """An array whose numbers with fractions are float64."""
    value = np.asarray(value)
    return value.astype(np.float64) if jax.numpy.issubdtype(value.dtype, np.floating) else value


def refuse(equation: Any, why: str) -> NoReturn:
    """Raises Untranslatable for a form of a primitive that no rule covers."""
    raise Untranslatable(f"{equation.primitive.name} {why}")


# Values in the order that an operation needs


def as_value(value: Value | Known | Op) -> Value:
    """A constant or an operation as a value, its axes stored as they are."""
    if isinstance(value, Value):
        return value
    op = value if isinstance(value, Op) else constant(value)
    return Value(op, tuple(range(len(op.shape))), op.shape)


def stored(value: Value | Known, order: Sequence[int]) -> Op:
    """The operation that has a value's axes in a given order; axes of size 1 may stand for greater ones."""
    value, order = as_value(value), tuple(order)
    if value.order == order:
        return value.op
    return transpose(value.op, [value.order.index(axis) for axis in order])


def whole(value: Value | Known) -> Value:
    """The same value with all axes in their full size."""
    value = as_value(value)
    shape = tuple(value.shape[axis] for axis in value.order)
    if value.op.shape == shape:
        return value
    if value.op.value is not None and not any(map(depends_on_batch, shape)):
        full = constant(np.broadcast_to(value.op.value, shape), value.dtype)
    else:
        full = Op("Expand", (value.op,), shape, value.dtype)
    return Value(full, value.order, value.shape)


def as_stored(value: Value | Known) -> Op:
    """The operation that has a value as the trace has it."""
    value = whole(value)
    return stored(value, range(len(value.shape)))


def usual_order(values: Sequence[Value | Known]) -> tuple[int, ...]:
    """The order in which an operation on several values moves the fewest axes."""
    orders = [value.order for value in values if isinstance(value, Value) and value.shape]
    if not orders:
        rank = max(len(value.shape) for value in values)
        return tuple(range(rank))
    return next((order for order in orders if order != tuple(sorted(order))), orders[0])


def reshaped(value: Value | Known, shape: Sequence[int]) -> Value:
    """The same numbers in another shape; axes that are only split, or are neighbours where stored, do not move."""
    value, shape = as_value(value), tuple(shape)
    groups = _groups(value.shape, shape)
    # Axes in which all numbers are the same stay small, unless they are split or merged.
    small = {
        axis for axis, n in zip(value.order, value.op.shape, strict=True) if n != value.shape[axis]
    }
    kept = {old[0]: new[0] for old, new in groups or () if len(old) == len(new) == 1}
    if not small <= {*kept}:
        value, small = whole(value), set()
    small = {kept[axis] for axis in small}
    order = _split(value, groups, shape) if groups is not None else None
    if order is None:
        return as_value(reshape(as_stored(value), shape))
    new = tuple(1 if axis in small else shape[axis] for axis in order)
    op = value.op if value.op.shape == new else reshape(value.op, new)
    if value.op.value is not None:
        op = constant(value.op.value.reshape(new), value.dtype)
    return Value(op, order, shape)


def _groups(
    old: Sequence[int], new: Sequence[int]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]] | None:
    """Pairs of axes before and after that hold the same numbers, without axes of size 1; None if there are no such."""
    sides = [[axis for axis, size in enumerate(shape) if size != 1] for shape in (old, new)]
    groups, i, j = [], 0, 0
    while i < len(sides[0]) or j < len(sides[1]):
        first, second = i, j
        before = after = 1
        while before != after or (i == first and j == second):
            if before <= after and i < len(sides[0]):
                before *= old[sides[0][i]]
                i += 1
            elif j < len(sides[1]):
                after *= new[sides[1][j]]
                j += 1
            else:
                return None
        groups.append((tuple(sides[0][first:i]), tuple(sides[1][second:j])))
    return groups


def _split(
    value: Value, groups: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The order in which the axes of a new shape are stored if none is moved; None if one must be."""
    after = {old: new for old, new in groups}
    used = [axis for axis in value.order if value.shape[axis] != 1]
    order: list[int] = []
    while used:
        group = next(old for old in after if used[0] in old)
        if tuple(used[: len(group)]) != group:
            return None
        order += after[group]
        used = used[len(group) :]
    for axis, size in enumerate(shape):
        if (
            size == 1
        ):  # goes anywhere; the next places are those of an array that has no other order
            order.insert(order.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(order)
