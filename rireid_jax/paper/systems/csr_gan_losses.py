"""The losses of CSR-GAN's generators and discriminators (Wang et al., IJCAI 2018).

The publication adds to SRGAN's losses (Ledig et al. 2017) one that makes a generated image a person and one that
makes it this person, "common-human" and "unique-human". Its text was not at hand; the terms and their weights are
those of its authors' code, which compares features by their distances. Its features are those of a VGG19 trained on
ImageNet: the fourth pooled maps at every level, and the outputs at the last one. Here they are the
re-identification network's own, which learns at the same time: the maps of its third stage, of the same stride, and
its feature. It is constant for the generators.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from rireid_jax.components import AT_LEAST_ZERO, LOSSES, POSITIVE, Field
from rireid_jax.models.interfaces import Context
from rireid_jax.models.network import Auxiliary
from rireid_jax.models.pixels import normalise
from rireid_jax.paper.systems.csr_gan_networks import (
    FACTORS,
    Discriminators,
    shrink,
    to_normalised,
)
from rireid_jax.training.terms import Inputs, Term, Value, Variables, per_valid_example

Levels = Sequence[Float[Array, "B _h _w C"]]
_DISCRIMINATOR = "discriminator"
_CONTENT_EXTRACTORS = ("resnet50", "se_resnet50")  # that have a "stage3" of stride 16


class _Cascade(Term):
    """What both terms share: they compare the levels of CSR-GAN's generators."""

    needs: ClassVar = ("target",)

    @classmethod
    def problems(cls, options: ConfigDict, stage: ConfigDict) -> Iterator[tuple[str, str]]:
        """See `Term`."""
        if stage.super_resolution != "csr_gan":
            yield (
                "super_resolution",
                "'csr_gan', whose generators the losses csr_gan and csr_gan_pixels compare",
            )


@LOSSES.register("csr_gan_pixels")
@dataclass(frozen=True)
class Pixels(_Cascade):
    """The squared error of pixels, summed over the levels: what generators learn from without discriminators."""

    def __call__(self, inputs: Inputs) -> Value:
        generated, real, stats = _levels(inputs)
        each = _count(inputs, _sum(map(pixel_loss, generated, real)))
        return Value(each, {"pixel_loss": each.mean()}, {"super_resolution": stats})


