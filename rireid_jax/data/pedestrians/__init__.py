"""Drawn pedestrians: a person re-identification data set that needs no download.

`render` draws picture number `shot` of person `identity` before camera `camera`, and the
exact mask of the person. Identities share coarse colours and differ in fine detail, so that the
number of pixels of an image decides how well its person can be told from others.
"""

from rireid_jax.data.pedestrians.camera import Camera, sample_camera
from rireid_jax.data.pedestrians.identity import (
    LOWER_PALETTE,
    UPPER_PALETTE,
    Garment,
    Identity,
    Logo,
    Pattern,
    sample_identity,
)
from rireid_jax.data.pedestrians.render import render

__all__ = [
    "LOWER_PALETTE",
    "UPPER_PALETTE",
    "Camera",
    "Garment",
    "Identity",
    "Logo",
    "Pattern",
    "render",
    "sample_camera",
    "sample_identity",
]
