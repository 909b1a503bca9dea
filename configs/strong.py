"""A strong modern baseline, with and without the paper's FFSR and RIFE. The paper uses none of its tricks.

The stages use the bag of tricks of Luo et al. 2019: BNNeck, last stride 1, batches with 4 images per identity,
batch-hard triplet loss, label smoothing, random erasing, and Adam with warm-up. In addition, half of the images get a
new resolution every time they are read. `strong` is a ResNet50 on bilinear images and `strong_joint` is FFSR + RIFE,
with the same initial weights of the extractor and the same schedule. As elsewhere in this project, features are
compared by Euclidean distance, the neck has a shift, and the classifier has a bias; Luo et al. omit both and compare
by angle.

`configs/strong.py` is the embedded set and takes about twenty minutes on two CPU cores. It does not use erasing, with
which the narrow networks learn too little: on an earlier, smaller drawing Rank-1 of `strong` was 57.2 with it and 69.7
without. `configs/strong.py:vr_market1501 --config.init.backbone=resnet50.pth` is the full size: batch 64, 120 epochs,
and last maps with twice the resolution. The training set needs at least 16 identities.
"""

from ml_collections import ConfigDict

from rireid_jax.config import base_config, stages_to


def get_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.run = stages_to(config, "strong_joint", "strong")
    config.baseline = "strong"
    if config.size == "paper":
        config.batch_size = 64
    for stage in (config.stages.strong, config.stages.strong_joint):
        stage.neck = "batch_norm"
        stage.last_stride = 1
        stage.images_per_identity = 4
        stage.losses.identity.smoothing = 0.1
        stage.losses.triplet.weight = 1.0
        stage.augmentation.erase = 0.0 if config.size == "small" else 0.5
    for stage in (config.stages.ffsr, config.stages.strong, config.stages.strong_joint):
        stage.augmentation.degrade = stage.augmentation.degrade_targets = 0.5
    return config
