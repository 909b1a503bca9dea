"""The figures that publications print for the cross-resolution benchmarks.

Figures are in percent, as printed. The name of a benchmark says little, because one name stands for several ways
of making and scoring it. So every figure comes with the recipe that it was measured on, as far as that is known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# Where figures were read.
SOURCES: Mapping[str, str] = {
    "Table 1": "Mao, Zhang and Yang, Resolution-invariant Person Re-identification, IJCAI 2019, Table 1",
    "Table 2": "the same, Table 2",
    "Table 3": "the same, Table 3",
    "CAD-Net": "Li, Chen, Lin, Du and Wang, Recover and Identify, ICCV 2019, Table 1",
    "PS-HRNet": "Deep High-Resolution Representation Learning for Cross-Resolution Person Re-identification, "
    "arXiv 2105.11722, Table I",
    "RAFT+SWA": "abstract of its paper",
    "DIL": "README of its code (hyk1996/Degradation-Invariant-Re-ID-pytorch)",
    "ISGA-ViT": "README of its code",
}

# Where the methods were published, other than in the paper.
ORIGINS: Mapping[str, str] = {
    "CAD-Net": "ICCV 2019",
    "CSR-GAN": "IJCAI 2018",
    "CamStyle": "CVPR 2018",
    "DIL": "IJCV 2022",
    "DenseNet121": "CVPR 2017",
    "FD-GAN": "NeurIPS 2018",
    "INTACT": "CVPR 2020",
    "JUDEA": "ICCV 2015",
    "PCB": "ECCV 2018",
    "PRI": "ECCV 2020",
    "RAIN": "AAAI 2019",
    "ResNet50": "CVPR 2016",
    "SDF": "IJCAI 2016",
    "SE-ResNet50": "CVPR 2018",
    "SING": "AAAI 2018",
    "SLD2L": "CVPR 2015",
}

# Our data sets, with the names that publications use. PS-HRNet writes MLR-Market-1501.
BENCHMARKS: Mapping[str, str] = {
    "caviar": "CAVIAR",
    "mlr_viper": "MLR-VIPeR",
    "mlr_cuhk03": "MLR-CUHK03",
    "vr_market1501": "VR-Market1501",
    "vr_msmt17": "VR-MSMT17",
    "mlr_market1501": "MLR-Market1501",
}


@dataclass(frozen=True)
class Setting:
    """How the data behind a figure were made and scored.

    Attributes:
      recipe: our recipe that follows the publication, as `DATASET[/PRESET]`, or words.
      comparable: whether our results by that recipe may stand next to the figure, with its caveat.
      caveat: what is not published, or why the figure stands alone.
    """

    recipe: str
    comparable: bool
    caveat: str


@dataclass(frozen=True)
class Result:
    """One method on one benchmark; figures are in percent, None if the source prints none."""

    method: str
    benchmark: str
    rank1: float
    rank5: float | None
    rank10: float | None
    mAP: float | None
    sources: tuple[str, ...]  # keys of SOURCES that print just these figures
    setting: Setting


def _paper(dataset: str, unknown: str) -> Setting:
    return Setting(dataset, True, f"run by the paper's authors; it does not say {unknown}")


_VR_UNKNOWN = (
    "how the widths are distributed in their range, which kernel made the images nor how they were "
    "stored, and the data are no longer offered for download"
)
_RUN = {
    "CAVIAR": _paper(
        "caviar", "which identities were trained on, nor how many images of each the gallery has"
    ),
    "MLR-VIPeR": _paper(
        "mlr_viper", "which camera was low, by which kernel, nor how many trials were averaged"
    ),
    "MLR-CUHK03": _paper(
        "mlr_cuhk03",
        "which camera was low, by which kernel, whose boxes were used, nor how many trials were "
        "averaged",
    ),
    "VR-Market1501": _paper("vr_market1501", _VR_UNKNOWN),
    "VR-MSMT17": _paper("vr_msmt17", _VR_UNKNOWN),
}
_SING_CAVEAT = (
    "taken to be by SING's protocol, which the default recipe follows; camera, kernel and random draws "
    "are not published, and the tables quote one another"
)
_MARKET_RECIPES = (
    "which of the recipes of this name it was measured on is not known; the presets are three of "
    "them, and none was confirmed for this figure"
)
_DUKE = "not built here: DukeMTMC has been withdrawn"
_OTHERS = {
    "CAVIAR": Setting("caviar", True, _SING_CAVEAT),
    "MLR-VIPeR": Setting("mlr_viper", True, _SING_CAVEAT),
    "MLR-CUHK03": Setting("mlr_cuhk03", True, _SING_CAVEAT),
    "MLR-Market1501": Setting("not known", False, _MARKET_RECIPES),
    "MLR-DukeMTMC": Setting("not known", False, _DUKE),
}
_PS_HRNET = {
    **_OTHERS,
    **dict.fromkeys(
        ("CAVIAR", "MLR-VIPeR", "MLR-CUHK03"),
        Setting("its own", False, "its code scores every data set by the market protocol"),
    ),
}
# Not a measurement: six methods have the digits of the paper's other benchmark.
_COPIED = {
    "MLR-Market1501": Setting(
        "vr_market1501, by its digits",
        False,
        "PS-HRNet prints the paper's VR-Market1501 figures, digit by digit, in its column "
        "MLR-Market-1501; these are different data: in VR-Market1501 the gallery is low as well, "
        "8 to 31 pixels wide",
    )
}
_ABSTRACT = Setting("not known", False, "only the abstract was at hand")

# Rank-1/5/10 of a method; "-" if nothing is printed.
_TABLE_1 = """\
method                          VR-MSMT17
bilinear + ResNet50             47.6/66.4
SRCNN + ResNet50                46.7/65.0
VDSR + ResNet50                 48.5/67.7
AE + ResNet50                   48.1/67.1
FFSR, Gaussian mask             49.4/67.8
FFSR, Gaussian mask, joint      52.8/69.0
FFSR, DeeperCut mask, joint     52.9/69.2
"""
_TABLE_2 = """\
method                          VR-MSMT17
ResNet50                        47.6/66.4
two ResNet50                    49.1/68.2
two ResNet50, learned weights   50.4/67.4
RIFE                            53.3/70.1
"""
_TABLE_3_RUN = """\
method       CAVIAR     MLR-VIPeR  MLR-CUHK03  VR-Market1501  VR-MSMT17
FFSR+RIFE    36.4/72.0  41.6/64.9  73.3/92.6   66.9/84.7      55.5/72.4
RIFE         35.7/74.9  33.9/63.6  69.7/91.5   62.6/82.4      53.3/70.1
FFSR         31.1/68.7  40.3/65.3  70.5/92.3   59.2/80.1      52.8/69.0
ResNet50     29.6/64.0  29.9/62.2  67.4/91.7   57.0/78.7      47.6/66.4
DenseNet121  31.1/65.5  31.4/63.1  70.8/91.3   60.0/78.8      51.2/67.4
SE-ResNet50  30.8/65.1  33.5/63.6  70.8/92.3   58.2/78.6      52.3/68.9
SING         -          -          -           60.5/81.8      52.1/68.3
CSR-GAN      -          -          -           59.8/81.3      51.9/67.5
"""
_TABLE_3_QUOTED = """\
method   CAVIAR     MLR-VIPeR  MLR-CUHK03
JUDEA    20.0/60.1  26.0/55.1  26.2/58.0
SLD2L    18.4/44.8  20.3/44.0  -
SDF      14.3/37.5  9.52/38.1  22.2/48.0
SING     33.5/72.7  33.5/57.0  67.7/90.7
CSR-GAN  32.3/70.9  37.2/62.3  70.7/92.1
"""
# PS-HRNet's table repeats CAD-Net's.
_BOTH = """\
method    CAVIAR          MLR-VIPeR       MLR-CUHK03      MLR-Market1501  MLR-DukeMTMC
JUDEA     22.0/60.1/80.8  26.0/55.1/69.2  26.2/58.0/73.4  -               -
SLD2L     18.4/44.8/61.2  20.3/44.0/62.0  -               -               -
SDF       14.3/37.5/62.5  9.3/38.1/52.4   22.2/48.0/64.0  -               -
SING      33.5/72.7/89.0  33.5/57.0/66.5  67.7/90.7/94.7  74.4/87.8/91.6  65.2/80.1/84.8
CSR-GAN   34.7/72.5/87.4  37.2/62.3/71.6  71.3/92.1/97.4  76.4/88.5/91.9  67.6/81.4/85.1
CamStyle  32.1/72.3/85.9  34.4/56.8/66.6  69.1/89.6/93.9  74.5/88.6/93.0  64.0/78.1/84.4
FD-GAN    33.5/71.4/86.5  39.1/62.1/72.5  73.4/93.8/97.9  79.6/91.6/93.5  67.5/82.0/85.3
CAD-Net   42.8/76.2/91.5  43.1/68.2/77.5  82.1/97.4/98.8  83.7/92.7/95.8  75.6/86.7/89.6
"""
_PS_HRNET_TABLE = """\
method      CAVIAR          MLR-VIPeR       MLR-CUHK03      MLR-Market1501  MLR-DukeMTMC
PCB         35.9/72.1/88.6  42.6/65.8/75.9  75.3/92.7/98.1  76.9/88.9/92.4  66.4/82.5/87.1
PyrNet      43.6/79.2/90.4  -               83.9/97.1/98.5  83.8/93.3/95.6  79.6/88.1/91.2
RAIN        42.0/77.3/89.6  42.5/68.3/79.6  78.9/97.3/98.7  -               -
CAD-Net++   43.1/76.5/92.3  43.4/68.7/78.2  83.4/98.1/99.1  84.1/93.0/96.2  77.2/88.1/90.4
INTACT      44.0/81.8/93.9  46.2/73.1/81.6  86.4/97.4/98.5  88.1/95.0/96.9  81.2/90.1/92.8
PRI         43.2/78.5/91.9  -               85.2/97.5/98.8  84.9/93.5/96.1  78.3/87.5/91.4
PCB+PRI     44.3/83.7/94.8  -               86.2/97.9/99.1  88.1/94.2/96.5  81.6/89.6/92.4
PyrNet+PRI  45.2/84.1/94.6  -               86.5/97.7/99.1  86.9/93.8/96.4  82.1/91.1/92.8
"""
_PS_HRNET_OWN = """\
method                  CAVIAR          MLR-VIPeR       MLR-CUHK03      MLR-Market1501  MLR-DukeMTMC
PS-HRNet                -               48.7/73.4/81.7  92.6/98.3/99.4  91.5/96.7/97.9  82.3/90.5/92.8
PS-HRNet, ID + SR only  48.2/84.5/96.3  -               -               -               -
"""
_PS_HRNET_COPIED = """\
method       MLR-Market1501
FFSR+RIFE    66.9/84.7
RIFE         62.6/82.4
FFSR         59.2/80.1
ResNet50     57.0/78.7
DenseNet121  60.0/78.8
SE-ResNet50  58.2/78.6
"""


def _read(table: str, settings: Mapping[str, Setting], *sources: str) -> Iterator[Result]:
    """Reads the results in a table whose columns are two or more spaces apart."""
    header, *rows = ([cell for cell in line.split("  ") if cell] for line in table.splitlines())
    for method, *cells in rows:
        for benchmark, cell in zip(header[1:], cells, strict=True):
            benchmark = benchmark.strip()
            if cell.strip() != "-":
                rank1, rank5, *rest = map(float, cell.split("/"))
                rank10 = rest[0] if rest else None
                yield Result(
                    method, benchmark, rank1, rank5, rank10, None, sources, settings[benchmark]
                )


# The paper's first.
RESULTS: tuple[Result, ...] = (
    *_read(_TABLE_3_RUN, _RUN, "Table 3"),
    *_read(_TABLE_1, _RUN, "Table 1"),
    *_read(_TABLE_2, _RUN, "Table 2"),
    *_read(_TABLE_3_QUOTED, _OTHERS, "Table 3"),
    *_read(_BOTH, _OTHERS, "CAD-Net", "PS-HRNet"),
    *_read(_PS_HRNET_TABLE, _OTHERS, "PS-HRNet"),
    *_read(_PS_HRNET_OWN, _PS_HRNET, "PS-HRNet"),
    *_read(_PS_HRNET_COPIED, _COPIED, "PS-HRNet"),
    Result("RAFT+SWA", "CAVIAR", 43.3, None, None, None, ("RAFT+SWA",), _ABSTRACT),
    Result("RAFT+SWA", "MLR-CUHK03", 83.2, None, None, None, ("RAFT+SWA",), _ABSTRACT),
    Result(
        "DIL",
        "MLR-CUHK03",
        91.8,
        98.6,
        99.3,
        94.8,
        ("DIL",),
        Setting(
            "mlr_cuhk03/di_reid",
            True,
            "on trials that come as files with its code, which `trial_source` reads; its kernel is "
            "not published, and its mAP is of the drawn galleries, ours of the whole one",
        ),
    ),
    Result(
        "ISGA-ViT",
        "MLR-CUHK03",
        91.9,
        None,
        None,
        87.2,
        ("ISGA-ViT",),
        Setting("its own", False, "trained jointly on several data sets"),
    ),
)
