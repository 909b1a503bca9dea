"""What each primitive of JAX is in ONNX. A rule is a function of an equation and its values (see `translate`)."""

import math
from string import ascii_letters
from typing import Any

import numpy as np

from rireid_jax.export.graph import BOOL, FLOAT, Op, affine, constant, depends_on_batch
from rireid_jax.export.translate import (
    Known,
    Value,
    as_value,
    refuse,
    reshaped,
    rule,
    stored,
    usual_order,
    whole,
)

_UNARY = {
    "abs": "Abs",
    "ceil": "Ceil",
    "cos": "Cos",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "logistic": "Sigmoid",
    "not": "Not",
    "sign": "Sign",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
}
_BINARY = {
    "add": "Add",
    "and": "And",
    "div": "Div",
    "eq": "Equal",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "or": "Or",
    "pow": "Pow",
    "sub": "Sub",
}
_COMPARISONS = ("Equal", "GreaterOrEqual", "Greater", "LessOrEqual", "Less", "And", "Or")


def _elementwise(kind: str, *values: Value | Known, dtype: np.dtype = FLOAT) -> Value:
    """An operation on each number, with axes of size 1 enlarged as NumPy does."""
    order = usual_order(values)
    shape = np.broadcast_shapes(*(value.shape for value in values))
    inputs = tuple(stored(value, order) if value.shape else as_value(value).op for value in values)
    size = np.broadcast_shapes(*(op.shape for op in inputs))
    return Value(Op(kind, inputs, size, dtype), order, shape)


@rule(*_UNARY)
def _unary(equation: Any, x: Value) -> Value:
    return _elementwise(_UNARY[equation.primitive.name], x, dtype=x.dtype)


@rule(*_BINARY)
def _binary(equation: Any, *values: Value | Known) -> Value:
    kind = _BINARY[equation.primitive.name]
    dtype = BOOL if kind in _COMPARISONS else as_value(values[0]).dtype
    if equation.primitive.name in ("and", "or") and as_value(values[0]).dtype != BOOL:
        refuse(equation, "of whole numbers")
    return _with_constant(kind, *values) or _elementwise(kind, *values, dtype=dtype)


def _with_constant(kind: str, *values: Value | Known) -> Value | None:
    """x * scale + shift, if one of two values is a constant that does not enlarge the other."""
    x, other = map(as_value, values)
    first = x.op.value is None
    if first == (other.op.value is None):
        return None
    x, other = (x, other) if first else (other, x)
    if x.dtype != FLOAT:
        return None
    c = (stored(other, x.order) if other.shape else other.op).array
    if np.broadcast_shapes(c.shape, x.op.shape) != x.op.shape:
        return None
    parts = {
        "Add": (1, c),
        "Sub": (1, -c) if first else (-1, c),
        "Mul": (c, 0),
        "Div": (1 / c, 0) if first and c.all() else None,
    }.get(kind)
    return None if parts is None else Value(affine(x.op, *parts), x.order, x.shape)


@rule("neg")
def _negative(equation: Any, x: Value) -> Value:
    if x.dtype != FLOAT:
        return _elementwise("Neg", x, dtype=x.dtype)
    return Value(affine(x.op, -1.0), x.order, x.shape)


@rule("rsqrt")
def _reciprocal_root(equation: Any, x: Value) -> Value:
    return _elementwise("Reciprocal", _elementwise("Sqrt", x))


@rule("log1p")
def _log_of_one_more(equation: Any, x: Value) -> Value:
    return _elementwise("Log", Value(affine(x.op, 1.0, 1.0), x.order, x.shape))


@rule("square")
def _square(equation: Any, x: Value) -> Value:
    return _elementwise("Mul", x, x, dtype=x.dtype)


@rule("integer_pow")
def _power(equation: Any, x: Value) -> Value:
    if equation.params["y"] == 2:
        return _elementwise("Mul", x, x, dtype=x.dtype)
    return _elementwise("Pow", x, np.asarray(float(equation.params["y"])))


@rule("stop_gradient", "copy", "copy_p", "reduce_precision")
def _same(equation: Any, x: Value) -> Value:
    return x


@rule("convert_element_type")
def _convert(equation: Any, x: Value) -> Value:
    dtype = equation.outvars[0].aval.dtype
    dtype = FLOAT if np.dtype(dtype).kind not in "biu" else np.dtype(dtype)
    return x if dtype == x.dtype else _elementwise("Cast", x, dtype=dtype)


@rule("select_n")
def _select(equation: Any, which: Value | Known, *cases: Value | Known) -> Value:
    if len(cases) != 2 or as_value(which).dtype != BOOL:
        refuse(equation, "of more than two cases")
    return _elementwise("Where", which, *cases[::-1], dtype=as_value(cases[0]).dtype)


@rule("clamp")
def _clamp(equation: Any, low: Value | Known, x: Value | Known, high: Value | Known) -> Value:
    return _elementwise("Min", _elementwise("Max", x, low), high)


# Axes


