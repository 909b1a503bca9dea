"""A graph of operations, each with one output, as simplifications like to rewrite it; `onnx_file` writes it down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

# What a trace has for the number of images: a prime that no other size is a multiple of.
BATCH = 7919
FLOAT, BOOL = np.dtype(np.float32), np.dtype(np.bool_)


@dataclass(frozen=True, eq=False)
class Op:
    """An operation and its output.

    Attributes:
      kind: its name in ONNX, or "Input", "Constant", or "Affine": x * scale + shift, with constants that do not enlarge
        x.
      inputs: the operations whose outputs it reads.
      shape: of its output; `BATCH` stands for the number of images.
      dtype: of its output.
      attributes: as in ONNX, and for an Affine "scale" and "shift", float64 of x's rank.
      value: of a Constant; float64 until it is written, if it is a number with a fraction.
      name: of an Input.
    """

    kind: str
    inputs: tuple["Op", ...]
    shape: tuple[int, ...]
    dtype: np.dtype = FLOAT
    attributes: Mapping[str, Any] = field(default_factory=dict)
    value: np.ndarray | None = None
    name: str = ""

    def with_(self, **changes: Any) -> "Op":
        """A copy with other fields."""
        return replace(self, **changes)

    @property
    def array(self) -> np.ndarray:
        """The value of a Constant."""
        assert self.value is not None, self.kind
        return self.value

    @property
    def identity(self) -> Any:
        """Equal for two operations that compute the same of the same inputs."""
        if not self.inputs:
            return self
        attributes = {
            name: value.tobytes() if isinstance(value, np.ndarray) else value
            for name, value in self.attributes.items()
        }
        return self.kind, self.inputs, self.shape, self.dtype, tuple(sorted(attributes.items()))


def depends_on_batch(size: int) -> bool:
    """Whether a size is a multiple of the number of images."""
    return size > 0 and size % BATCH == 0


def constant(value: Any, dtype: np.dtype | None = None) -> Op:
    """An array as an operation."""
    value = np.asarray(value)
    if dtype is None:
        dtype = FLOAT if value.dtype.kind == "f" else value.dtype
    return Op("Constant", (), value.shape, dtype, value=value)


def affine(x: Op, scale: Any = 1.0, shift: Any = 0.0) -> Op:
    """x * scale + shift; the constants have x's rank, or none."""
    rank = len(x.shape)
    parts = {}
    for name, value in (("scale", scale), ("shift", shift)):
        value = np.asarray(value, np.float64)
        parts[name] = value.reshape(value.shape or (1,) * rank)
    return Op("Affine", (x,), x.shape, attributes=parts)


def reshape(x: Op, shape: Sequence[int]) -> Op:
    """The same numbers in another shape."""
    return Op("Reshape", (x,), tuple(shape), x.dtype)


def transpose(x: Op, order: Sequence[int]) -> Op:
    """Axes in another order."""
    if x.value is not None:
        return constant(x.value.transpose(order), x.dtype)
    shape = tuple(x.shape[axis] for axis in order)
    return Op("Transpose", (x,), shape, x.dtype, {"perm": tuple(order)})


def in_order(outputs: Sequence[Op]) -> list[Op]:
    """All operations that the outputs need, each after its inputs."""
    found: dict[Op, None] = {}
    waiting = [(op, False) for op in reversed(outputs)]
    while waiting:
        op, ready = waiting.pop()
        if ready:
            found[op] = None
        elif op not in found:
            waiting.append((op, True))
            waiting += [(source, False) for source in reversed(op.inputs)]
    return list(found)


# Given an operation and whether another one reads it alone, a better one or None.
Rule = Callable[[Op, Callable[[Op], bool]], Op | None]


def rewritten(outputs: Sequence[Op], rules: Sequence[Rule]) -> list[Op]:
    """The same outputs after all rules have nothing more to say, each operation once."""
    outputs = list(outputs)
    while True:
        readers: dict[Op, int] = {}
        sources = (source for op in in_order(outputs) for source in op.inputs)
        for source in (*sources, *outputs):
            readers[source] = readers.get(source, 0) + 1

        def read_once(op: Op, readers: dict[Op, int] = readers) -> bool:
            return readers.get(op, 1) == 1  # what a rule has just made is read by that alone

        changed = False
        new: dict[Op, Op] = {}
        same: dict[Any, Op] = {}
        for op in in_order(outputs):
            inputs = tuple(new[source] for source in op.inputs)
            better = op if inputs == op.inputs else op.with_(inputs=inputs)
            for rule in rules:
                found = rule(better, read_once)
                if found is not None:
                    better, changed = found, True
            first = same.setdefault(better.identity, better)
            better, changed = first, changed or first is not better
            if better is not op:
                # The operation may also have become one that others read already.
                readers[better] = readers.get(better, 0) + readers[op]
            new[op] = better
        outputs = [new[op] for op in outputs]
        if not changed:
            return outputs
