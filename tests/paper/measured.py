"""Results of some rows, as a report reads them, and the config that they come from."""

import runpy
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from rireid_jax.evaluation.scoring import Outcomes
from rireid_jax.paper.complexity import Complexity
from rireid_jax.paper.tables import Data, System

PEDESTRIANS = Data("pedestrians", "default", (64, 32))


def result(rank1: float) -> dict:
    return {"rank1": rank1, "rank5": 0.75, "mAP": 0.5, "protocol_hash": "abc"}


def outcomes(rank1: float) -> list[Outcomes]:
    """Those of 8 queries of 8 people, each of whom has this Rank-1: only seeds make a difference uncertain."""
    values = np.full(8, rank1)
    return [Outcomes(np.arange(8), np.ones(8, np.float32), values, values)]


def measured(*rank1: float, **fields: object) -> System:
    """A system with these Rank-1 for seed 0, 1, ..."""
    seeds = dict(enumerate(rank1))
    return System(
        {seed: result(rate) for seed, rate in seeds.items()},
        {seed: outcomes(rate) for seed, rate in seeds.items()},
        **fields,
    )


VDSR = Complexity(32_785_000_000, 40_000_000_000, 12_300_000, 4_560_000)
FFSR = Complexity(3_713_500_000, 7_700_000_000, 1_100_000, 210_000)
SYSTEMS = {
    "resnet50": measured(0.25, 0.5),
    "ffsr_joint": measured(0.5, 0.625, complexity=FFSR),
    "rife": measured(0.5, 0.25),
    "sing": measured(0.125, partial="less than SING."),
    "vdsr": System(complexity=VDSR),
    "ffsr_segmentation_joint": System(missing="the data set stores no masks"),
}


get_config = runpy.run_path(str(Path(__file__).parents[2] / "configs" / "ablation.py"))[
    "get_config"
]


def few_pedestrians(folder: Path) -> ConfigDict:
    """`configs/ablation.py` on a data set that is built in a second, in a folder."""
    config = get_config()
    config.data.dir = str(folder / "data")
    few = {"train_identities": 8, "test_identities": 8, "cameras": 2, "train_shots": 1}
    config.data.recipe.update(few)
    config.data.validation = 0.0
    return config
