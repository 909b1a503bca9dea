"""The recommended config: FFSR+RIFE by the paper's three stages, without the baseline and so in two thirds of the time.

At the small size the gates, rates, loss weights and the comparison of features are those that did best on people in no
reported figure (docs/architecture.md, "Decisions"); docs/embedded.md compares it with the baseline and docs/strong.md
says what today's tricks and degraded copies add. Use `configs/joint.py` to have a baseline next to it.

`configs/best.py:folder,small --config.data.raw_dir=/my/crops` trains it on your own crops, without a GPU.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config, stages_to


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.run = stages_to(config, "joint")
    return config
