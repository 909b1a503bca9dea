"""All three stages (FFSR, RIFE, both jointly; paper section 5.2) and the baseline, bilinear + ResNet50.

`configs/joint.py` is the embedded set at a size that two CPU cores finish in five to eight minutes.
`configs/joint.py:vr_market1501,small` needs about half an hour on them, by the time that its steps take.
`configs/joint.py:vr_market1501` is the paper's setting: input 256x128, batch 32, 60 epochs per stage. The paper reports
Rank-1 66.9 and Rank-5 84.7 there (57.0 and 78.7 for the baseline), on data that its authors have not published.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config, stages_to


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.run = stages_to(config, "joint", "baseline")
    config.baseline = "baseline"
    return config
