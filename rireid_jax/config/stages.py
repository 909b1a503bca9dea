"""The stages of training: which network, what learns, what it starts from, what it minimises, for how long.

All that differs between stages is a field of the stage.
"""

from collections.abc import Mapping
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
    in_registry,
    one_of,
    with_options,
)
from rireid_jax.config.fields import defaults

_NECK = Check(
    lambda value: value in {neck for kind in EXTRACTORS.values() for neck in kind.necks},
    lambda: f"one of {', '.join(sorted({n for kind in EXTRACTORS.values() for n in kind.necks}))}",
)
_STAGE_DATASET = Check(  # the config's own is the only one with identities
    lambda value: value == "" or (value in DATASETS and not DATASETS[value].has_identities),
    "'' or a data set without identities, such as 'natural_images'",
)
MODULES = {"super_resolution": "bilinear", "extractor": "none"}  # and the word for no such module

_OPTIMIZER: Fields = {
    "rate": Field(0.01, "initial learning rate; paper section 5.2", POSITIVE),
    "weight_decay": Field(
        5e-4,
        "L2 penalty, added to the gradient as PyTorch does; 5e-4 is the authors' code's. On FFSR alone it would "
        "outweigh the gradient of the mean squared error, which is small",
        AT_LEAST_ZERO,
    ),
}
_AUGMENTATION: Fields = {
    "flip": Field(0.5, "probability of a horizontal flip", PROBABILITY),
    "crop": Field(0.5, "probability of enlarging by 1.125 and cropping back", PROBABILITY),
    "degrade": Field(
        0.0,
        "probability that an image which is its own high-resolution original gets a low twin as it is read",
        PROBABILITY,
    ),
    "degrade_targets": Field(
        0.0,
        "probability that an image whose original is stored next to it gets a new low twin, made of that",
        PROBABILITY,
    ),
    "min_ratio": Field(
        0.25,
        "such a twin's ratio, or its r, is uniform in [min_ratio, 1]; the paper's least is 1/4",
        Check(lambda value: 0 < value <= 1, "a number in (0, 1]"),
    ),
    "erase": Field(
        0.0,
        "probability that a random rectangle of what the extractor sees is erased (Zhong et al. 2020: 0.5)",
        PROBABILITY,
    ),
}


def stage_fields() -> Fields:
    """The fields of a stage."""
    modules = [*MODULES, *dict.fromkeys(name for term in LOSSES.values() for name in term.brings)]
    weight = Field(
        0.0, "of the term in the sum that the stage minimises; 0 leaves it out", AT_LEAST_ZERO
    )
    return {
        "dataset": Field("", 'data set to learn from; "": the config\'s', _STAGE_DATASET),
        "super_resolution": Field(
            "bilinear",
            "network that restores, or bilinear",
            in_registry(SUPER_RESOLUTION, MODULES["super_resolution"]),
        ),
        "extractor": Field(
            "none",
            "network that extracts features, or none",
            in_registry(EXTRACTORS, MODULES["extractor"]),
        ),
        "neck": Field(
            "fc",
            "before the classifier: fc maps to the feature, paper section 5.2; batch_norm is BNNeck (Luo et al. 2019), "
            "whose feature is as wide as the last map",
            _NECK,
        ),
        "last_stride": Field(
            2, "of the extractor's last stage; 1 keeps a map twice as fine", one_of(1, 2)
        ),
        "init": {
            module: Field("", 'stage whose result the module starts from; "": random')
            for module in MODULES
        },
        "train": Field((), "modules that learn; the others stay as they start"),
        "losses": {name: with_options({"weight": weight}, term) for name, term in LOSSES.items()},
        "epochs": Field(60, "over the data set", POSITIVE),
        "schedule": Slot(SCHEDULES, "step"),
        "optimizer": {module: Slot(OPTIMIZERS, "sgd", _OPTIMIZER) for module in modules},
        "augmentation": _AUGMENTATION,
        "images_per_identity": Field(
            0,
            "K of batches of P identities with K images each (Hermans et al. 2017; Luo et al. 2019: 4), where "
            "batch_size is P * K; 0: every image once an epoch, in random order",
            AT_LEAST_ZERO,
        ),
        "resolution_width": Field(
            0, "pixels of r = 1 while learning; 0: the data set's greatest width", AT_LEAST_ZERO
        ),
    }


def stage_config(**changes: Any) -> ConfigDict:
    """A stage in which every field has its default, but for some changes.

    Args:
      changes: fields; a section is a dictionary of the fields that change in it.
    """
    stage = defaults(stage_fields())
    stage.update(changes)
    return stage


