"""The whole network of a stage: super-resolution followed by feature extraction (Eq. 3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict

from rireid_jax.components import EXTRACTORS, LOSSES, SUPER_RESOLUTION
from rireid_jax.models.complexity import image_like
from rireid_jax.models.interfaces import Context, Extractor, SuperResolution
from rireid_jax.models.torch_names import Tensor


@dataclass(frozen=True)
class Auxiliary:
    """A network that a loss term adds, such as a discriminator. It learns, but inference does not use it.

    Attributes:
      make: function that creates the module, given the name under which its variables are stored.
      inputs: function from normalised images of the network's size to the input with which the module is initialised.
    """

    make: Callable[[str], nn.Module]
    inputs: Callable[[Float[Array, "B H W 3"]], Any]


@struct.dataclass
class Outputs:
    """The outputs of the network for a batch. Without an extractor, all but `restored` are None.

    Attributes:
      restored: normalised images after super-resolution.
      feature: the feature f of Eq. 3.
      logits: logits of the training identities.
      gates: gates (wL, wH) of the T dual-stream blocks; T is 0 in a network without them.
    """

    restored: Float[Array, "B H W 3"]
    feature: Float[Array, "B D"] | None = None
    logits: Float[Array, "B N"] | None = None
    gates: Float[Array, "B T 2"] | None = None


class Network(nn.Module):
    """Eq. 3, f = M_RIFE(M_FFSR(I)), with any super-resolution network and any extractor.

    Attributes:
      super_resolution: module from images to images; None leaves the bilinear image as it is.
      extractor: module from images to (feature, logits, gates); None if the network only restores.
      auxiliary: networks that loss terms add, by name; their variables are initialised with the network's.
    """

    super_resolution: SuperResolution | None
    extractor: Extractor | None
    auxiliary: Mapping[str, Auxiliary] = field(default_factory=dict)

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W 3"],
        train: tuple[str, ...] | list[str] = (),
        erased: Bool[Array, "B H W"] | None = None,
        native_width: Int[Array, " B"] | None = None,
    ) -> Outputs:
        """Runs the network.

        Args:
          image: normalised images of the network's size.
          train: names of the modules that learn; their batch norms use the statistics of the batch.
          erased: pixels that random erasing replaces by the mean colour. They are erased after super-resolution,
            which should learn to restore what it sees and not to guess what is hidden.
          native_width: width of the images before enlargement, in pixels, for networks that adapt to it.
        """
        if self.is_initializing():
            for name, part in self.auxiliary.items():
                part.make(name)(part.inputs(image))
        if self.super_resolution is None:
            restored = image
        elif self.super_resolution.adapts_to_width:
            restored = self.super_resolution(image, native_width)
        else:
            restored = self.super_resolution(image)
        if self.extractor is None:
            return Outputs(restored)
        seen = restored if erased is None else jnp.where(erased[..., None], 0, restored)
        width = (native_width,) if self.extractor.adapts_to_width else ()
        feature, logits, gates = self.extractor(seen, "extractor" in train, *width)
        return Outputs(restored, feature, logits, gates)

    @nn.nowrap
    def modules(self) -> dict[str, SuperResolution | Extractor]:
        """Returns the modules that inference needs, by the names under which their variables are stored."""
        parts = {"super_resolution": self.super_resolution, "extractor": self.extractor}
        return {name: part for name, part in parts.items() if part is not None}

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns all weights that inference needs with their names in PyTorch.

        Raises:
          UserError: a module has no names in PyTorch.
        """
        return [
            row.inside(name) for name, part in self.modules().items() for row in part.torch_names()
        ]


def infer(
    network: Network,
    variables: Any,
    image: Float[Array, "B H W 3"],
    native_width: Int[Array, " B"] | None = None,
) -> Outputs:
    """Runs the network on normalised images as in inference, with running statistics."""
    outputs = network.apply(variables, image, native_width=native_width)
    assert isinstance(outputs, Outputs)
    return outputs


def create_network(
    config: ConfigDict, stage: str, num_classes: int, axis_name: str | None = None
) -> Network:
    """Creates the network that a stage trains.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      num_classes: number of identities in the training set.
      axis_name: mapped axis over which batch norm is synchronised; None on a single device.
    """
    spec = config.stages[stage]
    context = Context.of(config, stage, num_classes, axis_name)
    super_resolution = extractor = None
    if spec.super_resolution != "bilinear":
        super_resolution = SUPER_RESOLUTION[spec.super_resolution].create(context)
    if spec.extractor != "none":
        extractor = EXTRACTORS[spec.extractor].create(context)
    auxiliary: dict[str, Auxiliary] = {}
    for term, options in spec.losses.items():
        if options.weight:
            auxiliary |= LOSSES[term].auxiliary(options, context)
    return Network(super_resolution, extractor, auxiliary)


def variable_shapes(network: nn.Module, image_size: tuple[int, int]) -> dict[str, Any]:
    """Returns the variables of a network, or of a part of one, as `jax.ShapeDtypeStruct`s.

    Only the variables of auxiliary networks may depend on `image_size`, (height, width) in pixels.
    """
    shapes = jax.eval_shape(network.init, jax.random.key(0), image_like(*image_size))
    return {"params": {}, "batch_stats": {}, **shapes}


def initialise(network: Network, seed: int, image_size: tuple[int, int]) -> dict:
    """Returns random variables {"params": {module: ...}, "batch_stats": {module: ...}}, which `seed` determines.

    The parameters of a module depend only on its name and the seed and not on the other modules, so that two systems
    with the same extractor start from the same weights.
    """
    drawn: dict[str, Any] = {}

    def draw(image: jax.Array) -> None:
        # Parameters are drawn immediately, and anything that depends on them alone is computed; everything that depends
        # on the image is only traced for its shapes. Batch norm uses the statistics of the image, because it would
        # compute with its own, which are concrete.
        with jax.ensure_compile_time_eval():
            drawn.update(network.init(jax.random.key(seed), image, ("extractor",)))

    jax.eval_shape(draw, image_like(*image_size))
    variables: dict[str, Any] = {kind: drawn.get(kind, {}) for kind in ("params", "batch_stats")}
    if network.extractor is not None:
        params = variables["params"]
        params["extractor"] = network.extractor.first_parameters(params["extractor"])
    return variables


def zero_variables(network: Network) -> dict[str, Any]:
    """Returns zeros of the shapes of a network without its auxiliary networks, to load weights into.

    They take no memory.
    """
    shapes = variable_shapes(Network(network.super_resolution, network.extractor), (32, 32))
    # Broadcasting makes read-only views, which is enough: every array is replaced or has no elements.
    return jax.tree.map(lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), shapes)