@rule("transpose")
def _transpose(equation: Any, x: Value) -> Value:
    moved = equation.params["permutation"]
    order = tuple(moved.index(axis) for axis in x.order)
    return Value(x.op, order, tuple(x.shape[axis] for axis in moved))


@rule("reshape", "squeeze", "expand_dims")
def _reshape(equation: Any, x: Value) -> Value:
    return reshaped(x, equation.outvars[0].aval.shape)


@rule("broadcast_in_dim")
def _broadcast(equation: Any, x: Value | Known, *sizes: Any) -> Value:
    shape = equation.outvars[0].aval.shape
    value, places = as_value(x), equation.params["broadcast_dimensions"]
    if len(places) == len(shape) and value.order == tuple(range(len(shape))):
        return Value(value.op, value.order, shape)
    with_ones = [1] * len(shape)
    for axis, place in enumerate(places):
        with_ones[place] = value.shape[axis]
    value = reshaped(value, with_ones)
    return Value(value.op, value.order, shape)


@rule("concatenate")
def _concatenate(equation: Any, *values: Value | Known) -> Value:
    return _joined(values, equation.params["dimension"])


@rule("stack")
def _stack(equation: Any, *values: Value | Known) -> Value:
    axis = equation.params["axis"]
    shape = [*values[0].shape[:axis], 1, *values[0].shape[axis:]]
    return _joined([reshaped(value, shape) for value in values], axis)


def _joined(values: Any, axis: int) -> Value:
    order = usual_order(values)
    inputs = tuple(stored(whole(value), order) for value in values)
    place = order.index(axis)
    total = sum(op.shape[place] for op in inputs)
    size = tuple(total if a == place else n for a, n in enumerate(inputs[0].shape))
    shape = tuple(total if a == axis else n for a, n in enumerate(values[0].shape))
    return Value(Op("Concat", inputs, size, inputs[0].dtype, {"axis": place}), order, shape)


@rule("slice")
def _slice(equation: Any, x: Value) -> Value:
    params, shape = equation.params, equation.outvars[0].aval.shape
    steps = params["strides"] or (1,) * len(shape)
    cut = [axis for axis, size in enumerate(x.shape) if shape[axis] != size]
    starts, ends = params["start_indices"], params["limit_indices"]
    if any(depends_on_batch(x.shape[axis]) for axis in cut):
        refuse(equation, "of the images of a batch")
    # Where all numbers are the same, none needs to be left out.
    cut = [axis for axis in cut if x.op.shape[x.order.index(axis)] != 1]
    if not cut:
        return Value(x.op, x.order, shape)
    if x.op.value is not None:
        parts = [slice(starts[a], ends[a], steps[a]) if a in cut else slice(None) for a in x.order]
        return Value(constant(x.op.value[tuple(parts)], x.dtype), x.order, shape)
    attributes = {
        "axes": tuple(x.order.index(axis) for axis in cut),
        "starts": tuple(starts[axis] for axis in cut),
        "ends": tuple(ends[axis] for axis in cut),
        "steps": tuple(steps[axis] for axis in cut),
    }
    size = tuple(shape[a] if a in cut else n for a, n in zip(x.order, x.op.shape, strict=True))
    return Value(Op("Slice", (x.op,), size, x.dtype, attributes), x.order, shape)


@rule("pad")
def _pad(equation: Any, x: Value, fill: Value | Known) -> Value:
    x, margins = whole(x), equation.params["padding_config"]
    if any(low < 0 or high < 0 or inside for low, high, inside in margins):
        refuse(equation, "inside, or of less than nothing,")
    shape = equation.outvars[0].aval.shape
    pads = tuple(margins[axis][side] for side in (0, 1) for axis in x.order)
    size = tuple(shape[axis] for axis in x.order)
    op = Op("Pad", (x.op, as_value(fill).op), size, x.dtype, {"pads": pads})
    return Value(op, x.order, shape)


# Sums and windows


@rule("reduce_sum", "reduce_max", "reduce_min")
def _reduce(equation: Any, x: Value) -> Value:
    x, gone = whole(x), equation.params["axes"]
    kind = {"sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin"}[
        equation.primitive.name.removeprefix("reduce_")
    ]
    left = [axis for axis in range(len(x.shape)) if axis not in gone]
    order = tuple(left.index(axis) for axis in x.order if axis in left)
    size = tuple(x.shape[axis] for axis in x.order if axis in left)
    axes = tuple(place for place, axis in enumerate(x.order) if axis in gone)
    op = Op(kind, (x.op,), size, x.dtype, {"axes": axes, "keepdims": 0})
    return Value(op, order, tuple(x.shape[axis] for axis in left))


