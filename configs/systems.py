"""FFSR+RIFE, each of both alone, and neither: RIFE on bilinear images, and FFSR in front of a ResNet50.

All four have the same start, and the extractor learns for as many epochs in each, so they differ in what Table 3 of the
paper compares. `make embedded` trains them with several seeds for docs/embedded.md.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config, stages_to


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.others = ("rife_alone", "ffsr_joint")
    config.run = stages_to(config, *config.others, "joint", "baseline")
    config.baseline = "baseline"
    return config
