"""The stages of training: which network, what learns, what it starts from, what it minimises, for how long."""

from typing import Any

from ml_collections import ConfigDict

SUPER_RESOLUTION = (
    *("bilinear", "ffsr", "ffsr_released"),
    *("srcnn", "srcnn_luminance", "vdsr", "csr_gan"),
)
EXTRACTORS = (
    *("none", "resnet50", "se_resnet50", "densenet121"),
    *("two_resnet50", "two_resnet50_weighted", "rife", "rife_released"),
)
# The last two are of the authors' code: as published, and with its index bug mended.
MASKS = ("none", "gaussian", "segmentation", "released", "released_fixed")
NECKS = ("fc", "batch_norm")
# Extractors whose maps CSR-GAN's generators can be compared by.
CONTENT_EXTRACTORS = ("resnet50", "se_resnet50")
# Extractors whose neck is "fc" whatever `config.model.neck` says.
HEADS_OF_THEIR_OWN = ("densenet121", "two_resnet50", "two_resnet50_weighted")
OPTIMIZERS = ("sgd", "adam")


def all_stages(small: bool) -> ConfigDict:
    """The three stages of section 5.2 (the first has two parts), what stands for their ImageNet weights
    in the two-core setting, the released stage, those of the strong baseline, and the baseline's.

    The baseline gets what RIFE gets in stages 2 and 3 together: the same start, as many epochs, at the same
    learning rates, so that a difference between them is not a difference in budget.
    """
    # Where the paper starts ResNet50 from ImageNet, the two-core setting trains a small one for a minute.
    backbone = "backbone" if small else ""
    rate = 0.05 if small else 0.01
    # From scratch, and in a minute, Adam restores a decibel better than SGD does.
    sr_optimizer, sr_rate = ("adam", 0.003) if small else ("sgd", 0.01)
    stages = ConfigDict()
    stages.backbone = stage_config(
        extractor="resnet50",
        train=("extractor",),
        alpha=1.0,
        epochs=10,
        learning_rate=0.08,
        decay_epochs=(),
    )
    stages.ffsr_pretrain = stage_config(
        dataset="natural_images",
        super_resolution="ffsr",
        train=("super_resolution",),
        sr_weight=1.0,
        optimizer=sr_optimizer,
        weight_decay=0.0,
        epochs=8 if small else 60,
        learning_rate=sr_rate,
        decay_epochs=(4,) if small else (30,),
    )
    stages.ffsr = stage_config(
        super_resolution="ffsr",
        init_super_resolution="ffsr_pretrain",
        train=("super_resolution",),
        sr_weight=1.0,
        mask="gaussian",
        optimizer=sr_optimizer,
        weight_decay=0.0,
        epochs=8 if small else 60,
        learning_rate=sr_rate,
        decay_epochs=(5,) if small else (30,),
    )
    stages.rife = stage_config(
        extractor="rife",
        init_extractor=backbone,
        train=("extractor",),
        alpha=1.0,
        epochs=8 if small else 60,
        learning_rate=rate,
        decay_epochs=() if small else (30,),
    )
    stages.joint = stage_config(
        super_resolution="ffsr",
        init_super_resolution="ffsr",
        extractor="rife",
        init_extractor="rife",
        train=("super_resolution", "extractor"),
        # At the two-core setting's high learning rate, identity alone would undo what FFSR has learned.
        sr_weight=10.0 if small else 1.0,
        super_resolution_rate=0.1 if small else 1.0,
        alpha=1.0,
        mask="gaussian",
        epochs=16 if small else 60,
        learning_rate=rate if small else rate / 10,
        decay_epochs=(10,) if small else (30,),
    )
    # What the authors' code does instead of the three stages.
    released = 36 if small else 60
    stages.released = stage_config(
        super_resolution="ffsr_released",
        extractor="rife_released",
        train=("super_resolution", "extractor"),
        sr_weight=0.1,
        alpha=1.0,
        mask="released",
        optimizer="adam",
        epochs=released,
        learning_rate=3e-4,
        decay_epochs=(released // 3, released * 2 // 3),
    )
    # Schedule of Luo et al. 2019, the same with and without FFSR and RIFE (`configs/strong.py`).
    schedule: dict[str, Any] = dict(
        optimizer="adam",
        epochs=24 if small else 120,
        learning_rate=3e-3 if small else 3.5e-4,
        warmup_epochs=2 if small else 10,
        decay_epochs=(14, 20) if small else (40, 70),
    )
    stages.strong = stage_config(
        extractor="resnet50",
        init_extractor=backbone,
        train=("extractor",),
        alpha=1.0,
        **schedule,
    )
    stages.strong_joint = stage_config(
        super_resolution="ffsr",
        init_super_resolution="ffsr",
        extractor="rife",
        init_extractor=backbone,
        train=("super_resolution", "extractor"),
        sr_weight=stages.joint.sr_weight,
        super_resolution_rate=stages.joint.super_resolution_rate,
        alpha=1.0,
        mask="gaussian",
        **schedule,
    )
    stages.baseline = stage_config(
        extractor="resnet50",
        init_extractor=backbone,
        train=("extractor",),
        alpha=1.0,
        epochs=stages.rife.epochs + stages.joint.epochs,
        learning_rate=rate,
        decay_epochs=(18,) if small else (30, 90),
    )
    return stages


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


def stage_config(
    *,
    dataset: str = "",
    super_resolution: str = "bilinear",
    extractor: str = "none",
    init_super_resolution: str = "",
    init_extractor: str = "",
    train: tuple[str, ...],
    sr_weight: float = 0.0,
    sr_of_low: bool = False,
    alpha: float = 0.0,
    mask: str = "none",
    optimizer: str = "sgd",
    weight_decay: float = 5e-4,
    super_resolution_rate: float = 1.0,
    epochs: int,
    learning_rate: float,
    warmup_epochs: int = 0,
    decay_epochs: tuple[int, ...],
) -> ConfigDict:
    """One stage: which network, what trains, what it minimises, what it starts from."""
    return ConfigDict(
        dict(
            dataset=dataset,  # "": the config's; "natural_images": FFSR's pre-training data
            super_resolution=super_resolution,  # one of SUPER_RESOLUTION
            extractor=extractor,  # one of EXTRACTORS
            init=dict(  # the stage whose result a module starts from; "": random
                super_resolution=init_super_resolution,
                extractor=init_extractor,
            ),
            # Modules that learn; the others stay as they start. "discriminator", of CSR-GAN alone, makes its
            # super-resolution learn against one.
            train=train,
            sr_weight=sr_weight,  # of Eq. 5 in Eq. 4, or of what CSR-GAN's generators minimise
            sr_of_low=sr_of_low,  # only of images that are not their own original, as SING has it
            alpha=alpha,  # of Eq. 9 in Eq. 4
            mask=mask,  # M of Eq. 5, one of MASKS
            optimizer=optimizer,  # one of OPTIMIZERS
            # L2, added to the gradient as PyTorch does; 5e-4 is the authors' code's. On FFSR alone it would
            # outweigh the gradient of the mean squared error, which is small.
            weight_decay=weight_decay,
            super_resolution_rate=super_resolution_rate,  # that module's learning rate, relative
            epochs=epochs,
            learning_rate=learning_rate,
            warmup_epochs=warmup_epochs,  # over which the learning rate rises linearly; 0: from the start whole
            decay_epochs=decay_epochs,  # the learning rate drops when these epochs are complete
        )
    )


def final_stage(config: ConfigDict) -> str:
    """The stage that a run's results are about: the last that is not the baseline."""
    return [stage for stage in config.run if stage != config.baseline][-1]
