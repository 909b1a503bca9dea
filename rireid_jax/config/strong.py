"""The tricks of today's strong baselines (Luo et al. 2019), which the paper does not use, for four systems."""

from ml_collections import ConfigDict

STRONG = {  # stage -> super-resolution network and extractor
    "strong": ("bilinear", "resnet50"),
    "strong_rife": ("bilinear", "rife"),
    "strong_ffsr": ("ffsr", "resnet50"),
    "strong_joint": ("ffsr", "rife"),
}


def use_tricks(config: ConfigDict) -> None:
    """Gives the stages of `STRONG` the bag of tricks of Luo et al. 2019, and half of the images a new resolution.

    The tricks are BNNeck, last stride 1, batches with 4 images per identity, batch-hard triplet loss, label smoothing
    and random erasing (not at the small size, whose narrow networks learn too little with it), besides Adam with
    warm-up, which the stages have already. The four systems differ in their networks alone: they have the same initial
    weights of the extractor and the same schedule. Where images get a new resolution every time they are read, FFSR has
    learned from such images too.

    Args:
      config: as `base_config` returns it, changed in place.
    """
    stages, small = config.stages, config.size == "small"
    for stage, (super_resolution, extractor) in STRONG.items():
        if stage not in stages:
            like = "strong" if super_resolution == "bilinear" else "strong_joint"
            stages[stage] = stages[like].copy_and_resolve_references()
            stages[stage].update(super_resolution=super_resolution, extractor=extractor)
        own = stages[stage]
        own.neck = "batch_norm"
        own.last_stride = 1
        own.images_per_identity = 4
        own.losses.identity.smoothing = 0.1
        own.losses.triplet.weight = 1.0
        own.augmentation.erase = 0.0 if small else 0.5
    for stage in ("ffsr", *STRONG):
        stages[stage].augmentation.degrade = stages[stage].augmentation.degrade_targets = 0.5
    if not small:
        config.batch_size = 64
