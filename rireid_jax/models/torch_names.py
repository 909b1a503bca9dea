"""The names of a network's weights in PyTorch: rows that say which tensor is which of our variables.

A network lists its rows in `torch_names()`; the same rows read and write a `state_dict`. The functions here make the
rows of one layer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["conv", "up", "fc", "vector"]
Place = tuple[
    str, ...
]  # names of modules from the network down, or to an array: the collection first

# The axes of our array, taken from PyTorch's. Conv2d has [out, in, kH, kW], ConvTranspose2d [in, out, kH, kW], Linear
# [out, in]; ours are [kH, kW, in, out] and [in, out].
AXES: dict[Kind, tuple[int, ...]] = {
    "conv": (2, 3, 1, 0),
    "up": (2, 3, 0, 1),
    "fc": (1, 0),
    "vector": (0,),
}

COUNTER = (
    "num_batches_tracked"  # of every batch norm in PyTorch; only one without momentum reads it
)


@dataclass(frozen=True)
class Tensor:
    """One tensor of a `state_dict`.

    Attributes:
      names: its keys; the first is the main one, the others hold the same tensor again.
      kind: key of `AXES`.
      places: where its values go, each "params" or "batch_stats" and then the names down to an array; several where
        streams start from the same weights.
    """

    names: tuple[str, ...]
    kind: Kind
    places: tuple[Place, ...]

    def inside(self, module: str) -> "Tensor":
        """The same tensor, seen from the module that holds this network under a name."""
        places = tuple((collection, module, *rest) for collection, *rest in self.places)
        return Tensor(self.names, self.kind, places)


def layer(
    kind: Kind, names: str | tuple[str, ...], *places: Place, bias: bool = True
) -> Iterator[Tensor]:
    """The kernel of a convolution or of a fully connected layer, and its bias.

    Args:
      kind: of the kernel.
      names: of the module in PyTorch, or of all modules that share its tensors.
      places: of the module in our network.
      bias: whether it has one.
    """
    yield _tensor(names, "weight", kind, places, "params", "kernel")
    if bias:
        yield _tensor(names, "bias", "vector", places, "params", "bias")


def batch_norm(names: str | tuple[str, ...], *places: Place) -> Iterator[Tensor]:
    """Scale, bias and running statistics of a batch norm. Arguments as `layer`'s."""
    yield _tensor(names, "weight", "vector", places, "params", "scale")
    yield _tensor(names, "bias", "vector", places, "params", "bias")
    yield _tensor(names, "running_mean", "vector", places, "batch_stats", "mean")
    yield _tensor(names, "running_var", "vector", places, "batch_stats", "var")


def plain_layers(prefix: str, layers: tuple[str, ...], up: tuple[str, ...] = ()) -> list[Tensor]:
    """The rows of a network of convolutions with biases that have the same names in PyTorch, after a prefix.

    Args:
      prefix: of the names in PyTorch.
      layers: names of the modules.
      up: those of them that are transposed convolutions.
    """
    return [
        row
        for name in layers
        for row in layer("up" if name in up else "conv", f"{prefix}.{name}", (name,))
    ]


def within(places: tuple[Place, ...], *modules: str) -> tuple[Place, ...]:
    """A submodule of each of some modules."""
    return tuple((*place, *modules) for place in places)


def _tensor(
    names: str | tuple[str, ...],
    end: str,
    kind: Kind,
    places: tuple[Place, ...],
    collection: str,
    leaf: str,
) -> Tensor:
    names = (names,) if isinstance(names, str) else names
    where = tuple((collection, *place, leaf) for place in places)
    return Tensor(tuple(f"{name}.{end}" for name in names), kind, where)
