"""The foreground masks M of Eq. 5 where no segmentation is stored."""

import numpy as np
from jaxtyping import Float


def gaussian_mask(
    height: int, width: int, sigma: tuple[float, float]
) -> Float[np.ndarray, "{height} {width}"]:
    """A Gaussian kernel as foreground mask (Eq. 5, section 4.1 of the paper).

    A detector's box has its person in the middle, so the mask is 1 at the centre of the image,
    `((height - 1) / 2, (width - 1) / 2)`, and falls off towards the border. The paper gives no
    widths.

    Args:
      height: rows of the image.
      width: columns of the image.
      sigma: standard deviations as fractions of height and width.

    Returns:
      Float32 `[H, W]` in (0, 1].
    """

    def profile(length: int, fraction: float) -> np.ndarray:
        distance = (np.arange(length) - (length - 1) / 2) / (fraction * length)
        return np.exp(-0.5 * distance**2)

    mask = np.outer(profile(height, sigma[0]), profile(width, sigma[1]))
    return mask.astype(np.float32)


def released_mask(
    height: int, width: int, index_bug: bool
) -> Float[np.ndarray, "{height} {width}"]:
    """The mask of the authors' code: 2^(-|y - cy| / H) * 2^(-|x - cx| / W).

    It falls off exponentially, from 1 at the centre (cy, cx) to about 1/2 at a corner, so that it weighs
    the background hardly less than the person.

    Args:
      height: rows of the image, H.
      width: columns of the image, W.
      index_bug: as published, the second factor reads the row y where it means the column x: the mask is
        the same in every column and, at 256x128, largest in row 64, a quarter from the top.

    Returns:
      Float32 `[H, W]` in (0, 1].
    """
    y = np.arange(height)[:, None]
    x = y if index_bug else np.arange(width)[None, :]
    exponent = np.abs(y - (height - 1) / 2) / height + np.abs(x - (width - 1) / 2) / width
    return np.broadcast_to(np.exp2(-exponent), (height, width)).astype(np.float32)