def all_stages(small: bool, degrade: float) -> ConfigDict:
    """The three stages of section 5.2 (the first has two parts), and those that other configs need.

    These are what stands for ImageNet weights in the two-core setting, the released stage, those of the strong
    baseline, and the baseline's. The baseline gets what RIFE gets in stages 2 and 3 together: the same start, as many
    epochs, at the same learning rates, so that a difference between them is not a difference in budget.

    Args:
      small: whether at the two-core size.
      degrade: probability that an image of the data set which is its own original gets a low twin as it is read.
    """
    # Where the paper starts ResNet50 from ImageNet, the two-core setting trains a small one for a minute.
    backbone = "backbone" if small else ""
    rate = 0.05 if small else 0.01
    joint_rate = rate if small else rate / 10
    person = {"degrade": degrade}
    extracting: dict[str, Any] = dict(
        train=("extractor",), losses=identity_losses(), augmentation=person
    )
    # At the two-core setting's high learning rate, identity alone would undo what FFSR has learned.
    both: dict[str, Any] = dict(
        super_resolution="ffsr",
        extractor="rife",
        train=("super_resolution", "extractor"),
        losses=identity_losses() | restoration_loss(10.0 if small else 1.0),
        augmentation=person,
    )
    stages = ConfigDict(_restoring(small, person))
    stages.backbone = stage_config(
        extractor="resnet50", epochs=10, optimizer=sgd_at(0.08), **extracting
    )
    stages.rife = stage_config(
        extractor="rife",
        init={"extractor": backbone},
        epochs=8 if small else 60,
        schedule={"decay_epochs": () if small else (30,)},
        optimizer=sgd_at(rate),
        **extracting,
    )
    stages.joint = stage_config(
        init={"super_resolution": "ffsr", "extractor": "rife"},
        epochs=16 if small else 60,
        schedule={"decay_epochs": (10,) if small else (30,)},
        optimizer=sgd_at(joint_rate, joint_rate * (0.1 if small else 1.0)),
        **both,
    )
    stages.released = _released(36 if small else 60, person)
    strong = _strong_schedule(small)
    stages.strong = stage_config(
        extractor="resnet50", init={"extractor": backbone}, **extracting, **strong
    )
    stages.strong_joint = stage_config(
        init={"super_resolution": "ffsr", "extractor": backbone}, **both, **strong
    )
    stages.baseline = stage_config(
        extractor="resnet50",
        init={"extractor": backbone},
        epochs=stages.rife.epochs + stages.joint.epochs,
        schedule={"decay_epochs": (18,) if small else (30, 90)},
        optimizer=sgd_at(rate),
        **extracting,
    )
    return stages


def _restoring(small: bool, augmentation: Mapping[str, Any]) -> dict[str, ConfigDict]:
    """Stage 1, FFSR alone: on natural images, then on the data set's."""
    # From scratch, and in a minute, Adam restores a decibel better than SGD does.
    optimizer = {
        "name": "adam" if small else "sgd",
        "rate": 0.003 if small else 0.01,
        "weight_decay": 0.0,
    }
    common: dict[str, Any] = dict(
        super_resolution="ffsr",
        train=("super_resolution",),
        epochs=8 if small else 60,
        optimizer={"super_resolution": optimizer},
    )
    return {
        "ffsr_pretrain": stage_config(
            dataset="natural_images",
            losses=restoration_loss(1.0, mask="none"),
            schedule={"decay_epochs": (4,) if small else (30,)},
            augmentation={"degrade": 1.0, "min_ratio": 0.125},
            **common,
        ),
        "ffsr": stage_config(
            init={"super_resolution": "ffsr_pretrain"},
            losses=restoration_loss(1.0),
            schedule={"decay_epochs": (5,) if small else (30,)},
            augmentation=augmentation,
            **common,
        ),
    }


def _strong_schedule(small: bool) -> dict[str, Any]:
    """That of Luo et al. 2019, the same with and without FFSR and RIFE (`configs/strong.py`)."""
    rate = 3e-3 if small else 3.5e-4
    decay_epochs = (14, 20) if small else (40, 70)
    return dict(
        epochs=24 if small else 120,
        schedule={"warmup_epochs": 2 if small else 10, "decay_epochs": decay_epochs},
        optimizer=adam_at(rate, rate * (0.1 if small else 1.0)),
    )


def _released(epochs: int, augmentation: Mapping[str, Any]) -> ConfigDict:
    """What the authors' code does instead of the three stages."""
    return stage_config(
        super_resolution="ffsr_released",
        extractor="rife_released",
        neck="batch_norm",
        train=("super_resolution", "extractor"),
        losses=identity_losses() | restoration_loss(0.1, mask="released"),
        epochs=epochs,
        schedule={"decay_epochs": (epochs // 3, epochs * 2 // 3)},
        optimizer=adam_at(3e-4, 3e-4),
        augmentation=augmentation,
    )


def identity_losses() -> dict[str, Any]:
    """Eq. 9 with the beta of section 5.2."""
    return {"identity": {"weight": 1.0}, "resolution": {"weight": 0.1}}


def restoration_loss(weight: float, mask: str = "gaussian") -> dict[str, Any]:
    """Eq. 5 with a weight and a mask."""
    return {"restoration": {"weight": weight, "mask": {"name": mask}}}


def sgd_at(rate: float, super_resolution_rate: float = 0.01) -> dict[str, Any]:
    """SGD at a learning rate for the extractor, and at another for the super-resolution network."""
    return {"extractor": {"rate": rate}, "super_resolution": {"rate": super_resolution_rate}}


def adam_at(rate: float, super_resolution_rate: float) -> dict[str, Any]:
    """Adam, likewise."""
    return {
        "extractor": {"name": "adam", "rate": rate},
        "super_resolution": {"name": "adam", "rate": super_resolution_rate},
    }


def stages_to(config: ConfigDict, *finals: str) -> tuple[str, ...]:
    """The stages to run for the given ones: each after those that it starts from."""
    order: list[str] = []

    def add(stage: str) -> None:
        for source in config.stages[stage].init.values():
            if source:
                add(source)
        if stage not in order:
            order.append(stage)

    for final in finals:
        add(final)
    return tuple(order)


def final_stage(config: ConfigDict) -> str:
    """The stage that a run's results are about: the last that is not the baseline."""
    return [stage for stage in config.run if stage != config.baseline][-1]
