"""What makes a translated graph as small as one written by hand. Each rule is a function of one operation."""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from rireid_jax.export.graph import (
    BOOL,
    FLOAT,
    Op,
    affine,
    constant,
    reshape,
    rewritten,
    transpose,
)

ReadOnce = Callable[[Op], bool]

_UNARY = ("Sigmoid", "Relu", "Tanh", "Sqrt", "Exp", "Log", "Abs", "Reciprocal", "Cast")
_REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")


def simplified(outputs: Sequence[Op]) -> list[Op]:
    """Fewer operations with the same outputs, all of which ONNX has."""
    return rewritten(rewritten(outputs, RULES), (_as_onnx,))


def _affine_of_affine(op: Op, read_once: ReadOnce) -> Op | None:
    if op.kind != "Affine":
        return None
    (inner,) = op.inputs
    if inner.kind != "Affine" or not read_once(inner):
        return None
    (scale, shift), (first_scale, first_shift) = _constants(op), _constants(inner)
    return affine(inner.inputs[0], first_scale * scale, first_shift * scale + shift)


def _affine_of_product(op: Op, read_once: ReadOnce) -> Op | None:
    """A batch norm, or a bias, becomes part of the convolution or matrix product before it."""
    if op.kind != "Affine":
        return None
    (inner,) = op.inputs
    axes = {"Conv": 1, "ConvTranspose": 1, "MatMul": -1, "Gemm": -1}
    if inner.kind not in axes or not read_once(inner):
        return None
    if inner.kind == "MatMul" and len(inner.inputs[0].shape) != 2:
        return None
    x, weights, *bias = inner.inputs
    if any(part.value is None for part in (weights, *bias)):
        return None
    if inner.kind == "ConvTranspose" and inner.attributes["group"] != 1:
        return None
    axis = axes[inner.kind]
    scale, shift = (_along(part, axis, op.shape[axis]) for part in _constants(op))
    if scale is None or shift is None:
        return None
    outputs = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1}[inner.kind]
    on_weights = scale.reshape([-1 if a == outputs else 1 for a in range(weights.array.ndim)])
    if bias:
        shift = bias[0].array * scale + shift
    kind = "Gemm" if inner.kind == "MatMul" else inner.kind
    inputs: tuple[Op, ...] = (x, constant(weights.array * on_weights), constant(shift))
    if not shift.any():
        kind, inputs = inner.kind, inputs[: len(inner.inputs)]
    return inner.with_(kind=kind, inputs=inputs)


def _mean(op: Op, read_once: ReadOnce) -> Op | None:
    if op.kind != "Affine":
        return None
    (inner,) = op.inputs
    if inner.kind != "ReduceSum" or not read_once(inner):
        return None
    (scale, shift), x = _constants(op), inner.inputs[0]
    if scale.size > 1:
        return None
    count = math.prod(x.shape[axis] for axis in inner.attributes["axes"])
    return affine(inner.with_(kind="ReduceMean"), scale * count, shift)


def _no_affine(op: Op, read_once: ReadOnce) -> Op | None:
    if op.kind != "Affine":
        return None
    scale, shift = _constants(op)
    unchanged = np.allclose(scale, 1, rtol=1e-12, atol=0) and not shift.any()
    return op.inputs[0] if unchanged else None


def _bounds(op: Op, read_once: ReadOnce) -> Op | None:
    """A maximum with 0 is a ReLU, and two bounds are one operation."""
    if op.kind not in ("Max", "Min") or op.dtype != FLOAT:
        return None
    bound, inner = _bounded(op)
    if bound is None:
        return None
    if op.kind == "Max" and bound.array.item() == 0:
        return Op("Relu", (inner,), op.shape)
    low = constant(0.0) if inner.kind == "Relu" else None
    if inner.kind == "Max":
        low, _ = _bounded(inner)
    if op.kind == "Max" or low is None or not read_once(inner) or inner.shape != op.shape:
        return None
    x = next(source for source in inner.inputs if source is not low)
    low, high = (constant(part.array.reshape(())) for part in (low, bound))
    return Op("Clip", (x, low, high), op.shape)


