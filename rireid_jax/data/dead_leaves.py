"""Dead-leaves images: training material for restoration where no natural images are at hand.

Opaque shapes of random place, size and colour hide one another, as leaves on the ground do. With
radii from the power law p(r) ~ r^-3 the images are scale invariant and share with natural images
the power spectrum, about 1/f^2, the sharp edges and the statistics of gradients: Lee, Mumford and
Huang, "Occlusion Models for Natural Images", IJCV 41, 2001. Networks trained on such images restore
natural ones almost as well as those trained on photographs: Achddou, Gousseau and Ladjal,
"Synthetic Images as a Regularity Prior for Image Restoration Neural Networks", SSVM 2021.
"""

import numpy as np
from PIL import Image, ImageDraw

from rireid_jax.data.keyed_random import keyed_rng

_SUPERSAMPLING = 2
_MIN_RADIUS = 1.2  # pixels of the result: smaller leaves would be averaged away
_LAYERS = 3.0  # mean number of leaves over a point: exp(-3) of the image is bare ground


def dead_leaves(seed: int, index: int, size: tuple[int, int]) -> np.ndarray:
    """Draws the dead-leaves image number `index`; a pure function of its arguments.

    Args:
        seed: Seed of the whole set.
        index: Number of the image; any integer.
        size: Height and width in pixels.

    Returns:
        The image, uint8 `[H, W, 3]`.
    """
    rng = keyed_rng(seed, "dead leaves", index)
    height, width = (_SUPERSAMPLING * side for side in size)
    leaves, count = _cover(rng, height, width)

    # Colours of one image are related: they scatter about the palette of the image.
    palette = rng.uniform(30.0, 225.0, (4, 1)) + rng.normal(0.0, 22.0, (4, 3))
    colours = palette[rng.integers(4, size=count)]
    colours = colours + rng.normal(0.0, 30.0, (count, 1)) + rng.normal(0.0, 12.0, (count, 3))
    image = colours.astype(np.float32)[leaves]
    image += _texture(rng, leaves, count)[..., None]

    height, width = size
    blocks = image.reshape(height, _SUPERSAMPLING, width, _SUPERSAMPLING, 3)
    return np.clip(np.rint(blocks.mean((1, 3))), 0, 255).astype(np.uint8)


def _cover(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, int]:
    """Lays leaves on each other.

    Args:
        rng: Source of places, radii and shapes.
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        The number of the top leaf of each pixel, int32 `[H, W]`, 0 for bare ground, and how many
        such numbers there are.
    """
    smallest = _MIN_RADIUS * _SUPERSAMPLING
    largest = max(0.5 * max(height, width), 2.0 * smallest)
    ratio = largest / smallest
    # Mean of pi r^2 under p(r) ~ r^-3 on [smallest, largest].
    mean_area = 2.0 * np.pi * smallest**2 * np.log(ratio) / (1.0 - ratio**-2)
    field = (height + 2.0 * largest) * (width + 2.0 * largest)
    number = int(np.ceil(_LAYERS * field / mean_area))
    # The inverse of the distribution function of p(r) ~ r^-3.
    radii = smallest / np.sqrt(1.0 - rng.random(number) * (1.0 - ratio**-2))
    x = rng.uniform(-largest, width + largest, number)
    y = rng.uniform(-largest, height + largest, number)
    # A triangle reaches 1.56 times as far as the disc of its area.
    margin = 1.56 * radii
    seen = (np.abs(x - width / 2) < width / 2 + margin) & (
        np.abs(y - height / 2) < height / 2 + margin
    )
    x, y, radii = x[seen], y[seen], radii[seen]
    angles = rng.uniform(0.0, 2.0 * np.pi, len(radii))
    corners = rng.choice([0, 0, 3, 4, 5], len(radii))  # 0 is a disc

    # Regular polygons of the area of the disc, so that the law of the radii stays.
    sides = np.maximum(corners, 3)
    reach = radii * np.sqrt(2.0 * np.pi / (sides * np.sin(2.0 * np.pi / sides)))
    turns = angles[:, None] + 2.0 * np.pi * np.arange(5) / sides[:, None]
    polygons = np.stack(
        [x[:, None] + reach[:, None] * np.cos(turns), y[:, None] + reach[:, None] * np.sin(turns)],
        axis=-1,
    )
    boxes = np.stack([x - radii, y - radii, x + radii, y + radii], axis=-1)

    image = Image.new("I", (width, height))
    draw = ImageDraw.Draw(image)
    shapes = zip(corners.tolist(), boxes.tolist(), polygons.reshape(-1, 10).tolist(), strict=True)
    for leaf, (number_of_corners, box, polygon) in enumerate(shapes, start=1):
        if number_of_corners == 0:
            draw.ellipse(box, fill=leaf)
        else:
            draw.polygon(polygon[: 2 * number_of_corners], fill=leaf)
    return np.asarray(image), len(radii) + 1


def _texture(rng: np.random.Generator, leaves: np.ndarray, count: int) -> np.ndarray:
    """Shading and fine texture, other for each leaf; float32 [H, W] in grey levels."""
    height, width = leaves.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    unit = np.float32(1.0 / max(height, width))
    slopes = rng.normal(0.0, 40.0, (2, count)).astype(np.float32)
    texture = slopes[0][leaves] * ((x - width / 2) * unit)
    texture += slopes[1][leaves] * ((y - height / 2) * unit)

    # A third of the leaves are striped, another third are grainy.
    kind = rng.integers(3, size=count)
    strength = rng.uniform(4.0, 28.0, count).astype(np.float32)
    waves = rng.uniform(0.2, 1.1, count)  # radians a pixel of the canvas
    directions = rng.uniform(0.0, np.pi, count)
    along = (waves * np.cos(directions)).astype(np.float32)[leaves] * x
    along += (waves * np.sin(directions)).astype(np.float32)[leaves] * y
    texture += np.where(kind == 1, strength, 0.0).astype(np.float32)[leaves] * np.sin(along)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    texture += np.where(kind == 2, strength, 0.0).astype(np.float32)[leaves] * grain
    return texture
