"""The systems of the paper's Tables 1 to 3: one with `configs/ablation.py:ROW[,DATASET]`, or all with `...:DATASET`.

A size may follow the data set. `configs/ablation.py:srcnn,vr_msmt17` trains one row at the paper's size, and
`...:srcnn,vr_msmt17,small` at the small one; `rireid_jax/paper/rows.py` names the rows. Without a row the config holds
the stages of all rows, for `--mode report --config configs/ablation.py:vr_msmt17`. That command trains each row in a
folder of its own, copies the stages that another row has already trained, and writes our tables next to the paper's.

The rows of a table differ only in what the table compares. Every extractor learns for as many epochs as RIFE does in
stages 2 and 3 together, at the same rates. Rows with a super-resolution network X have these stages:

    X_pretrain   X on natural images, MSE              X_extractor  ResNet50 on images restored by X, which is fixed
    X            X on the data set's persons, Eq. 5    X_apart      the same for more epochs, or
                                                       X_joint      both learn, Eq. 4

For SING, X is an SRCNN on luminance, and the last stage is `sing`, where Eq. 5 only counts low-resolution images.
CSR-GAN's generators are not pre-trained on natural images, because its authors do not do so either: in
`csr_gan_pretrain` they learn from the persons of the data set by MSE, and in `csr_gan` against discriminators, with an
optimizer of their own, while ResNet50 learns as in the other rows.

In the two-core setting all extractors start from the stage `backbone` (two ResNet50 take it twice; SE-ResNet50 takes
the layers that it shares with ResNet50). The exception is DenseNet121, which shares no layer with ResNet50 and starts
from `densenet121_start`. In the paper's setting they start from `--config.init.backbone`, the file of a ResNet50; for
`--rows=densenet121` and `--rows=se_resnet50` it is a file of that network.

At the small size every stage learns for half as many epochs as in `configs/joint.py`, because there are 18 rows, four
of them with two seeds.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from rireid_jax.config import base_config, dataset_names, shorten, stages_to
from rireid_jax.errors import UserError
from rireid_jax.paper import systems
from rireid_jax.paper.rows import ALIASES, CLASSICAL, ROWS


def get_config(argument: str = "pedestrians") -> ConfigDict:
    row, dataset = _parse(argument)
    config = base_config(dataset)
    config.imports = (systems.__name__,)
    small = config.size == "small"
    if small:
        shorten(config.stages, list(config.stages), 0.5)
    _add_stages(config.stages, small)
    config.run = stages_to(config, *([ROWS[row].stage] if row else _finals()))
    return config


def _parse(argument: str) -> tuple[str, str]:
    """Splits `ROW[,DATASET[,SIZE]]` or `DATASET[,SIZE]` into the row and the rest, which `base_config` reads.

    The row is "" for all rows. No row has the name of a data set, so the first word tells which of the two it is.
    """
    first, _, dataset = argument.partition(",")
    if first.partition("/")[0] in dataset_names():
        return "", argument
    row = ALIASES.get(first, first)
    if row in CLASSICAL:
        raise UserError(
            f"--config: found the row {first!r}, which is not trained in stages, expected --mode report --rows={first}"
        )
    if row not in ROWS:
        rows = ", ".join(name for name in (*ALIASES, *ROWS) if name not in CLASSICAL)
        raise UserError(
            f"--config: found {argument!r} after the colon, expected ROW, DATASET or ROW,DATASET with a row of "
            f"{rows} and a data set of {', '.join(dataset_names())}, which a size may follow (,small or ,paper)"
        )
    return row, dataset or "pedestrians"


def _finals() -> list[str]:
    """Returns the last stage of every row. FFSR+RIFE comes last, so that the whole config reports its results."""
    stages = [row.stage for row in ROWS.values() if row.stage]
    return sorted(stages, key=lambda stage: stage == ROWS["ffsr_rife"].stage)


def _add_stages(stages: ConfigDict, small: bool) -> None:
    """Adds the stages that the rows need besides the paper's own.

    Args:
      stages: stages of the config, changed in place.
      small: True for the two-core size, False for the paper's.
    """

    def add(name: str, like: str, **changes: object) -> None:
        stages[name] = stages[like].copy_and_resolve_references()
        stages[name].update(changes)

    def from_stages(super_resolution: str, extractor: str) -> dict[str, str]:
        return {"super_resolution": super_resolution, "extractor": extractor}

    no_mask = {"restoration": {"mask": {"name": "none"}}}
    not_restoring = {"restoration": {"weight": 0.0}}
    add("srcnn_pretrain", "ffsr_pretrain", super_resolution="srcnn")
    add("vdsr_pretrain", "ffsr_pretrain", super_resolution="vdsr")
    add("sing_pretrain", "ffsr_pretrain", super_resolution="srcnn_luminance")
    for name, source in (
        ("srcnn", "srcnn_pretrain"),
        ("vdsr", "vdsr_pretrain"),
        ("sing_restorer", "sing_pretrain"),
        ("ae", "ffsr_pretrain"),
    ):
        network = stages[source].super_resolution
        add(name, "ffsr", super_resolution=network, losses=no_mask, init=from_stages(source, ""))
    add("ffsr_segmentation", "ffsr", losses={"restoration": {"mask": {"name": "segmentation"}}})

    backbone = stages.baseline.init.extractor
    finals = {
        "srcnn": ("srcnn_apart",),
        "vdsr": ("vdsr_apart",),
        "ae": ("ae_apart",),
        "ffsr": ("ffsr_apart",),
        "ffsr_segmentation": ("ffsr_segmentation_joint",),
        "sing_restorer": ("sing",),
    }
    for name, ends in finals.items():
        shared = {"super_resolution": stages[name].super_resolution, "extractor": "resnet50"}
        fixed = {**shared, "train": ("extractor",), "losses": not_restoring}
        both = from_stages(f"{name}_extractor", f"{name}_extractor")
        if f"{name}_extractor" not in stages:
            add(f"{name}_extractor", "rife", **fixed, init=from_stages(name, backbone))
        for end in ends:
            mask = {"restoration": {"mask": stages[name].losses.restoration.mask.to_dict()}}
            learning = fixed if end.endswith("_apart") else {**shared, "losses": mask}
            add(end, "joint", **learning, init=both)

    stages.sing.losses.restoration.low_only = True
    # SRCNN has no skip connection and diverges within 20 steps at FFSR's rate, so it learns at 1e-4 (Dong et al. 2014).
    stages.sing.optimizer.super_resolution.rate = 1e-4

    _add_csr_gan(add, from_stages, backbone, small)

    for name in ("two_resnet50", "two_resnet50_weighted", "se_resnet50", "densenet121"):
        add(name, "baseline", extractor=name)
    if backbone:
        add("densenet121_start", backbone, extractor="densenet121")
        stages.densenet121.init.extractor = "densenet121_start"


def _add_csr_gan(
    add: Callable[..., None],
    from_stages: Callable[[str, str], dict[str, str]],
    backbone: str,
    small: bool,
) -> None:
    # The full-size rate of 1e-4 is from the authors' code.
    adversarial = {"name": "adam", "rate": 1e-3 if small else 1e-4, "weight_decay": 0.0}
    learned_by = {"super_resolution": adversarial, "discriminator": adversarial}
    alone = {"restoration": {"weight": 0.0}, "csr_gan_pixels": {"weight": 1.0}}
    adversaries = {"weight": 1.0, "discriminator_width": 0.0625 if small else 1.0}
    against = {"restoration": {"weight": 0.0}, "csr_gan": adversaries}
    add(
        "csr_gan_pretrain",
        "ffsr",
        super_resolution="csr_gan",
        losses=alone,
        optimizer=learned_by,
        init=from_stages("", ""),
    )
    add(
        "csr_gan_extractor",
        "rife",
        super_resolution="csr_gan",
        extractor="resnet50",
        init=from_stages("csr_gan_pretrain", backbone),
    )
    add(
        "csr_gan",
        "joint",
        super_resolution="csr_gan",
        extractor="resnet50",
        train=("super_resolution", "discriminator", "extractor"),
        losses=against,
        optimizer=learned_by,
        init=from_stages("csr_gan_extractor", "csr_gan_extractor"),
    )
