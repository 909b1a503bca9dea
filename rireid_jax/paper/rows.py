"""The systems of the paper's Tables 1 to 3, each a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A system of Tables 1 to 3.

    Attributes:
      stage: the stage of `configs/ablation.py` that its results come from; "" if it is not trained in stages.
      partial: what is missing of its publication, if anything is; such results stand for less than the name.
      claimed: whether a claim of section 5.3 about the whole system rests on it, so that it gets every seed.
      own_backbone: whether it needs ImageNet weights of its own architecture instead of a ResNet50's.
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
    "the resolution of the query, and the originals that its re-identification network learns from as well as from "
    "restored images"
)
_CSR_GAN = (
    "generators, discriminators, thresholds and loss weights are those of the authors' code. Missing: its VGG19, in "
    "place of which the re-identification network's own features serve in two of the losses, with loss weights of "
    "ours; the equations of the publication itself, whose common-human and unique-human losses these two are taken "
    "for; its schedule of 2,100 epochs; and the originals that its re-identification network learns from as well as "
    "from restored images"
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
    # `rireid_jax.paper.systems.scoring` says what is missing of these three.
    "judea": Row(),
    "sld2l": Row(),
    "sdf": Row(),
}
ALIASES: Mapping[str, str] = {"bilinear": "resnet50"}  # Table 1's name for the same system
CLASSICAL = tuple(name for name, row in ROWS.items() if not row.stage)


def seeds_of(row: str, seeds: Sequence[int]) -> Sequence[int]:
    """The seeds that a row is trained with: all of them if claims rest on it, else the first."""
    return seeds if ROWS[row].claimed else seeds[:1]
