"""The stages of training: which network learns, from what start, on which losses, and for how long.

`stage_fields.py` declares the fields of a stage.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from rireid_jax.config.stage_fields import stage_config

# The rule for epochs at the small size: a data set with more pixels in an epoch than VR-Market1501 (12,936 images of
# 64x32) gets fewer epochs in proportion. With that one, the 66 epochs of configs/joint.py take twenty minutes on two
# cores (measured for 32 images: 20 to 64 ms a step, 7 to 12 ms to decode), and all of the run half an hour.
_EPOCH_PIXELS = 12_936 * 64 * 32


def all_stages(small: bool, degrade: float, epoch_pixels: int = 0) -> ConfigDict:
    """Returns the three stages of section 5.2 (the first has two parts) and the stages that other configs need.

    The others are the stage that replaces ImageNet weights in the two-core setting, the stage of the authors' released
    code, the stages of the strong baseline, and the baseline. The baseline gets what RIFE gets in stages 2 and 3
    together (the same start, the same number of epochs, the same learning rates), so that the two differ in the
    network and not in the budget.

    Args:
      small: True for the two-core size, False for the paper's.
      degrade: probability that an image which is its own high-resolution original is degraded when it is read.
      epoch_pixels: pixels that the networks see in an epoch of the data set; 0 if that is not known, and then the
        epochs are those of the embedded data.
    """
    # Where the paper starts ResNet50 from ImageNet, the two-core setting trains a small one for a minute.
    backbone = "backbone" if small else ""
    rate = 0.1 if small else 0.01
    joint_rate = rate if small else rate / 10
    # Where the paper speaks of one rate, the small size has the rates that were best on identities of another
    # drawing (docs/architecture.md): each stream gets its gate's share of the gradient, and the gates learn
    # from Eq. 7 alone.
    of_rife = {"stream_factor": 2.0, "gate_factor": 10.0} if small else {}
    person = {"degrade": degrade}
    extracting: dict[str, Any] = dict(
        train=("extractor",), losses=identity_losses(), augmentation=person
    )
    both: dict[str, Any] = dict(
        super_resolution="ffsr",
        extractor="rife",
        train=("super_resolution", "extractor"),
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
        optimizer=sgd_at(rate, **of_rife),
        **extracting,
    )
    stages.joint = stage_config(
        init={"super_resolution": "ffsr", "extractor": "rife"},
        epochs=16 if small else 60,
        schedule={"decay_epochs": (10,) if small else (30,)},
        optimizer=sgd_at(joint_rate, joint_rate * (0.2 if small else 1.0), **of_rife),
        # At the small size's high rates, the identity loss would otherwise undo what FFSR has learned.
        losses=identity_losses() | restoration_loss(30.0 if small else 1.0),
        **both,
    )
    _add_single_parts(stages, backbone)
    stages.released = _released(36 if small else 60, person)
    strong = _strong_schedule(small)
    stages.strong = stage_config(
        extractor="resnet50", init={"extractor": backbone}, **extracting, **strong
    )
    stages.strong_joint = stage_config(
        init={"super_resolution": "ffsr", "extractor": backbone},
        losses=identity_losses() | restoration_loss(10.0 if small else 1.0),
        **both,
        **strong,
    )
    stages.baseline = stage_config(
        extractor="resnet50",
        init={"extractor": backbone},
        epochs=stages.rife.epochs + stages.joint.epochs,
        schedule={"decay_epochs": (18,) if small else (30, 90)},
        optimizer=sgd_at(rate),
        **extracting,
    )
    if small and epoch_pixels > _EPOCH_PIXELS:
        own = [name for name, stage in stages.items() if not stage.dataset]
        shorten(stages, own, _EPOCH_PIXELS / epoch_pixels)
    return stages


def _add_single_parts(stages: ConfigDict, backbone: str) -> None:
    """Adds RIFE without FFSR and FFSR without RIFE, with the budget of both together.

    Args:
      stages: stages of a config with `rife` and `joint`, changed in place.
      backbone: stage that every extractor starts from; "" for none.
    """
    not_restoring = {"restoration": {"weight": 0.0}}
    for name, like in (
        ("rife_alone", "joint"),
        ("ffsr_extractor", "rife"),
        ("ffsr_joint", "joint"),
    ):
        stages[name] = stages[like].copy_and_resolve_references()
    stages.rife_alone.update(
        super_resolution="bilinear",
        train=("extractor",),
        losses=not_restoring,
        init={"super_resolution": "", "extractor": "rife"},
    )
    stages.ffsr_extractor.update(
        super_resolution="ffsr",
        extractor="resnet50",
        init={"super_resolution": "ffsr", "extractor": backbone},
    )
    stages.ffsr_joint.update(
        extractor="resnet50",
        init={"super_resolution": "ffsr_extractor", "extractor": "ffsr_extractor"},
    )


def shorten(stages: ConfigDict, names: Iterable[str], factor: float) -> None:
    """Multiplies the epochs of some stages, and those at which their rates change, by a factor of at most 1.

    Every stage keeps an epoch, and the baseline keeps the budget of RIFE in stages 2 and 3.

    Args:
      stages: stages of a config, changed in place; `rife`, `joint` and `baseline` are shortened together.
      names: keys of the stages to shorten.
      factor: of the epochs.
    """
    epochs = {name: max(1, round(stages[name].epochs * factor)) for name in names}
    if "baseline" in epochs:
        epochs["baseline"] = epochs["rife"] + epochs["joint"]
    for name, count in epochs.items():
        stage = stages[name]
        share, schedule = count / stage.epochs, stage.schedule
        stage.epochs = count
        schedule.decay_epochs = tuple(round(epoch * share) for epoch in schedule.decay_epochs)
        if schedule.warmup_epochs:  # a rate that needs one still needs one
            schedule.warmup_epochs = max(1, round(schedule.warmup_epochs * share))


def _restoring(small: bool, augmentation: Mapping[str, Any]) -> dict[str, ConfigDict]:
    """Returns the two parts of stage 1: FFSR alone on natural images, then on the images of the data set."""
    # In a minute of training from scratch, Adam gains a decibel of PSNR over SGD.
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
    """Returns the schedule of Luo et al. 2019, used with and without FFSR and RIFE (`configs/strong.py`)."""
    rate = 3e-3 if small else 3.5e-4
    decay_epochs = (14, 20) if small else (40, 70)
    return dict(
        epochs=24 if small else 120,
        schedule={"warmup_epochs": 2 if small else 10, "decay_epochs": decay_epochs},
        optimizer=adam_at(rate, rate * (0.1 if small else 1.0)),
    )


def _released(epochs: int, augmentation: Mapping[str, Any]) -> ConfigDict:
    """Returns the single stage of the authors' code, which replaces the three stages of the paper."""
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
    """Returns the losses of Eq. 9 with the beta of section 5.2."""
    return {"identity": {"weight": 1.0}, "resolution": {"weight": 0.1}}


