"""From the raw files of every data set, in miniature, through build, training and scoring to results."""

import json
from pathlib import Path

import pytest
from command import TINY
from ml_collections import ConfigDict
from raw_folders import (
    write_caviar,
    write_cuhk03_extracted,
    write_cuhk03_mat,
    write_market_folder,
    write_msmt17,
    write_viper,
)

from rireid_jax.config import base_config
from rireid_jax.config.datasets import dataset_names
from rireid_jax.runs.run import run

# Four people to train on, so that all share one compiled step, and as many to test on.
EIGHT = range(1, 9)
MARKET = "Market-1501-v15.09.15"


def market(folder):
    return write_market_folder(folder / MARKET, EIGHT[:4], EIGHT[4:], cameras=3)


# Case: how to write the download, and the trials to run.
CASES = {
    "caviar": (lambda f: write_caviar(f / "CAVIARa", EIGHT), (0,)),
    "mlr_viper": (lambda f: write_viper(f / "VIPeR", EIGHT), (3,)),
    "mlr_cuhk03": (lambda f: write_cuhk03_mat(f / "cuhk03_release"), (0, 19)),
    "mlr_cuhk03/di_reid": (lambda f: write_cuhk03_extracted(f / "cuhk03"), (7,)),
    "vr_msmt17": (lambda f: write_msmt17(f / "MSMT17_V1"), ()),
    "mlr_market1501/prpr": (market, ()),
}
ELSEWHERE = {
    "vr_market1501": ("conftest.py", "configs/joint.py:vr_market1501,small"),
    "folder": ("test_folder_run.py", "py:folder"),
    "pedestrians": ("test_interruptions.py", "FEW_PEDESTRIANS"),
}


def config_of(name, folder, raw, trials) -> ConfigDict:
    config = base_config(name)
    # The least that restores images and extracts features: FFSR and ResNet50 jointly, from scratch.
    config.run = ("joint",)
    config.stages.joint.extractor = "resnet50"
    config.stages.joint.init.update(super_resolution="", extractor="")
    for field, value in TINY.items():
        *parents, field = field.split(".")
        part = config
        for parent in parents:
            part = part[parent]
        part[field] = eval(value) if isinstance(value, str) else value
    for stage in config.stages.values():
        stage.epochs, stage.schedule.decay_epochs = 1, ()
    config.data.dir = str(folder / "data")
    config.data.raw_dir = str(raw)
    config.data.trials = trials
    recipe = config.data.recipe
    if recipe.get("trial_source") == "random":
        recipe.train_identities = 4
    return config


def test_every_data_set_has_a_case():
    assert {name.partition("/")[0] for name in CASES} | set(ELSEWHERE) == set(dataset_names())
    folder = Path(__file__).parent
    for dataset, (file, words) in ELSEWHERE.items():
        assert words in (folder / file).read_text(), dataset


@pytest.mark.parametrize("name", CASES)
def test_from_raw_files_to_results(name, tmp_path):
    write, trials = CASES[name]
    config = config_of(name, tmp_path, write(tmp_path / "raw"), trials)
    run(config, str(tmp_path / "run"), "train")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    dataset, _, preset = name.partition("/")
    assert results["dataset"] == dataset
    changed = dataset in ("caviar", "mlr_viper")  # trained on four people
    assert results["recipe"] == ("custom" if changed else preset or "default")
    assert results["num_query"] >= 4
    assert 0 <= results["rank1"] <= results["rank5"] <= results["rank20"] <= 1
    assert 0 < results["mAP"] <= 1
    assert sum(b["num_query"] for b in results["by_resolution"]) == results["num_query"]
    assert [trial["split"] for trial in results.get("splits", [])] == list(trials)
    if len(trials) > 1:
        first, second = (trial["rank1"] for trial in results["splits"])
        assert results["rank1"] == pytest.approx((first + second) / 2)
        assert results["rank1_std"] == pytest.approx(abs(first - second) / 2)
    restoration = results["restoration"]
    if dataset == "caviar":  # nobody knows the originals of its queries
        assert restoration["psnr_bilinear"] is None
    else:
        assert 5 < restoration["psnr_bilinear"] < 60
