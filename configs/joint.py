"""All three stages and the baseline: FFSR, RIFE, both jointly (paper section 5.2), bilinear + ResNet50.

`configs/joint.py` is the embedded set at a size that two CPU cores finish in about five minutes.
`configs/joint.py:vr_market1501` is the paper at full size: input 256x128, batch 32, 60 epochs a stage. The
paper reports Rank-1 66.9 and Rank-5 84.7 there (57.0 and 78.7 for the baseline), on data of its authors' making.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config, stages_to


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.run = stages_to(config, "joint", "baseline")
    config.baseline = "baseline"
    return config
