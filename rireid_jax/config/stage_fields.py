"""The fields of a stage, each with its default, unit and source. Everything that differs between stages is here."""

from typing import Any

from ml_collections import ConfigDict

from rireid_jax.components import (
    AT_LEAST_ZERO,
    DATASETS,
    EXTRACTORS,
    LOSSES,
    OPTIMIZERS,
    POSITIVE,
    PROBABILITY,
    SCHEDULES,
    SUPER_RESOLUTION,
    Check,
    Field,
    Fields,
    Slot,
    disjoint,
    in_registry,
    one_of,
)
from rireid_jax.config.fields import defaults

_NECK = Check(
    lambda value: value in {neck for kind in EXTRACTORS.values() for neck in kind.necks},
    lambda: f"one of {', '.join(sorted({n for kind in EXTRACTORS.values() for n in kind.necks}))}",
)
_STAGE_DATASET = Check(  # only the config's own data set may have identities
    lambda value: value == "" or (value in DATASETS and not DATASETS[value].has_identities),
    "'' or a data set without identities, such as 'natural_images'",
)
MODULES = {"super_resolution": "bilinear", "extractor": "none"}  # and the word for "no such module"

_OPTIMIZER: Fields = {
    "rate": Field(0.01, "initial learning rate; paper section 5.2", POSITIVE),
    "weight_decay": Field(
        5e-4,
        "L2 penalty, added to the gradient as PyTorch does; 5e-4 is from the authors' code. FFSR alone learns without "
        "it, because it would outweigh the small gradient of the mean squared error",
        AT_LEAST_ZERO,
    ),
}
_FACTORS: Fields = {
    "stream_factor": Field(
        1.0,
        "factor of the rate of the two streams' parameters: each gets only its gate's share of the gradient",
        AT_LEAST_ZERO,
    ),
    "gate_factor": Field(1.0, "factor of the rate of the gates' parameters", AT_LEAST_ZERO),
}
_AUGMENTATION: Fields = {
    "flip": Field(0.5, "probability that an image is flipped horizontally", PROBABILITY),
    "crop": Field(
        0.5, "probability that an image is enlarged by 1.125 and cropped back", PROBABILITY
    ),
    "degrade": Field(
        0.0,
        "probability that an image which is its own high-resolution original is degraded when it is read",
        PROBABILITY,
    ),
    "degrade_targets": Field(
        0.0,
        "probability that an image stored with its original is replaced by a new degradation of that original",
        PROBABILITY,
    ),
    "min_ratio": Field(
        0.25,
        "least ratio of a random degradation, which is drawn uniformly from [min_ratio, 1]; 1/4 in the paper",
        Check(lambda value: 0 < value <= 1, "a number in (0, 1]"),
    ),
    "erase": Field(
        0.0,
        "probability that a random rectangle of the extractor's input is erased (Zhong et al. 2020: 0.5)",
        PROBABILITY,
    ),
}


def stage_fields() -> Fields:
    """Returns the fields of a stage."""
    modules = [*MODULES, *dict.fromkeys(name for term in LOSSES.values() for name in term.brings)]
    weight = Field(
        0.0, "weight of the term in the loss of the stage; 0: the term is left out", AT_LEAST_ZERO
    )
    return {
        "dataset": Field("", 'data set to learn from; "": config.dataset', _STAGE_DATASET),
        "super_resolution": Field(
            "bilinear",
            "super-resolution network; bilinear: none, images are only enlarged",
            in_registry(SUPER_RESOLUTION, MODULES["super_resolution"]),
        ),
        "extractor": Field(
            "none",
            "feature extractor; none: the stage only restores images",
            in_registry(EXTRACTORS, MODULES["extractor"]),
        ),
        "neck": Field(
            "fc",
            "layer between the pooled map and the classifier: fc maps to the feature (paper section 5.2); batch_norm "
            "is BNNeck (Luo et al. 2019), whose feature has as many dimensions as the last map has channels",
            _NECK,
        ),
        "last_stride": Field(
            2,
            "stride of the extractor's last block; 1 doubles the resolution of the last map",
            one_of(1, 2),
        ),
        "init": {
            module: Field("", 'stage that provides the initial weights of the module; "": random')
            for module in MODULES
        },
        "train": Field((), "modules that learn; the other modules keep their initial weights"),
        "losses": {
            name: disjoint({"weight": weight}, term.OPTIONS) for name, term in LOSSES.items()
        },
        "epochs": Field(60, "length of the stage in epochs; paper section 5.2", POSITIVE),
        "schedule": Slot(SCHEDULES, "step"),
        "optimizer": {
            module: Slot(
                OPTIMIZERS, "sgd", {**_OPTIMIZER, **(_FACTORS if module == "extractor" else {})}
            )
            for module in modules
        },
        "augmentation": _AUGMENTATION,
        "images_per_identity": Field(
            0,
            "K in batches of P identities with K images each, where batch_size is P * K (Hermans et al. 2017; 4 in Luo "
            "et al. 2019); 0: every image once per epoch, in random order",
            AT_LEAST_ZERO,
        ),
        "resolution_width": Field(
            0,
            "width in pixels that counts as r = 1 in training; 0: the greatest width of the data set",
            AT_LEAST_ZERO,
        ),
    }


def stage_config(**changes: Any) -> ConfigDict:
    """Returns a stage in which every field has its default, except for the given changes.

    Args:
      changes: values by field; a section is given as a dictionary of its changed fields.
    """
    stage = defaults(stage_fields())
    stage.update(changes)
    return stage
