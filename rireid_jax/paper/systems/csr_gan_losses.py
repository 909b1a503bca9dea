"""What CSR-GAN's generators and discriminators minimise (Wang et al., IJCAI 2018); one value per example and level.

The publication adds to SRGAN's losses (Ledig et al. 2017) one that makes what is generated a person and one that
makes it this person, "common-human" and "unique-human". Its text was not at hand; these are the terms and the
weights of the code that its authors published, with distances between features where that code has them.
There the features are those of a VGG19 for ImageNet, its fourth pooled maps at every level and its outputs at the
last. Here they are the re-identification network's own, which learns beside: the maps of its third stage, of as many
strides, and its feature. It is fixed for the generators.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from rireid_jax.models.csr_gan import to_normalised
from rireid_jax.models.network import Network
from rireid_jax.training.terms import per_valid_example

Variables = dict[str, dict[str, Any]]
Levels = Sequence[Float[Array, "B _h _w C"]]


def pixel_loss(
    generated: Float[Array, "B H W 3"], real: Float[Array, "B H W 3"]
) -> Float[Array, " B"]:
    """|G(x) - y|^2, a mean over pixels and channels in [-1, 1]."""
    return jnp.square(generated - real).mean((1, 2, 3))


def adversarial_loss(generated: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """-log D(G(x)) of the logits of what is generated: the cross-entropy with being real."""
    return jax.nn.softplus(-generated)


def discriminator_loss(
    real: Float[Array, "*B"], generated: Float[Array, "*B"]
) -> Float[Array, "*B"]:
    """-log D(y) - log (1 - D(G(x))) of the logits of originals and of what is generated."""
    return jax.nn.softplus(-real) + jax.nn.softplus(generated)


def content_loss(
    generated: Float[Array, "B H W C"], real: Float[Array, "B H W C"]
) -> Float[Array, " B"]:
    """|phi(G(x)) - phi(y)|^2, a mean over the maps phi: the same things are seen in the same places."""
    return jnp.square(generated - real).mean((1, 2, 3))


def unique_loss(generated: Float[Array, "B D"], real: Float[Array, "B D"]) -> Float[Array, " B"]:
    """|f(G(x)) - f(y)|^2, a mean over the feature f: it is the same person."""
    return jnp.square(generated - real).mean(-1)


def cascade_loss(
    config: ConfigDict,
    network: Network,
    variables: Variables,
    original: Float[Array, "B H W 3"],
    valid: Float[Array, " B"],
    axis_name: str | None,
) -> tuple[Float[Array, " B"], Float[Array, " B"], dict[str, Any], dict[str, jax.Array]]:
    """All terms over all levels; of pixels alone where the network has no discriminator.

    The gradient of the generators' loss is zero for everything but generators, that of the discriminators' for
    everything but discriminators, so that one gradient of their sum is the gradient of each.

    Args:
      config: the whole config; its `loss` has the weights.
      network: super-resolution is `CSRGAN`.
      variables: {"params": {module: ...}, "batch_stats": {module: ...}}.
      original: of high resolution, normalised.
      valid: 1 where the example counts, else 0.
      axis_name: the mapped axis of devices, or None.

    Returns:
      The generators' loss, the discriminators' (0 without them), the running statistics that changed, and metrics.
    """
    levels, stats = _apply(
        network.super_resolution, variables, "super_resolution", original, "levels"
    )
    generated, real = ([pair[part] for pair in levels] for part in (0, 1))
    changed = {"super_resolution": stats}

    def counted(loss: Float[Array, " B"]) -> Float[Array, " B"]:
        return per_valid_example(loss, valid, axis_name)

    pixels = counted(sum(map(pixel_loss, generated, real), jnp.zeros_like(valid)))
    metrics = {"pixel_loss": pixels.mean()}
    if network.discriminator is None:
        return pixels, jnp.zeros_like(pixels), changed, metrics

    fixed = jax.lax.stop_gradient(variables)
    # Originals and what is generated are two batches, each with its own statistics.
    of_real, stats = _apply(network.discriminator, variables, "discriminator", real)
    seen = {**variables, "batch_stats": {**variables["batch_stats"], "discriminator": stats}}
    of_generated, changed["discriminator"] = _apply(
        network.discriminator, seen, "discriminator", jax.lax.stop_gradient(generated)
    )
    discriminators = counted(discriminator_loss(of_real, of_generated).sum(-1))
    fooling, _ = _apply(network.discriminator, fixed, "discriminator", generated)
    adversarial = counted(adversarial_loss(fooling).sum(-1))
    maps, feature = _describe(network.extractor, fixed, generated, original.shape)
    real_maps, real_feature = _describe(network.extractor, fixed, real, original.shape)
    content = counted(sum(map(content_loss, maps, real_maps), jnp.zeros_like(valid)))
    unique = counted(unique_loss(feature, real_feature))
    generators = (
        pixels
        + config.loss.adversarial_weight * adversarial
        + config.loss.content_weight * content
        + config.loss.unique_weight * unique
    )
    metrics |= {
        "adversarial_loss": adversarial.mean(),
        "discriminator_loss": discriminators.mean(),
        "content_loss": content.mean(),
        "unique_loss": unique.mean(),
    }
    return generators, discriminators, changed, metrics


def _apply(
    module: nn.Module | None, variables: Variables, name: str, inputs: Any, method: str = "__call__"
) -> tuple[Any, dict[str, Any]]:
    """A module of the network by itself, and its running statistics after that."""
    assert module is not None
    own = {kind: modules[name] for kind, modules in variables.items()}
    outputs, updates = module.apply(own, inputs, mutable=["batch_stats"], method=method)
    return outputs, updates["batch_stats"]


def _describe(
    extractor: nn.Module | None, variables: Variables, levels: Levels, shape: tuple[int, ...]
) -> tuple[list[jax.Array], Float[Array, "B D"]]:
    """The extractor's third maps of every level's images, enlarged to its input, and its feature of the last's."""
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
