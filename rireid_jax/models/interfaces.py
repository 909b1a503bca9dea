"""What a network must offer to stand in a config: the two kinds of networks, and what they are made for."""

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

Tree = dict[str, Any]  # parameters or running statistics of a module


@dataclass(frozen=True)
class Context:
    """What a network is made for.

    Attributes:
      model: `config.model`, the options of all networks.
      stage: the stage's config.
      num_classes: identities of the training set.
      dtype: of activations.
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
        """The context of a stage of a whole config."""
        dtype = jnp.dtype(config.dtype)
        return cls(config.model, config.stages[stage], num_classes, dtype, axis_name)


class Part(nn.Module):
    """What both kinds of networks have in common. A part is registered as a class.

    Class attributes:
      OPTIONS: fields of `config.model` that the network reads.
      unused_names: matches keys of a `state_dict` that the network in PyTorch holds and does not use.
    """

    OPTIONS: ClassVar[Mapping[str, Field]] = {}
    unused_names: ClassVar[re.Pattern[str] | None] = None

    @classmethod
    def create(cls, context: Context) -> "Part":
        """The network of a stage."""
        raise NotImplementedError

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Every parameter and running statistic of the network under its name in PyTorch.

        Raises:
          UserError: the network has no names there.
        """
        raise UserError(
            f"{type(self).__name__}: found no names of its weights in PyTorch, expected a method torch_names"
        )

    @nn.nowrap
    def unused_tensors(self, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the network in PyTorch holds and does not use, for a `state_dict` that loads there strictly.

        Args:
          state: of all that is used.
        """
        return {}

    @nn.nowrap
    def adopt(self, own: Tree, given: Tree) -> Tree:
        """What the network takes over from another one of its kind: each array of the same place.

        Args:
          own: parameters or running statistics of this network.
          given: the same of the other network, of any class.
        """
        return adopt_parts(own, given)


class SuperResolution(Part):
    """A network from normalised images `[B, H, W, 3]` to restored ones of the same size.

    Class attributes:
      adapts_to_width: whether `__call__` takes the native width of the images, int32 `[B]`, as a second argument.
      size_multiple: what height and width of images must be a multiple of.
    """

    adapts_to_width: ClassVar[bool] = False
    size_multiple: ClassVar[int] = 4


class Restorer(SuperResolution):
    """A super-resolution network whose hidden widths are multiplied by `config.model.ffsr_width`.

    Attributes:
      width: multiplies every hidden width; 1 is the publication.
      dtype: of activations; the output is at least float32.
    """

    OPTIONS: ClassVar[Mapping[str, Field]] = {
        "ffsr_width": Field(
            1.0, "times the hidden widths of a super-resolution network", POSITIVE, small=0.25
        )
    }

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @classmethod
    def create(cls, context: Context) -> "Restorer":
        """The network of a stage."""
        return cls(context.model.ffsr_width, context.dtype)


class Extractor(Part):
    """A network from (normalised images `[B, H, W, 3]`, whether it learns) to (feature, logits, gates).

    The feature is `[B, D]`, the logits of the training identities are `[B, N]`, and the gates (wL, wH) of T dual-stream
    blocks are `[B, T, 2]`, with T = 0 in a network without such blocks. A network whose feature comes from a batch norm
    sows what it is made from as "before_neck" in its module "head" (see `resnet50.Head`), for losses that compare that.

    Class attributes:
      necks: values of `stage.neck` that the network knows.
    """

    necks: ClassVar[tuple[str, ...]] = ("fc",)

    @nn.nowrap
    def backbone_names(self) -> list[Tensor]:
        """What `config.init.backbone` starts: everything before the head, under the names of ImageNet's weights.

        Raises:
          UserError: there are no such weights for this network.
        """
        raise UserError(
            f"config.init.backbone: found with {type(self).__name__}, expected '' as no such weights are known for it"
        )

    @classmethod
    def count_classes(cls, params: Tree) -> int:
        """Identities of a trained network's classifier, which `resnet50.Head` calls "classifier".

        Args:
          params: of the network. A network with another head has a method of its own.
        """
        return params["head"]["classifier"]["bias"].shape[0]

    @nn.nowrap
    def first_parameters(self, params: Tree) -> Tree:
        """What a network starts from, given randomly drawn parameters."""
        return params


def adopt_parts(own: Tree, given: Tree) -> Tree:
    """Takes over every part that both networks have.

    An array without a counterpart stays as it is, such as those of squeeze-and-excitation next to a plain ResNet. A
    head is taken over whole or not at all: a classifier means nothing to other features.
    """
    adopted = {}
    for name, value in own.items():
        fits = name in given
        if name == "head" and fits:
            fits = jax.tree.map(jnp.shape, value) == jax.tree.map(jnp.shape, given[name])
        adopted[name] = merge(value, given[name]) if fits else value
    return adopted


def merge(own: Any, given: Any) -> Any:
    """`own` with copies of the arrays that `given` has under the same names."""
    if not isinstance(own, dict):
        return jnp.copy(given)
    return {
        name: merge(value, given[name]) if name in given else value for name, value in own.items()
    }
