"""Data sets on disk: raw files or drawings in, TFDS data sets of records out."""

from rireid_jax.data.build.dataset import Built, build
from rireid_jax.data.build.held_out import hold_out

__all__ = ["Built", "build", "hold_out"]
