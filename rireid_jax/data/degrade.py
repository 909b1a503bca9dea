"""Low resolution made from high resolution: how wide, and by which kernel."""

from collections.abc import Mapping

from PIL import Image

from rireid_jax.data.keyed_random import keyed_rng

# Pillow's kernels are antialiased: their support grows as the image gets smaller.
RESAMPLING: Mapping[str, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


def draw_width(seed: int, name: str, low: int, high: int) -> int:
    """The width in pixels that an image is down-sampled to, uniform in ``[low, high)``.

    A function of ``(seed, name)``: any machine, in any order, draws the same widths. Section 5.1 of
    the paper asks for a random width per image and gives the range; that it is uniform is ours.
    """
    return int(keyed_rng(seed, "width", name).integers(low, high))


def downsample(image: Image.Image, width: int, kernel: str) -> Image.Image:
    """Makes an image smaller and keeps its ratio of height to width.

    Args:
      image: the high-resolution image.
      width: of the result in pixels, at least 1 and at most the image's own.
      kernel: a key of ``RESAMPLING``.

    Returns:
      An image of ``width`` columns and ``max(1, round(height * width / image.width))`` rows.

    Raises:
      ValueError: the width is 0 or less, or more than the image's.
    """
    if not 1 <= width <= image.width:
        raise ValueError(f"width: found {width}, expected 1 to {image.width}")
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), RESAMPLING[kernel])
