"""What happens to a training image at random: mirroring, cropping, lower resolution, an erased rectangle."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from PIL import Image

_ENLARGED = 1.125  # times the network's size, before a random crop
# An erased rectangle's part of the image, and its height / width (Zhong et al. 2020).
_ERASED_AREA, _ERASED_ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training example, the same to its image, target and mask.

    Attributes:
      flip: probability of a horizontal flip.
      crop: probability of enlarging by 1.125 and cropping back at a random place.
      degrade: probability of degrading an image that is its own high-resolution original: it is
        down-sampled by a ratio uniform in `[min_ratio, 1]`, and its r becomes smaller by the same ratio.
      degrade_targets: probability of replacing an image whose high-resolution original is stored with it by
        another low twin: the original is down-sampled to an r uniform in `[min_ratio, 1]`, and
        never enlarged.
      min_ratio: the least ratio, and the least r of `degrade_targets`.
      kernel: for that down-sampling, one of `degradation.KERNELS`.
      erase: probability of a rectangle in which the extractor sees nothing. Image, target and mask stay as they
        are; the batch says where it is.
    """

    flip: float = 0.5
    crop: float = 0.5
    degrade: float = 0.0
    degrade_targets: float = 0.0
    min_ratio: float = 0.25
    kernel: str = "bicubic"
    erase: float = 0.0


def happens(probability: float, rng: np.random.Generator) -> bool:
    """True with a probability; draws a number only where chance decides."""
    return probability == 1 or (probability > 0 and bool(rng.random() < probability))


@dataclass(frozen=True)
class View:
    """One way to look at an example, the same for image, target and mask.

    Attributes:
      size: (height, width) of the result.
      corner: (top, left) of the crop in the image enlarged by 1.125; `None`: the whole image.
      flip: mirror it.
    """

    size: tuple[int, int]
    corner: tuple[int, int] | None = None
    flip: bool = False

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Resamples bilinearly to uint8 `[H, W, 3]` or, from a grey image, `[H, W]`."""
        height, width = self.size
        box = None
        if self.corner is not None:
            # Enlarging and cropping in one step: only the crop is computed.
            (top, left), (tall, wide) = self.corner, enlarged_size(self.size)
            y, x = image.height / tall, image.width / wide
            box = (left * x, top * y, (left + width) * x, (top + height) * y)
        seen = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
        if self.flip:  # Pillow moves whole pixels, NumPy would move bytes
            seen = seen.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(seen)


def draw_view(size: tuple[int, int], augmentation: Augmentation, rng: np.random.Generator) -> View:
    """A view of the given size, mirrored and cropped by chance."""
    flip = bool(rng.random() < augmentation.flip)
    corner = None
    if rng.random() < augmentation.crop:
        tall, wide = enlarged_size(size)
        top = int(rng.integers(tall - size[0] + 1))
        left = int(rng.integers(wide - size[1] + 1))
        corner = (top, left)
    return View(size, corner, flip)


def enlarged_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) that a random crop of the given size is cut from."""
    return round(size[0] * _ENLARGED), round(size[1] * _ENLARGED)


def draw_rectangle(
    size: tuple[int, int], probability: float, rng: np.random.Generator
) -> Int[np.ndarray, "4"]:
    """Random erasing (Zhong et al. 2020): where, in an image of the given size.

    Args:
      size: (height, width) of the image.
      probability: that there is a rectangle.
      rng: of the example.

    Returns:
      int32 (top, left, height, width); zeros where nothing is erased. Its area is uniform in 0.02 to 0.4 of the
      image's, its height / width in 0.3 to 3.33, both drawn anew until it fits, and so is its place.
    """
    rectangle = np.zeros(4, np.int32)
    if not happens(probability, rng):
        return rectangle
    for _ in range(100):  # almost none fits an image that is a hundred times as high as wide
        area, aspect = rng.uniform(*_ERASED_AREA) * size[0] * size[1], rng.uniform(*_ERASED_ASPECT)
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < tall <= size[0] and 0 < wide <= size[1]:
            top, left = rng.integers(size[0] - tall + 1), rng.integers(size[1] - wide + 1)
            rectangle[:] = (top, left, tall, wide)
            break
    return rectangle
