"""The names of a network's weights in PyTorch: each row maps one tensor of a `state_dict` to one of our variables.

A network lists its rows in `torch_names()`, and the same rows serve to read and to write a `state_dict`. The functions
here make the rows of one layer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["conv", "up", "fc", "vector"]
Place = tuple[str, ...]  # path to a module, or (with the collection in front) to an array

# Transposing PyTorch's array by these axes gives ours. Conv2d has [out, in, kH, kW], ConvTranspose2d [in, out, kH, kW]
# and Linear [out, in]; ours are [kH, kW, in, out] and [in, out].
AXES: dict[Kind, tuple[int, ...]] = {
    "conv": (2, 3, 1, 0),
    "up": (2, 3, 0, 1),
    "fc": (1, 0),
    "vector": (0,),
}

COUNTER = (
    "num_batches_tracked"  # every batch norm in PyTorch has one, but only uses it without momentum
)


@dataclass(frozen=True)
class Tensor:
    """One tensor of a `state_dict`.

    Attributes:
      names: keys of the tensor; the first is the main one, the others store the same tensor again.
      kind: key of `AXES`.
      places: places that get the values, each "params" or "batch_stats" followed by the path to an array; several if
        streams start from the same weights.
    """

    names: tuple[str, ...]
    kind: Kind
    places: tuple[Place, ...]

    def inside(self, module: str) -> "Tensor":
        """Returns the same row for a parent module that holds this network under the name `module`."""
        places = tuple((collection, module, *rest) for collection, *rest in self.places)
        return Tensor(self.names, self.kind, places)


def layer(
    kind: Kind, names: str | tuple[str, ...], *places: Place, bias: bool = True
) -> Iterator[Tensor]:
    """Yields the rows of a convolution or a fully connected layer: its kernel and its bias.

    Args:
      kind: kind of the kernel.
      names: name of the module in PyTorch, or the names of all modules that share its tensors.
      places: places of the module in our network.
      bias: whether the layer has a bias.
    """
    yield _tensor(names, "weight", kind, places, "params", "kernel")
    if bias:
        yield _tensor(names, "bias", "vector", places, "params", "bias")


def batch_norm(names: str | tuple[str, ...], *places: Place) -> Iterator[Tensor]:
    """Yields the rows of a batch norm: scale, bias and running statistics. The arguments are those of `layer`."""
    yield _tensor(names, "weight", "vector", places, "params", "scale")
    yield _tensor(names, "bias", "vector", places, "params", "bias")
    yield _tensor(names, "running_mean", "vector", places, "batch_stats", "mean")
    yield _tensor(names, "running_var", "vector", places, "batch_stats", "var")


def plain_layers(prefix: str, layers: tuple[str, ...], up: tuple[str, ...] = ()) -> list[Tensor]:
    """Returns the rows of a network of convolutions with biases, whose names in PyTorch are ours after a prefix.

    Args:
      prefix: prefix of the names in PyTorch.
      layers: names of the modules.
      up: names of those modules that are transposed convolutions.
    """
    return [
        row
        for name in layers
        for row in layer("up" if name in up else "conv", f"{prefix}.{name}", (name,))
    ]


def within(places: tuple[Place, ...], *modules: str) -> tuple[Place, ...]:
    """Returns the places of a submodule, given the places of its parents."""
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