def _reshapes(op: Op, read_once: ReadOnce) -> Op | None:
    if op.kind in _UNARY and op.inputs[0].kind == "Reshape" and read_once(op.inputs[0]):
        inner = op.inputs[0].inputs[0]  # a Reshape sinks, until it meets another one
        return reshape(op.with_(inputs=(inner,), shape=inner.shape), op.shape)
    if op.kind != "Reshape":
        return None
    inner = op.inputs[0]
    if inner.kind == "Reshape":
        return reshape(inner.inputs[0], op.shape)
    if inner.shape == op.shape:
        return inner
    if inner.kind in _REDUCTIONS and not inner.attributes["keepdims"] and read_once(inner):
        axes, sizes = inner.attributes["axes"], inner.inputs[0].shape
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(sizes))
        if kept == op.shape:
            return inner.with_(shape=kept, attributes={**inner.attributes, "keepdims": 1})
    return None


def _transposes(op: Op, read_once: ReadOnce) -> Op | None:
    if op.kind != "Transpose":
        return None
    order, inner = op.attributes["perm"], op.inputs[0]
    if inner.kind == "Transpose":
        return transpose(inner.inputs[0], [inner.attributes["perm"][axis] for axis in order])
    moved = [axis for axis in order if inner.shape[axis] != 1]
    if moved == sorted(moved):
        return reshape(inner, op.shape)
    # Of an image as it comes, pixels of one byte are moved rather than four.
    if _of_input(inner) and inner.kind != "Input":
        attributes = dict(inner.attributes)
        if inner.kind == "Affine":
            attributes = {name: part.transpose(order) for name, part in attributes.items()}
        source = transpose(inner.inputs[0], order)
        return inner.with_(inputs=(source,), shape=op.shape, attributes=attributes)
    return None


def _slices(op: Op, read_once: ReadOnce) -> Op | None:
    """What is put together is taken apart again without either."""
    if op.kind != "Slice" or len(op.attributes["axes"]) != 1 or op.attributes["steps"] != (1,):
        return None
    (axis,), inner = op.attributes["axes"], op.inputs[0]
    start, end = op.attributes["starts"][0], op.attributes["ends"][0]
    if inner.kind == "Concat" and inner.attributes["axis"] == axis:
        sizes = [source.shape[axis] for source in inner.inputs]
        for source, stop in zip(inner.inputs, accumulate(sizes), strict=True):
            if (start, end) == (stop - source.shape[axis], stop):
                return source
    if inner.kind == "Reshape":
        before, after = inner.inputs[0].shape, inner.shape
        places = [[a for a, size in enumerate(shape) if size != 1] for shape in (before, after)]
        if [before[a] for a in places[0]] == [after[a] for a in places[1]] and axis in places[1]:
            place = places[0][places[1].index(axis)]
            shape = tuple(end - start if a == place else size for a, size in enumerate(before))
            attributes = {**op.attributes, "axes": (place,)}
            taken = op.with_(inputs=inner.inputs, shape=shape, attributes=attributes)
            return reshape(taken, op.shape)
    return None


RULES = (
    _affine_of_affine,
    _affine_of_product,
    _mean,
    _no_affine,
    _bounds,
    _reshapes,
    _transposes,
    _slices,
)


def _as_onnx(op: Op, read_once: ReadOnce) -> Op | None:
    """An Affine in the operations of ONNX."""
    if op.kind != "Affine":
        return None
    (x,), (scale, shift) = op.inputs, _constants(op)
    if len(op.shape) > 1 and scale.any() and (scale != 1).any() and shift.any():
        vectors = [_along(part, 1, op.shape[1]) for part in (scale, shift)]
        if all(vector is not None for vector in vectors):
            still = [np.full(op.shape[1], value) for value in (0.0, 1.0)]
            inputs = (x, *map(constant, (*vectors, *still)))
            return Op("BatchNormalization", inputs, op.shape, attributes={"epsilon": 0.0})
    if (scale != 1).any():
        x = Op("Mul", (x, constant(scale)), op.shape)
    return Op("Add", (x, constant(shift)), op.shape) if shift.any() else x


def _constants(op: Op) -> tuple[np.ndarray, np.ndarray]:
    return op.attributes["scale"], op.attributes["shift"]


def _along(part: np.ndarray, axis: int, size: int) -> np.ndarray | None:
    """A constant as a vector along one axis; None if it differs along another."""
    if part.size != part.shape[axis]:
        return None
    return np.broadcast_to(part.reshape(-1), (size,)).copy()


def _bounded(op: Op) -> tuple[Op | None, Op]:
    """(the one number that is a bound, the other input)."""
    for bound, x in (op.inputs, op.inputs[::-1]):
        if bound.value is not None and bound.value.size == 1:
            return bound, x
    return None, op.inputs[0]


def _of_input(op: Op) -> bool:
    while op.kind in ("Cast", "Affine"):
        op = op.inputs[0]
    return op.kind == "Input" and op.dtype != BOOL