@rule("reduce_window_max", "reduce_window_sum")
def _pool(equation: Any, x: Value) -> Value:
    params, shape = equation.params, equation.outvars[0].aval.shape
    windows = params["window_dimensions"]
    spatial = [axis for axis, size in enumerate(windows) if size != 1]
    plain = [axis for axis in range(len(windows)) if axis not in spatial]
    dilated = any(size != 1 for size in (*params["base_dilation"], *params["window_dilation"]))
    if len(plain) != 2 or dilated:
        refuse(equation, "of such windows")
    order = (*plain, *spatial)
    attributes = {
        "kernel_shape": tuple(windows[axis] for axis in spatial),
        "strides": tuple(params["window_strides"][axis] for axis in spatial),
        "pads": tuple(params["padding"][axis][side] for side in (0, 1) for axis in spatial),
    }
    size = tuple(shape[axis] for axis in order)
    inputs = (stored(whole(x), order),)
    if equation.primitive.name.endswith("max"):
        return Value(Op("MaxPool", inputs, size, FLOAT, attributes), order, shape)
    op = Op("AveragePool", inputs, size, FLOAT, {**attributes, "count_include_pad": 1})
    return Value(affine(op, float(math.prod(windows))), order, shape)


@rule("conv_general_dilated")
def _convolution(equation: Any, x: Value | Known, kernel: Value | Known) -> Value:
    params, shape = equation.params, equation.outvars[0].aval.shape
    numbers = params["dimension_numbers"]
    x_order, kernel_order, order = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
    groups, up = params["feature_group_count"], params["lhs_dilation"]
    attributes = {"group": groups, "dilations": params["rhs_dilation"]}
    inputs = [stored(whole(x), x_order), stored(whole(kernel), kernel_order)]
    low, high = zip(*params["padding"], strict=True)
    kind, strides = "Conv", params["window_strides"]
    if any(step != 1 for step in up):
        weights = inputs[1]
        if any(step != 1 for step in strides) or weights.value is None or groups != 1:
            refuse(equation, "that both enlarges and reduces, or has groups,")
        kind, strides = "ConvTranspose", up
        # Each kernel looks the other way, and pads are what is cut off from the whole output.
        reach = [
            d * (n - 1) for n, d in zip(weights.shape[2:], attributes["dilations"], strict=True)
        ]
        low, high = (tuple(r - p for r, p in zip(reach, pads, strict=True)) for pads in (low, high))
        turned = weights.value[:, :, ::-1, ::-1] if len(reach) == 2 else None
        if turned is None:
            refuse(equation, "of other than two axes")
        inputs[1] = constant(turned.swapaxes(0, 1))
    if params["batch_group_count"] != 1 or min(*low, *high) < 0:
        refuse(equation, "of such a form")
    attributes |= {"strides": strides, "pads": (*low, *high)}
    size = tuple(shape[axis] for axis in order)
    return Value(Op(kind, tuple(inputs), size, FLOAT, attributes), order, shape)


@rule("dot_general")
def _product(equation: Any, a: Value | Known, b: Value | Known) -> Value:
    (contract, batch), shape = equation.params["dimension_numbers"], equation.outvars[0].aval.shape
    if not batch[0] and len(contract[0]) == 1:
        if len(b.shape) == 2:
            return _by_matrix(as_value(a), b, contract[0][0], contract[1][0], shape, last=True)
        if len(a.shape) == 2:
            return _by_matrix(as_value(b), a, contract[1][0], contract[0][0], shape, last=False)
    a, b = whole(a), whole(b)
    letters = iter(ascii_letters)
    names: list[list[str]] = [[next(letters) for _ in value.shape] for value in (a, b)]
    for pairs in (contract, batch):
        for left, right in zip(*pairs, strict=True):
            names[1][right] = names[0][left]
    free = [
        [
            name
            for axis, name in enumerate(names[side])
            if axis not in (*contract[side], *batch[side])
        ]
        for side in (0, 1)
    ]
    out = "".join([*(names[0][axis] for axis in batch[0]), *free[0], *free[1]])
    sides = ("".join(names[side][axis] for axis in v.order) for side, v in enumerate((a, b)))
    attributes = {"equation": f"{','.join(sides)}->{out}"}
    return as_value(Op("Einsum", (a.op, b.op), shape, FLOAT, attributes))


def _by_matrix(
    x: Value,
    matrix: Value | Known,
    axis: int,
    summed: int,
    shape: tuple[int, ...],
    last: bool,
) -> Value:
    """The product along one axis of x, which does not move if it is stored as one of the last two.

    Args:
      x: of any rank.
      matrix: of rank 2.
      axis: of x.
      summed: of the matrix.
      shape: of the product.
      last: whether the trace has the product's new axis after all others, rather than before them.
    """
    x = whole(x)
    rank = len(x.shape)
    order: tuple[int, ...] = x.order
    if rank > 2 and order.index(axis) < rank - 2:
        order = (*(a for a in order if a != axis), axis)
    columns = order.index(axis) == rank - 1
    across = stored(whole(matrix), (summed, 1 - summed) if columns else (1 - summed, summed))
    own = stored(x, order)
    inputs = (own, across) if columns else (across, own)
    # In the product, x's other axes keep their order, and the new one comes last or first.
    rest = [a for a in range(rank) if a != axis]
    places = {a: place + (0 if last else 1) for place, a in enumerate(rest)}
    places[axis] = rank - 1 if last else 0
    new_order = tuple(places[a] for a in order)
    op = Op("MatMul", inputs, tuple(shape[a] for a in new_order), FLOAT)
    return Value(op, new_order, shape)
