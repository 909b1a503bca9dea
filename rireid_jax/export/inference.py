"""What an exported file computes: images in; features, gates and restored images out."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from rireid_jax.components import EXTRACTORS, SUPER_RESOLUTION
from rireid_jax.errors import UserError
from rireid_jax.evaluation.embed import compared
from rireid_jax.models.network import Network, infer
from rireid_jax.models.pixels import denormalise, normalise

INPUTS = ("uint8", "float")
OUTPUTS = ("features", "gates", "restored")
Answers = dict[str, Float[Array, "N ..."]]


@dataclass(frozen=True)
class Model:
    """A trained network, and what its features depend on besides its weights.

    Attributes:
      network: without a mapped axis.
      variables: {"params": ..., "batch_stats": ...}.
      image_size: (height, width) of the network's input.
      normalised: whether features are divided by their L2 norm.
      width_max: pixels, the native width of r = 1.
      fingerprint: what tells models apart.
      stage: of the run; "" for weights of PyTorch.
    """

    network: Network
    variables: Mapping[str, Any]
    image_size: tuple[int, int]
    normalised: bool
    width_max: int
    fingerprint: str = ""
    stage: str = ""

    @property
    def sees_native_width(self) -> bool:
        """Whether its answers depend on the width of the images before they were resized."""
        return any(part.adapts_to_width for part in self.network.modules().values())

    @property
    def names(self) -> dict[str, str]:
        """The names of its networks in configs; "none" and "bilinear" for what it does without."""
        names = {"super_resolution": "bilinear", "extractor": "none"}
        registries = {"super_resolution": SUPER_RESOLUTION, "extractor": EXTRACTORS}
        for role, part in self.network.modules().items():
            known = (name for name, kind in registries[role].items() if kind is type(part))
            names[role] = next(known, type(part).__name__)
        return names

    def __str__(self) -> str:
        return " and ".join(self.names[role] for role in self.network.modules())


def answering(model: Model, input_kind: str) -> Callable[..., Answers]:
    """The function that a file holds: of (variables, image), and native_width if the network sees it.

    Args:
      model: what answers.
      input_kind: "uint8": images are uint8 `[N, H, W, 3]`, as image libraries have them, and `restored` is float32 of
        the same shape, in [0, 1]. "float": images are float32 `[N, 3, H, W]` that were normalised by the mean and
        deviation of ImageNet, as PyTorch's pipelines have them, and so is `restored`.

    Raises:
      UserError: the network does nothing.
    """
    if not model.network.modules():
        raise UserError("MODEL: found neither a super-resolution network nor an extractor")
    network = in_float32(model.network)

    def answer(
        variables: Any,
        image: UInt8[Array, "N H W 3"] | Float[Array, "N 3 H W"],
        native_width: Int[Array, " N"] | None = None,
    ) -> Answers:
        pixels = normalise(image) if input_kind == "uint8" else image.transpose(0, 2, 3, 1)
        outputs = infer(network, variables, pixels, native_width)
        answers = {}
        if outputs.feature is not None:
            answers["features"] = compared(outputs.feature, model.normalised)
        if outputs.gates is not None and outputs.gates.shape[1]:
            answers["gates"] = outputs.gates
        if network.super_resolution is not None:
            as_input = denormalise if input_kind == "uint8" else _channels_first
            answers["restored"] = as_input(outputs.restored)
        return answers

    return answer


def inputs_of(model: Model, input_kind: str, number: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Names, shapes and types of the images, and of their native widths if the network sees them.

    Args:
      model: what answers.
      input_kind: one of `INPUTS`.
      number: of images; it may be a symbol.
    """
    height, width = model.image_size
    image = {
        "uint8": jax.ShapeDtypeStruct((number, height, width, 3), jnp.uint8),
        "float": jax.ShapeDtypeStruct((number, 3, height, width), jnp.float32),
    }[input_kind]
    inputs = {"image": image}
    if model.sees_native_width:
        inputs["native_width"] = jax.ShapeDtypeStruct((number,), jnp.int32)
    return inputs


def random_inputs(model: Model, input_kind: str, number: int) -> dict[str, np.ndarray]:
    """Images of noise, and native widths, as `inputs_of` describes them."""
    rng = np.random.default_rng(number)
    height, width = model.image_size
    image = rng.integers(0, 256, (number, height, width, 3), np.uint8)
    inputs = {"image": image}
    if input_kind == "float":
        inputs["image"] = np.asarray(_channels_first(normalise(jnp.asarray(image))))
    if model.sees_native_width:
        # The narrowest and the widest are among them.
        inputs["native_width"] = np.linspace(1, width, number, dtype=np.int32)
    return inputs


def in_float32(module: Any) -> Any:
    """A module that computes in float32, whatever its config says; its weights are float32 in any case."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(module):
        value = getattr(module, field.name, None)
        if field.name in ("parent", "name"):
            continue
        if field.name == "dtype":
            changes["dtype"] = jnp.float32
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            changes[field.name] = in_float32(value)
    if isinstance(module, nn.Module):
        return module.clone(**changes)
    return dataclasses.replace(module, **changes)


def _channels_first(image: Float[Array, "N H W 3"]) -> Float[Array, "N 3 H W"]:
    return image.transpose(0, 3, 1, 2)
