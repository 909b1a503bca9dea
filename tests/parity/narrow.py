"""The narrow networks that are compared, by config; needs no PyTorch."""

from ml_collections import ConfigDict

from rireid_jax.config import base_config

WIDTH = 1 / 8
STAGE_SIZES = (1, 1, 1, 1)
IDENTITIES = 5
STAGES = {"paper": "joint", "released": "released"}


def narrow_config(variant: str, dtype: str) -> ConfigDict:
    """The config of a variant, narrow and shallow."""
    config = base_config("vr_market1501")
    config.dtype = dtype
    config.model.ffsr_width = config.model.width = WIDTH
    config.model.stage_sizes = STAGE_SIZES
    if variant == "released":
        config.model.gate_dim = 16
        config.stages.released.last_stride = 1
        config.stages.released.losses.resolution.weight = 0.01
    return config
