"""Normalises pixels for the networks by the mean and standard deviation of ImageNet."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

# torchvision's statistics of ImageNet, per channel, for images in [0, 1].
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def normalise(image: UInt8[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    """Converts uint8 pixels to the float32 input of a network."""
    return (image.astype(jnp.float32) / 255 - MEAN) / DEVIATION


def denormalise(image: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    """Converts normalised images back to [0, 1] and clips them."""
    return jnp.clip(image * DEVIATION + MEAN, 0, 1)
