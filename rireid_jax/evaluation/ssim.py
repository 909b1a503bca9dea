"""SSIM of restored images. All images are `[B, H, W, 3]` in [0, 1]; its data range is therefore 1."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

_SSIM_RADIUS = 5  # an 11x11 window
_SSIM_SIGMA = 1.5
_SSIM_C1 = 0.01**2
_SSIM_C2 = 0.03**2


def ssim_map(
    image: Float[Array, "B H W 3"], reference: Float[Array, "B H W 3"]
) -> Float[Array, "B H W"]:
    """Structural similarity at each pixel, mean over channels (Wang et al., TIP 2004).

    11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, data range 1, biased variances. At the
    border the image is mirrored, edge pixels included, so that the map covers it all, as
    `models.psnr.masked_mean` needs: in re-identification the person reaches the border. scikit-image's map is
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
