"""Config fields of older versions, and their new names."""

import re
from collections.abc import Iterator, Mapping

_LOSSES = "stages.STAGE.losses"
_AUGMENTATION = "stages.STAGE.augmentation"
# STAGE stands for the name of any stage, MODULE for any module that the stage trains.
RENAMED: Mapping[str, str] = {
    "loss": _LOSSES,
    "loss.adversarial_weight": f"{_LOSSES}.csr_gan.adversarial",
    "loss.beta": f"{_LOSSES}.resolution.weight",
    "loss.content_weight": f"{_LOSSES}.csr_gan.content",
    "loss.label_smoothing": f"{_LOSSES}.identity.smoothing",
    "loss.mask_sigma": f"{_LOSSES}.restoration.mask.sigma",
    "loss.resolution_width": "stages.STAGE.resolution_width",
    "loss.triplet_margin": f"{_LOSSES}.triplet.margin",
    "loss.triplet_weight": f"{_LOSSES}.triplet.weight",
    "loss.unique_weight": f"{_LOSSES}.csr_gan.unique",
    "optim": "stages.STAGE.optimizer",
    "optim.adversarial_rate": "stages.STAGE.optimizer.MODULE.rate",
    "optim.decay_factor": "stages.STAGE.schedule.decay_factor",
    "optim.momentum": "stages.STAGE.optimizer.MODULE.momentum",
    "data.crop": f"{_AUGMENTATION}.crop",
    "data.degrade": f"{_AUGMENTATION}.degrade",
    "data.degrade_targets": f"{_AUGMENTATION}.degrade_targets",
    "data.erase": f"{_AUGMENTATION}.erase",
    "data.flip": f"{_AUGMENTATION}.flip",
    "data.images_per_identity": "stages.STAGE.images_per_identity",
    "data.min_ratio": f"{_AUGMENTATION}.min_ratio",
    "natural_images.min_ratio": f"{_AUGMENTATION}.min_ratio",
    "data.recipe.split": "data.recipe.trial",
    "data.recipe.split_source": "data.recipe.trial_source",
    "data.splits": "data.trials",
    "model.discriminator_width": f"{_LOSSES}.csr_gan.discriminator_width",
    "model.last_stride": "stages.STAGE.last_stride",
    "model.neck": "stages.STAGE.neck",
    "stages.STAGE.alpha": f"{_LOSSES}.identity.weight (and resolution.weight, which is alpha times beta)",
    "stages.STAGE.decay_epochs": "stages.STAGE.schedule.decay_epochs",
    "stages.STAGE.learning_rate": "stages.STAGE.optimizer.MODULE.rate",
    "stages.STAGE.mask": f"{_LOSSES}.restoration.mask.name",
    "stages.STAGE.sr_of_low": f"{_LOSSES}.restoration.low_only",
    "stages.STAGE.sr_weight": f"{_LOSSES}.restoration.weight",
    "stages.STAGE.super_resolution_rate": "stages.STAGE.optimizer.super_resolution.rate (a rate, not a factor)",
    "stages.STAGE.warmup_epochs": "stages.STAGE.schedule.warmup_epochs",
    "stages.STAGE.weight_decay": "stages.STAGE.optimizer.MODULE.weight_decay",
}


def new_name(field: str) -> str:
    """Returns the new name of a field of an older version, or "" if no older version had such a field.

    Args:
      field: dotted name without "config.", such as "stages.joint.sr_weight".
    """
    stage = re.match(r"stages\.([^.]+)\.", field)
    if stage is None:
        return RENAMED.get(field, "")
    general = field.replace(stage[0], "stages.STAGE.", 1)
    return RENAMED.get(general, "").replace("STAGE", stage[1])


def old_fields(config: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Yields the dotted names of those fields of a config that only older versions have."""
    for name, value in config.items():
        field = f"{prefix}{name}"
        if new_name(field):
            yield field
        elif isinstance(value, Mapping):
            yield from old_fields(value, f"{field}.")
