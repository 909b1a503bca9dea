"""The interfaces of the two kinds of networks that a config may name, and the context that they are created from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from ml_collections import ConfigDict

from rireid_jax.components import POSITIVE, Field
from rireid_jax.errors import UserError
from rireid_jax.models.torch_names import Tensor

Tree = dict[str, Any]  # the parameters or the running statistics of a module


@dataclass(frozen=True)
class Context:
    """Everything that a network is created from.

    Attributes:
      model: `config.model`, the options of all networks.
      stage: the config of the stage.
      num_classes: number of identities in the training set.
      dtype: dtype of the activations.
      axis_name: mapped axis over which batch norm is synchronised; None on a single device.
    """

    model: ConfigDict
    stage: ConfigDict
    num_classes: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @classmethod
    def of(
        cls, config: ConfigDict, stage: str, num_classes: int = 0, axis_name: str | None = None
    ) -> "Context":
        """Returns the context of one stage of a whole config."""
        dtype = jnp.dtype(config.dtype)
        return cls(config.model, config.stages[stage], num_classes, dtype, axis_name)


class Part(nn.Module):
    """The common base of both kinds of networks. The class itself is registered, not an instance.

    Class attributes:
      OPTIONS: the fields of `config.model` that the network reads.
      unused_names: pattern of the `state_dict` keys that the network in PyTorch holds but does not use.
    """

    OPTIONS: ClassVar[Mapping[str, Field]] = {}
    unused_names: ClassVar[re.Pattern[str] | None] = None

    @classmethod
    def create(cls, context: Context) -> "Part":
        """Creates the network for a stage."""
        raise NotImplementedError

    @property
    def adapts_to_width(self) -> bool:
        """Whether `__call__` takes the native width of the images, int32 `[B]`, as its last argument."""
        return False

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns every parameter and running statistic of the network with its name in PyTorch.

        Raises:
          UserError: the network has no names in PyTorch.
        """
        raise UserError(
            f"{type(self).__name__}: found no names of its weights in PyTorch, expected a method torch_names"
        )

    @nn.nowrap
    def unused_tensors(self, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the tensors that the network in PyTorch holds but does not use; a strict load there needs them.

        Args:
          state: the `state_dict` of all used tensors.
        """
        return {}

    @classmethod
    def rate_group(cls, path: tuple[str, ...]) -> str:
        """Returns the group of a parameter, "streams" or "gates", whose rate differs by a factor of its own, or "".

        Args:
          path: names of the parameter in the tree of the network's parameters.
        """
        return ""

    @nn.nowrap
    def adopt(self, own: Tree, given: Tree) -> Tree:
        """Returns this network's values, replaced by those of another network of its kind where both have an array.

        Args:
          own: parameters or running statistics of this network.
          given: the same collection of the other network, which may be of any class.
        """
        return adopt_parts(own, given)


class SuperResolution(Part):
    """A network from normalised images `[B, H, W, 3]` to restored images of the same size.

    Class attributes:
      size_multiple: number of pixels of which the height and width of images must be multiples.
    """

    size_multiple: ClassVar[int] = 4


class Restorer(SuperResolution):
    """A super-resolution network whose hidden widths are multiplied by `config.model.ffsr_width`.

    Attributes:
      width: multiplier of every hidden width; 1 gives the widths of the publication.
      dtype: dtype of the activations; the output is at least float32.
    """

    OPTIONS: ClassVar[Mapping[str, Field]] = {
        "ffsr_width": Field(
            1.0,
            "multiplier of the hidden widths of the super-resolution network",
            POSITIVE,
            small=0.25,
        )
    }

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @classmethod
    def create(cls, context: Context) -> "Restorer":
        """Creates the network for a stage."""
        return cls(context.model.ffsr_width, context.dtype)


class Extractor(Part):
    """A network from (normalised images `[B, H, W, 3]`, whether it is training) to (feature, logits, gates).

    The feature is `[B, D]`, the logits of the training identities are `[B, N]`, and the gates (wL, wH) of T dual-stream
    blocks are `[B, T, 2]`, with T = 0 in a network without such blocks. A network whose feature comes from a batch norm
    sows the input of that batch norm as "before_neck" in its module "head" (see `resnet50.Head`), for losses that
    compare it.

    Class attributes:
      necks: the values of `stage.neck` that the network supports.
    """

    necks: ClassVar[tuple[str, ...]] = ("fc",)

    @nn.nowrap
    def backbone_names(self) -> list[Tensor]:
        """Returns the tensors that `config.init.backbone` sets: all before the head, with their names in that file.

        Raises:
          UserError: no ImageNet weights are known for this network.
        """
        raise UserError(
            f"config.init.backbone: found with {type(self).__name__}, expected '' as no such weights are known for it"
        )

    @classmethod
    def count_classes(cls, params: Tree) -> int:
        """Returns the number of identities of a trained network. A network without a `resnet50.Head` overrides this.

        Args:
          params: parameters of the network.
        """
        return params["head"]["classifier"]["bias"].shape[0]

    @classmethod
    def stream_pairs(cls, params: Tree) -> dict[str, tuple[Tree, Tree]]:
        """Returns the parameters (low, high) of both streams of every part that has two, by its name, else {}.

        Args:
          params: parameters of the network.
        """
        return {}

    @nn.nowrap
    def first_parameters(self, params: Tree) -> Tree:
        """Returns the parameters that the network starts from, given randomly drawn ones."""
        return params


def adopt_parts(own: Tree, given: Tree) -> Tree:
    """Replaces every part that both networks have by that of `given`.

    An array without a counterpart stays as it is, for example those of squeeze-and-excitation when `given` is a plain
    ResNet. A head is replaced as a whole or not at all, because a classifier is useless with other features.
    """
    adopted = {}
    for name, value in own.items():
        fits = name in given
        if name == "head" and fits:
            fits = jax.tree.map(jnp.shape, value) == jax.tree.map(jnp.shape, given[name])
        adopted[name] = merge(value, given[name]) if fits else value
    return adopted


def merge(own: Any, given: Any) -> Any:
    """Returns `own` with copies of the arrays that `given` has under the same names."""
    if not isinstance(own, dict):
        return jnp.copy(given)
    return {
        name: merge(value, given[name]) if name in given else value for name, value in own.items()
    }