def restoration_loss(weight: float, mask: str = "gaussian") -> dict[str, Any]:
    """Returns the loss of Eq. 5 with a weight and a mask."""
    return {"restoration": {"weight": weight, "mask": {"name": mask}}}


def sgd_at(rate: float, super_resolution_rate: float = 0.01, **factors: float) -> dict[str, Any]:
    """Returns SGD with one learning rate for the extractor and another for the super-resolution network.

    Args:
      rate: of the extractor.
      super_resolution_rate: of the super-resolution network.
      **factors: of the extractor's streams and gates, `stream_factor` and `gate_factor`.
    """
    return {
        "extractor": {"rate": rate, **factors},
        "super_resolution": {"rate": super_resolution_rate},
    }


def adam_at(rate: float, super_resolution_rate: float) -> dict[str, Any]:
    """Returns Adam with one learning rate for the extractor and another for the super-resolution network."""
    return {
        "extractor": {"name": "adam", "rate": rate},
        "super_resolution": {"name": "adam", "rate": super_resolution_rate},
    }


def stages_to(config: ConfigDict, *finals: str) -> tuple[str, ...]:
    """Returns the given stages and all stages that they start from, in an order in which they can run."""
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
    """Returns the stage whose results a run reports: the last one but baseline and others."""
    return [stage for stage in config.run if stage not in (config.baseline, *config.others)][-1]


def scored_stages(config: ConfigDict) -> tuple[str, ...]:
    """Returns the stages that a run scores: the final one, the baseline, and the others."""
    baseline = (config.baseline,) if config.baseline else ()
    return (final_stage(config), *baseline, *config.others)
