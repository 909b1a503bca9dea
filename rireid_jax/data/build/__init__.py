"""Data sets on disk: raw files or drawings in, TFDS data sets of records out."""

from rireid_jax.data.build.dataset import Built, build

__all__ = ["Built", "build"]
