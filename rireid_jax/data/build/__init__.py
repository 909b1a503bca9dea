"""Builders: raw files or drawings in, TFDS data sets of records out."""

from rireid_jax.data.build.dataset import BUILDERS, Built, build

__all__ = ["BUILDERS", "Built", "build"]
