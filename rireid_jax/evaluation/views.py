"""Views of an image at test time, whose features are averaged: mirror images, and sub-pixel crops.

A sub-pixel crop is what a camera would have seen with its grid of pixels, or a detector with its box, half a native
pixel further on: where the grid of an image of few pixels lies on a person is chance, and half a pixel is the furthest
that another grid can be away. An image of native width w is enlarged to W network pixels, so that half a native pixel
is W / (2 w) of them: four for an image of 4 pixels at 32, and half of one for a full image. The native height is not
known here; images are enlarged in about their proportions, so that the same number is taken downwards. The shifted
image is interpolated bilinearly between network pixels, and continues with its edge. The shifts go to the four corners,
around the image itself.

benchmarks/views.md measures what views add: on the embedded data mirror images help at every resolution, and crops in
addition do not (they cost Rank-1 where r <= 1/3). Nor did shifts of 1/8 and 1/4 on validation identities.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


@dataclass(frozen=True)
class View:
    """How an image is looked at.

    Attributes:
      down: native pixels by which its content moves down.
      right: likewise to the right.
      mirrored: whether it is mirrored from left to right afterwards.
    """

    down: float = 0.0
    right: float = 0.0
    mirrored: bool = False

    def __call__(
        self, image: Float[Array, "B H W 3"], native_width: Int[Array, " B"]
    ) -> Float[Array, "B H W 3"]:
        """The view of normalised images of the network's size.

        Args:
          image: as enlarged.
          native_width: pixels before they were enlarged; 0 of what only fills up a batch.
        """
        if self.down or self.right:
            scale = image.shape[2] / jnp.maximum(native_width, 1)
            image = shifted(image, self.down * scale, axis=1)
            image = shifted(image, self.right * scale, axis=2)
        return image[:, :, ::-1] if self.mirrored else image


_CORNERS = tuple((down, right) for down in (-0.5, 0.5) for right in (-0.5, 0.5))
# By `config.eval.views`; the image itself comes first.
VIEWS: dict[str, tuple[View, ...]] = {
    "one": (View(),),
    "flip": (View(), View(mirrored=True)),
    "flip_crops": tuple(
        View(*shift, mirrored) for mirrored in (False, True) for shift in ((0.0, 0.0), *_CORNERS)
    ),
}


def shifted(
    image: Float[Array, "B H W C"], pixels: Float[Array, " B"], axis: int
) -> Float[Array, "B H W C"]:
    """Moves the content of each image by its own number of pixels, to higher indices of an axis, 1 or 2."""
    length = image.shape[axis]
    place = jnp.arange(length) - pixels[:, None]
    first = jnp.floor(place)
    share = jnp.expand_dims(place - first, (2, 3) if axis == 1 else (1, 3))

    def taken(index: Float[Array, "B L"]) -> Float[Array, "B H W C"]:
        inside = jnp.clip(index, 0, length - 1).astype(jnp.int32)
        return jnp.take_along_axis(
            image, jnp.expand_dims(inside, (2, 3) if axis == 1 else (1, 3)), axis
        )

    return (1 - share) * taken(first) + share * taken(first + 1)
