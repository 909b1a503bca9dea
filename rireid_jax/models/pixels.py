"""Pixels as networks see them: normalised by ImageNet's mean and deviation."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

# Of ImageNet, as torchvision normalises; per channel, for images in [0, 1].
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def normalise(image: UInt8[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    """uint8 pixels to the network's float32 input."""
    return (image.astype(jnp.float32) / 255 - MEAN) / DEVIATION


def denormalise(image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    """The network's image values to [0, 1], clipped."""
    return jnp.clip(image * DEVIATION + MEAN, 0, 1)
