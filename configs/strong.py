"""A strong modern baseline, with and without the paper's FFSR and RIFE. The paper uses none of its tricks.

`strong` is a ResNet50 on bilinear images, and `strong_joint` is FFSR + RIFE. Both have the tricks of
`rireid_jax/config/strong.py` (Luo et al. 2019), and half of their images get a new resolution every time they are read.
As elsewhere in this project, features are compared by Euclidean distance, the neck has a shift, and the classifier has
a bias; Luo et al. omit both and compare by angle.

`configs/strong.py` is the embedded set and takes about ten minutes on two CPU cores.
`configs/strong.py:vr_market1501 --config.init.backbone=resnet50.pth` is the full size: batch 64, 120 epochs, and last
maps with twice the resolution. The training set needs at least 16 identities. `configs/strong_systems.py` compares more
systems, and docs/strong.md says what they reach on the embedded set.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config, stages_to, use_tricks


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    use_tricks(config)
    config.run = stages_to(config, "strong_joint", "strong")
    config.baseline = "strong"
    return config
