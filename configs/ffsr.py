"""Stage 1: FFSR, pre-trained on natural images with the MSE, then with Eq. 5 on person images (section 5.2).

It takes under a minute on two CPU cores for the embedded set. The network restores images but extracts no features, so
`results.json` only holds restoration figures.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config, stages_to


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.run = stages_to(config, "ffsr")
    return config
