"""Low resolution made from high resolution: how small, and by which kernel."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from rireid_jax.data.keyed_random import keyed_rng

# Pillow's kernels are antialiased: their support grows as the image gets smaller.
_PILLOW: Mapping[str, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
KERNELS = (*_PILLOW, "opencv_linear")  # OpenCV's linear kernel is not antialiased
_ROUND: Mapping[str, Callable[[float], int]] = {"round": round, "floor": math.floor}
_LINEAR_BITS = 11  # of OpenCV's interpolation weights


def draw_width(seed: int, name: str, low: int, high: int) -> int:
    """The width in pixels that an image is down-sampled to, uniform in `[low, high)`.

    A function of `(seed, name)`: any machine, in any order, draws the same widths. Section 5.1 of
    the paper asks for a random width per image and gives the range; that it is uniform is ours.
    """
    return int(keyed_rng(seed, "width", name).integers(low, high))


def downsample(image: Image.Image, width: int, kernel: str, rounding: str = "round") -> Image.Image:
    """Makes an image smaller and keeps its ratio of height to width.

    Args:
      image: the high-resolution image.
      width: of the result in pixels, at least 1 and at most the image's own.
      kernel: one of `KERNELS`.
      rounding: of the height, "round" (half to even) or "floor".

    Returns:
      An image of `width` columns and at least 1 row.

    Raises:
      ValueError: the width is 0 or less, or more than the image's.
    """
    if not 1 <= width <= image.width:
        raise ValueError(f"width: found {width}, expected 1 to {image.width}")
    height = _ROUND[rounding](image.height * width / image.width)
    return _resample(image, (width, max(1, height)), kernel)


def downsample_by(
    image: Image.Image, ratio: int, kernel: str, rounding: str = "round"
) -> Image.Image:
    """Makes an image smaller by 1/ratio (the MLR benchmarks, section 5.1 of the paper).

    Width and height are rounded each for itself, and are at least 1 pixel.
    """
    width, height = (max(1, _ROUND[rounding](side / ratio)) for side in image.size)
    return _resample(image, (width, height), kernel)


def _resample(image: Image.Image, size: tuple[int, int], kernel: str) -> Image.Image:
    if kernel == "opencv_linear":
        return _opencv_linear(image, size)
    return image.resize(size, _PILLOW[kernel])


def _opencv_linear(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resizes as OpenCV's INTER_LINEAR does: four neighbours, no antialiasing, fixed-point weights.

    In integers, so that every machine gets the same bits. OpenCV itself may differ by one level
    where a vendor's library does its work.
    """
    pixels = np.asarray(image.convert("RGB"), np.int64)
    left, right, weight = _neighbours(pixels.shape[1], size[0])
    one = 1 << _LINEAR_BITS
    rows = pixels[:, left] * (one - weight)[:, None] + pixels[:, right] * weight[:, None]
    above, below, weight = _neighbours(pixels.shape[0], size[1])
    weight = weight[:, None, None]
    parts = ((one - weight) * (rows[above] >> 4) >> 16) + (weight * (rows[below] >> 4) >> 16)
    return Image.fromarray(np.clip((parts + 2) >> 2, 0, 255).astype(np.uint8))


def _neighbours(length: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each output pixel: the two source pixels about its half-pixel centre, the second's weight."""
    centre = ((np.arange(target) + 0.5) * (length / target) - 0.5).astype(np.float32)
    first = np.floor(centre).astype(np.int64)
    fraction = centre - first.astype(np.float32)
    fraction[(first < 0) | (first >= length - 1)] = 0
    first = np.clip(first, 0, length - 1)
    weight = np.rint(fraction * np.float32(1 << _LINEAR_BITS)).astype(np.int64)
    return first, np.minimum(first + 1, length - 1), weight
