"""Stage 2: RIFE on bilinearly enlarged images with Eq. 9 (section 5.2), and the ResNet50 baseline.

It takes about two minutes on two CPU cores for the embedded set. The paper reports Rank-1 62.6 on VR-Market1501.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config, stages_to


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.run = stages_to(config, "rife", "baseline")
    config.baseline = "baseline"
    return config