@LOSSES.register("csr_gan")
@dataclass(frozen=True)
class Adversaries(_Cascade):
    """The losses of generators and discriminators, summed over the levels.

    The generators' loss has a gradient for generators alone and the discriminators' loss for discriminators alone, so
    that one gradient of their sum is the gradient of each.

    Attributes:
      discriminator_width: multiplies every hidden width of the discriminators.
      adversarial: loss weight of `adversarial_loss` relative to `pixel_loss`.
      content: loss weight of `content_loss`, likewise.
      unique: loss weight of `unique_loss`, likewise.
    """

    OPTIONS: ClassVar = {
        "discriminator_width": Field(
            1.0, "times the hidden widths of CSR-GAN's discriminators", POSITIVE
        ),
        "adversarial": Field(
            1e-3, "loss weight of fooling the discriminators; the authors' code's", AT_LEAST_ZERO
        ),
        "content": Field(
            0.01,
            "loss weight of the maps' error; ours, as VGG19's are of another size",
            AT_LEAST_ZERO,
        ),
        "unique": Field(0.1, "loss weight of the feature's error; ours, likewise", AT_LEAST_ZERO),
    }
    brings: ClassVar = (_DISCRIMINATOR,)

    discriminator_width: float
    adversarial: float
    content: float
    unique: float

    @classmethod
    def auxiliary(cls, options: ConfigDict, context: Context) -> dict[str, Auxiliary]:
        """A discriminator for each level."""

        def make(name: str) -> nn.Module:
            width = options.discriminator_width
            return Discriminators(width, context.dtype, context.axis_name, name=name)

        def inputs(image: Float[Array, "B H W 3"]) -> list[Float[Array, "B _h _w 3"]]:
            return [shrink(image, factor // 2) for factor in FACTORS]

        return {_DISCRIMINATOR: Auxiliary(make, inputs)}

    @classmethod
    def problems(cls, options: ConfigDict, stage: ConfigDict) -> Iterator[tuple[str, str]]:
        """See `Term`."""
        yield from super().problems(options, stage)
        if stage.extractor not in _CONTENT_EXTRACTORS:
            yield (
                "extractor",
                f"{' or '.join(_CONTENT_EXTRACTORS)}, by whose maps generators are compared",
            )
        if not {"super_resolution", _DISCRIMINATOR} <= set(stage.train):
            yield (
                "train",
                "super_resolution and discriminator in it, which learn against each other",
            )

    def __call__(self, inputs: Inputs) -> Value:
        generated, real, stats = _levels(inputs)
        pixels = _count(inputs, _sum(map(pixel_loss, generated, real)))
        variables, network = inputs.variables, inputs.network
        fixed = jax.lax.stop_gradient(variables)

        # Originals and generated images are two batches, each with its own statistics.
        discriminator = network.auxiliary[_DISCRIMINATOR].make(_DISCRIMINATOR)
        of_real, seen = _apply(discriminator, variables, _DISCRIMINATOR, real)
        of_generated, seen = _apply(
            discriminator,
            {**variables, "batch_stats": {**variables["batch_stats"], _DISCRIMINATOR: seen}},
            _DISCRIMINATOR,
            jax.lax.stop_gradient(generated),
        )
        discriminators = _count(inputs, discriminator_loss(of_real, of_generated).sum(-1))
        fooling, _ = _apply(discriminator, fixed, _DISCRIMINATOR, generated)
        adversarial = _count(inputs, adversarial_loss(fooling).sum(-1))

        size = real[-1].shape
        maps, feature = _describe(network.extractor, fixed, generated, size)
        real_maps, real_feature = _describe(network.extractor, fixed, real, size)
        content = _count(inputs, _sum(map(content_loss, maps, real_maps)))
        unique = _count(inputs, unique_loss(feature, real_feature))
        generators = (
            pixels + self.adversarial * adversarial + self.content * content + self.unique * unique
        )
        # The discriminators' loss has a gradient here, but no part in the value: a sum of two losses of which one
        # rises as the other falls would say nothing.
        each = generators + (discriminators - jax.lax.stop_gradient(discriminators))
        metrics = {
            "pixel_loss": pixels.mean(),
            "adversarial_loss": adversarial.mean(),
            "discriminator_loss": discriminators.mean(),
            "content_loss": content.mean(),
            "unique_loss": unique.mean(),
        }
        return Value(each, metrics, {"super_resolution": stats, _DISCRIMINATOR: seen})


def pixel_loss(
    generated: Float[Array, "B H W 3"], real: Float[Array, "B H W 3"]
) -> Float[Array, " B"]:
    """|G(x) - y|^2, a mean over pixels and channels in [-1, 1]."""
    return jnp.square(generated - real).mean((1, 2, 3))


def adversarial_loss(generated: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """-log D(G(x)) from the logits of generated images: the cross-entropy with being real."""
    return jax.nn.softplus(-generated)


def discriminator_loss(
    real: Float[Array, "*B"], generated: Float[Array, "*B"]
) -> Float[Array, "*B"]:
    """-log D(y) - log (1 - D(G(x))) from the logits of originals and of generated images."""
    return jax.nn.softplus(-real) + jax.nn.softplus(generated)


def content_loss(
    generated: Float[Array, "B H W C"], real: Float[Array, "B H W C"]
) -> Float[Array, " B"]:
    """|phi(G(x)) - phi(y)|^2, a mean over the maps phi: the same things are seen in the same places."""
    return jnp.square(generated - real).mean((1, 2, 3))


def unique_loss(generated: Float[Array, "B D"], real: Float[Array, "B D"]) -> Float[Array, " B"]:
    """|f(G(x)) - f(y)|^2, a mean over the feature f: it is the same person."""
    return jnp.square(generated - real).mean(-1)


def _levels(inputs: Inputs) -> tuple[list[jax.Array], list[jax.Array], dict[str, Any]]:
    """Generated images and originals of every level, and the generators' running statistics after that."""
    batch = inputs.batch
    # An image without an original stands for it, which keeps the batch's statistics those of persons.
    has_target = batch["has_target"][:, None, None, None] > 0
    original = normalise(jnp.where(has_target, batch["target"], batch["image"]))
    generators = inputs.network.super_resolution
    levels, stats = _apply(generators, inputs.variables, "super_resolution", original, "levels")
    generated, real = ([pair[part] for pair in levels] for part in (0, 1))
    return generated, real, stats


def _sum(losses: Iterable[Float[Array, " B"]]) -> Float[Array, " B"]:
    return sum(losses, jnp.zeros(()))


def _count(inputs: Inputs, loss: Float[Array, " B"]) -> Float[Array, " B"]:
    """Only images with an original count."""
    return per_valid_example(loss, inputs.batch["has_target"], inputs.axis_name)


def _apply(
    module: nn.Module | None, variables: Variables, name: str, inputs: Any, method: str = "__call__"
) -> tuple[Any, dict[str, Any]]:
    """Runs a module of the network alone; its outputs, and its running statistics after that."""
    assert module is not None
    own = {kind: modules[name] for kind, modules in variables.items()}
    outputs, updates = module.apply(own, inputs, mutable=["batch_stats"], method=method)
    return outputs, updates["batch_stats"]


def _describe(
    extractor: nn.Module | None, variables: Variables, levels: Levels, shape: tuple[int, ...]
) -> tuple[list[jax.Array], Float[Array, "B D"]]:
    """The extractor's third maps for the images of every level, enlarged to its input, and its feature for the last."""
    assert extractor is not None
    own = {kind: modules["extractor"] for kind, modules in variables.items()}
    images = jnp.concatenate([jax.image.resize(image, shape, "linear") for image in levels])
    (features, *_), state = extractor.apply(
        own,
        to_normalised(images),
        False,
        capture_intermediates=lambda module, _: module.name == "stage3",
        mutable=["intermediates"],
    )
    (maps,) = state["intermediates"]["stage3"]["__call__"]
    return jnp.split(maps, len(levels)), jnp.split(features, len(levels))[-1]
