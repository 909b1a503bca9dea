"""The authors' released code: another network, and one stage in place of three.

`configs/released.py:vr_market1501 --config.init.backbone=resnet50.pth` is its recipe: input 256x128, batch 32,
60 epochs of Adam, both ResNet50 from ImageNet weights. What differs from the paper is listed in
docs/paper-vs-released-code.md. About four minutes on two CPU cores for the embedded set, at smaller widths.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.run = ("released",)
    config.model.gate_dim = 16
    stage = config.stages.released
    stage.last_stride = 1
    stage.losses.resolution.weight = 0.01
    stage.resolution_width = config.data.image_size[1]  # the network's, whatever the data's
    return config
