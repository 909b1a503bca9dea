"""PSNR of images, over all of an image or a part of it, one value per example. Images are `[B, H, W, 3]` in [0, 1]."""

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, UInt8


def masked_mean(values: Float[Array, "B H W"], mask: Float[Array, "B H W"]) -> Float[Array, " B"]:
    """Mean of a map weighted by a mask in [0, 1]; nan where the mask has no area, so take `nanmean`
    over examples.

    The mean outside a mask is `masked_mean(values, 1 - mask)`, that over the image has a mask of
    ones.
    """
    return jnp.sum(values * mask, axis=(1, 2)) / jnp.sum(mask, axis=(1, 2))


def psnr(
    image: Float[Array, "B H W 3"],
    reference: Float[Array, "B H W 3"],
    mask: Float[Array, "B H W"] | None = None,
) -> Float[Array, " B"]:
    """Peak signal-to-noise ratio in dB with peak 1: -10 log10(MSE), the MSE over pixels and
    channels.

    Args:
        image: in [0, 1].
        reference: in [0, 1].
        mask: weights in [0, 1] of the pixels in the MSE; None is the whole image.

    Returns:
        Infinite where the images are equal, nan where the mask has no area.
    """
    error = jnp.mean(jnp.square(image - reference), axis=-1)
    mean_error = jnp.mean(error, axis=(1, 2)) if mask is None else masked_mean(error, mask)
    return -10 * jnp.log10(mean_error)


def measured_parts(
    mask: UInt8[Array, "B H W"], has_target: Float[Array, " B"], dtype: DTypeLike = jnp.float32
) -> dict[str, tuple[Float[Array, "B H W"], Bool[Array, " B"]]]:
    """Returns the parts of images over which restoration is measured, by the suffix that their metrics have.

    Args:
      mask: stored masks of the person, 255 everywhere where none is stored.
      has_target: 1 where there is an original to compare with, else 0.
      dtype: dtype of the weights.

    Returns:
      {"": the image, "_foreground": the person, "_background": the rest}, each as (weights of the pixels in [0, 1],
      whether the part is known).
    """
    weights = mask.astype(dtype) / 255
    known = has_target > 0
    # Where no mask is stored, it is read as covering the whole image: there is no foreground then.
    has_mask = known & (weights.min((1, 2)) < 1)
    return {
        "": (jnp.ones_like(weights), known),
        "_foreground": (weights, has_mask),
        "_background": (1 - weights, has_mask),
    }
