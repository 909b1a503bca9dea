"""The recipe of the authors' released code, which has another network and one stage instead of three.

`configs/released.py:vr_market1501 --config.init.backbone=resnet50.pth` is the full recipe: input 256x128, batch 32,
60 epochs of Adam, and both ResNet50 start from ImageNet weights. docs/paper-vs-released-code.md lists the differences
from the paper. The embedded set, at smaller widths, takes about four minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.run = ("released",)
    # The authors' gates and features, whatever the small size has for the paper's networks.
    config.model.update(gate_dim=16, gate_input="maps", gate_losses="all")
    config.eval.normalise = False
    stage = config.stages.released
    stage.last_stride = 1
    stage.losses.resolution.weight = 0.01
    stage.resolution_width = config.data.image_size[
        1
    ]  # that of the network input, whatever the widths of the data
    return config
