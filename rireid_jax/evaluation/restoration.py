"""Quality of restored images: PSNR and SSIM, over the image or part of it, one value per example.

All images are `[B, H, W, 3]` in [0, 1]; the peak of PSNR and the data range of SSIM are therefore
1.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

_SSIM_RADIUS = 5  # an 11x11 window
_SSIM_SIGMA = 1.5
_SSIM_C1 = 0.01**2
_SSIM_C2 = 0.03**2


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


def ssim_map(
    image: Float[Array, "B H W 3"], reference: Float[Array, "B H W 3"]
) -> Float[Array, "B H W"]:
    """Structural similarity at each pixel, mean over channels (Wang et al., TIP 2004).

    11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, data range 1, biased variances. At the
    border the image is mirrored, edge pixels included, so that the map covers it all, as
    `masked_mean` needs: in re-identification the person reaches the border. scikit-image's map is
    the same, but the mean it prints leaves out the 5 outermost pixels on each side.
    """
    mean_x, mean_y = _window_mean(image), _window_mean(reference)
    var_x = _window_mean(jnp.square(image)) - jnp.square(mean_x)
    var_y = _window_mean(jnp.square(reference)) - jnp.square(mean_y)
    covariance = _window_mean(image * reference) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _SSIM_C1) / (mean_x**2 + mean_y**2 + _SSIM_C1)
    structure = (2 * covariance + _SSIM_C2) / (var_x + var_y + _SSIM_C2)
    return jnp.mean(luminance * structure, axis=-1)


def _window_mean(images: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    offset = np.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1)
    weights = np.exp(-0.5 * (offset / _SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    # Shifted sums instead of a convolution: a GPU would round a float32 convolution's operands to
    # TF32.
    for axis in (1, 2):
        padding = [(0, 0)] * 4
        padding[axis] = (_SSIM_RADIUS, _SSIM_RADIUS)
        padded = jnp.pad(images, padding, mode="symmetric")
        mean = jnp.zeros_like(images)
        for start, weight in enumerate(weights.tolist()):
            end = start + images.shape[axis]
            mean += weight * lax.slice_in_dim(padded, start, end, axis=axis)
        images = mean
    return images
