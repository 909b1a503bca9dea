"""The whole network of a stage: super-resolution, then feature extraction (Eq. 3)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict

from rireid_jax.models.complexity import image_like
from rireid_jax.models.csr_gan import CSRGAN, FACTORS, Discriminators, shrink
from rireid_jax.models.densenet import DenseNet, dense_block_sizes
from rireid_jax.models.ffsr import FFSR, ReleasedFFSR
from rireid_jax.models.resnet import ResNet
from rireid_jax.models.rife import RIFE, duplicate_streams
from rireid_jax.models.superres import SRCNN, VDSR, LuminanceSRCNN
from rireid_jax.models.two_resnet import TwoResNet


@struct.dataclass
class Outputs:
    """What the network makes of a batch; a part that the stage lacks is None.

    Attributes:
      restored: normalised images after super-resolution.
      feature: f of Eq. 3.
      logits: of the training identities.
      gates: (wL, wH) of the T dual-stream blocks; T = 0 without them.
    """

    restored: Float[Array, "B H W 3"]
    feature: Float[Array, "B D"] | None = None
    logits: Float[Array, "B N"] | None = None
    gates: Float[Array, "B T 2"] | None = None


class Network(nn.Module):
    """Eq. 3: f = M_RIFE(M_FFSR(I)), with any super-resolution and any extractor.

    Attributes:
      super_resolution: module from images to images; None leaves the bilinear image as it is.
      extractor: module from images to (feature, logits, gates); None only restores.
      discriminator: what `super_resolution` learns against; it has parameters here and no part in `__call__`.
    """

    super_resolution: nn.Module | None
    extractor: nn.Module | None
    discriminator: nn.Module | None = None

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
          train: the modules that learn; their batch norms use the batch's statistics.
          erased: pixels that the extractor sees the mean colour in, as an augmentation. They are those of the
            restored image: super-resolution is to restore what is there, not to guess what is hidden.
          native_width: of the images before they were enlarged, in pixels, for what adapts to it.
        """
        if self.discriminator is not None and self.is_initializing():
            self.discriminator([shrink(image, factor // 2) for factor in FACTORS])
        if self.super_resolution is None:
            restored = image
        elif isinstance(self.super_resolution, CSRGAN):
            restored = self.super_resolution(image, native_width)
        else:
            restored = self.super_resolution(image)
        if self.extractor is None:
            return Outputs(restored)
        seen = restored if erased is None else jnp.where(erased[..., None], 0, restored)
        feature, logits, gates = self.extractor(seen, "extractor" in train)
        return Outputs(restored, feature, logits, gates)


def infer(
    network: Network,
    variables: Any,
    image: Float[Array, "B H W 3"],
    native_width: Int[Array, " B"] | None = None,
) -> Outputs:
    """Runs the network as it is used: with running statistics, on normalised images."""
    outputs = network.apply(variables, image, native_width=native_width)
    assert isinstance(outputs, Outputs)
    return outputs


def create_network(
    config: ConfigDict, stage: str, num_classes: int, axis_name: str | None = None
) -> Network:
    """The network that a stage trains.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      num_classes: identities of the training set.
      axis_name: mapped axis over which batch norm is synchronised; None on a single device.
    """
    model, spec = config.model, config.stages[stage]
    dtype = jnp.dtype(config.dtype)
    stage_sizes = tuple(model.stage_sizes)
    common = dict(
        num_classes=num_classes,
        feature_dim=model.feature_dim,
        last_stride=model.last_stride,
        width=model.width,
        dtype=dtype,
        axis_name=axis_name,
    )
    backbone = dict(stage_sizes=stage_sizes, **common)
    gated = dict(gate_dim=model.gate_dim, **backbone)
    restorer = dict(width=model.ffsr_width, dtype=dtype)
    super_resolution = {
        "bilinear": lambda: None,
        "ffsr": lambda: FFSR(**restorer),
        "ffsr_released": lambda: ReleasedFFSR(**restorer),
        "srcnn": lambda: SRCNN(**restorer),
        "srcnn_luminance": lambda: LuminanceSRCNN(**restorer),
        "vdsr": lambda: VDSR(**restorer),
        "csr_gan": lambda: CSRGAN(model.generator_blocks, model.generator_width, dtype, axis_name),
    }[spec.super_resolution]()
    extractor = {
        "none": lambda: None,
        "resnet50": lambda: ResNet(neck=model.neck, **backbone),
        "se_resnet50": lambda: ResNet(neck=model.neck, squeeze_excitation=True, **backbone),
        "densenet121": lambda: DenseNet(block_sizes=dense_block_sizes(stage_sizes), **common),
        "two_resnet50": lambda: TwoResNet(**backbone),
        "two_resnet50_weighted": lambda: TwoResNet(weighted=True, **gated),
        "rife": lambda: RIFE(neck=model.neck, **gated),
        "rife_released": lambda: RIFE(neck="batch_norm", dual_stem=True, **gated),
    }[spec.extractor]()
    discriminator = None
    if "discriminator" in spec.train:
        discriminator = Discriminators(model.discriminator_width, dtype, axis_name)
    return Network(super_resolution, extractor, discriminator)


def variable_shapes(network: nn.Module, image_size: tuple[int, int]) -> dict[str, Any]:
    """Variables of a network, or of a part of one, as `jax.ShapeDtypeStruct`s.

    Only those of discriminators depend on the size of the images, (height, width).
    """
    shapes = jax.eval_shape(network.init, jax.random.key(0), image_like(*image_size))
    return {"params": {}, "batch_stats": {}, **shapes}


def initialise(network: Network, seed: int, image_size: tuple[int, int]) -> dict:
    """Random variables {"params": {module: ...}, "batch_stats": {module: ...}}, a function of `seed`.

    A module's parameters depend on its own name and the seed alone, not on what stands beside it, so that
    two systems with the same extractor start from the same extractor.
    """
    drawn: dict[str, Any] = {}

    def draw(image: jax.Array) -> None:
        # Parameters are drawn at once, and what is computed of them alone is computed; what the network makes of the
        # image is traced for its shapes. Batch norm takes the image's statistics, or it would compute with its own.
        with jax.ensure_compile_time_eval():
            drawn.update(network.init(jax.random.key(seed), image, ("extractor",)))

    jax.eval_shape(draw, image_like(*image_size))
    variables: dict[str, Any] = {kind: drawn.get(kind, {}) for kind in ("params", "batch_stats")}
    if "extractor" in variables["params"]:
        variables["params"]["extractor"] = duplicate_streams(variables["params"]["extractor"])
    return variables
