"""Masks M of Eq. 5, one file each.

A mask is registered in `components.MASKS` as a class with its `OPTIONS` and `create(options)`, which returns a function
from a batch, or any mapping with "image" and "mask", to M in [0, 1], float32 `[B, H, W]` or `[1, H, W]`.
"""
