"""The rows of the paper's Tables 1 to 3: what each is here, and what is printed of it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A system of Tables 1 to 3.

    Attributes:
      stage: of `configs/ablation.py` that its results are about; "" where it is not trained in stages.
      partial: what of its publication is missing, if anything is; such results stand for less than the name.
      claimed: whether a claim of section 5.3 on the whole system rests on it, so that it gets every seed.
      own_backbone: whether ImageNet weights of a ResNet50 are not for it, only those of its own architecture.
      needs_masks: whether it learns from masks stored with the images.
    """

    stage: str = ""
    partial: str = ""
    claimed: bool = False
    own_backbone: bool = False
    needs_masks: bool = False


_SING = (
    "its super-resolution network, SRCNN 9-5-5 on luminance, and re-identification are trained jointly with both "
    "losses, that of super-resolution on low images alone. Missing: its re-identification network (ResNet50 stands in, "
    "on our schedule), a whole network for each of the ratios 2, 3 and 4, the fusion of their distances that adapts to "
    "the resolution of the query, and the originals that its re-identification network learns from beside what is "
    "restored"
)
_CSR_GAN = (
    "generators, discriminators, thresholds and weights are those of the authors' code. Missing: its VGG19, whose "
    "features the re-identification network's own stand in for in two of the losses, with weights of ours; "
    "the equations of the publication itself, whose common-human and unique-human losses these two are taken for; "
    "its schedule of 2,100 epochs; and the originals that its re-identification network learns from beside the "
    "restored images"
)
# By the name that `--rows` and `configs/ablation.py:ROW` take, in the order in which they are trained.
ROWS: Mapping[str, Row] = {
    "resnet50": Row("baseline", claimed=True),
    "rife": Row("rife_alone", claimed=True),
    "ffsr_joint": Row("ffsr_joint", claimed=True),
    "ffsr_rife": Row("joint", claimed=True),
    "ffsr": Row("ffsr_apart"),
    "ae": Row("ae_apart"),
    "srcnn": Row("srcnn_apart"),
    "vdsr": Row("vdsr_apart"),
    "ffsr_segmentation_joint": Row("ffsr_segmentation_joint", needs_masks=True),
    "two_resnet50": Row("two_resnet50"),
    "two_resnet50_weighted": Row("two_resnet50_weighted"),
    "densenet121": Row("densenet121", own_backbone=True),
    "se_resnet50": Row("se_resnet50", own_backbone=True),
    "sing": Row("sing", partial=_SING),
    "csr_gan": Row("csr_gan", partial=_CSR_GAN),
    # What is missing of these three, `rireid_jax.paper.classical` says.
    "judea": Row(),
    "sld2l": Row(),
    "sdf": Row(),
}
ALIASES: Mapping[str, str] = {"bilinear": "resnet50"}  # Table 1's name of the same system
CLASSICAL = tuple(name for name, row in ROWS.items() if not row.stage)


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes:
      title: as it is shown.
      row: key of `ROWS`.
      published: its name among `published.RESULTS`.
      macs: G, that the paper prints; 0 where it prints none.
      note: on what is printed or missing.
    """

    title: str
    row: str
    published: str
    macs: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Table:
    """One of the paper's tables.

    Attributes:
      title: what it compares.
      source: key of `published.SOURCES`.
      lines: in the paper's order.
      of_restorer: whether multiply-accumulates at 384x128 are of super-resolution alone, as in Table 1.
    """

    title: str
    source: str
    lines: tuple[Line, ...]
    of_restorer: bool = False


_SRCNN = (
    "no standard SRCNN has the printed 2.53: kernels 9-1-5 as here have 0.98 at 384x128, and neither 9-3-5 nor "
    "9-5-5 has it either"
)
TABLES: Mapping[str, Table] = {
    "table1": Table(
        "Super-resolution before ResNet50",
        "Table 1",
        (
            Line("Bilinear", "resnet50", "bilinear + ResNet50"),
            Line("SRCNN", "srcnn", "SRCNN + ResNet50", 2.53, _SRCNN),
            Line("VDSR", "vdsr", "VDSR + ResNet50", 32.79),
            Line("AE", "ae", "AE + ResNet50", 3.71),
            Line("FFSR, Gaussian mask", "ffsr", "FFSR, Gaussian mask", 3.71),
            Line("FFSR, Gaussian mask, joint", "ffsr_joint", "FFSR, Gaussian mask, joint", 3.71),
            Line(
                "FFSR, segmented mask, joint",
                "ffsr_segmentation_joint",
                "FFSR, DeeperCut mask, joint",
                3.71,
                "the paper's masks are DeeperCut's, here those stored with the data",
            ),
        ),
        of_restorer=True,
    ),
    "table2": Table(
        "Feature extractors on bilinear images",
        "Table 2",
        (
            Line("ResNet50", "resnet50", "ResNet50"),
            Line("two ResNet50", "two_resnet50", "two ResNet50"),
            Line(
                "two ResNet50, learned weights",
                "two_resnet50_weighted",
                "two ResNet50, learned weights",
            ),
            Line("RIFE", "rife", "RIFE"),
        ),
    ),
    "table3": Table(
        "Comparison with recent works",
        "Table 3",
        (
            Line("DenseNet121", "densenet121", "DenseNet121"),
            Line("SE-ResNet50", "se_resnet50", "SE-ResNet50"),
            Line("JUDEA", "judea", "JUDEA"),
            Line("SLD2L", "sld2l", "SLD2L"),
            Line("SDF", "sdf", "SDF"),
            Line("SING", "sing", "SING"),
            Line("CSR-GAN", "csr_gan", "CSR-GAN"),
            Line("ResNet50", "resnet50", "ResNet50"),
            Line("FFSR", "ffsr_joint", "FFSR"),
            Line("RIFE", "rife", "RIFE"),
            Line("FFSR+RIFE", "ffsr_rife", "FFSR+RIFE"),
        ),
    ),
}
