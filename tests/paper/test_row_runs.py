"""The configs and folders of the rows' runs, and what can stand in their way."""

from pathlib import Path

import numpy as np
import pytest
from measured import few_pedestrians, get_config
from raw_folders import write_viper

from rireid_jax.config import base_config, validate
from rireid_jax.errors import UserError
from rireid_jax.paper.report import make_report
from rireid_jax.paper.row_runs import (
    obstacle,
    read_outcomes,
    read_rows,
    refuse_different_protocols,
    row_config,
    row_parts,
    train_row,
)
from rireid_jax.paper.rows import CLASSICAL, ROWS
from rireid_jax.paper.systems.scoring import PARTIAL, score
from rireid_jax.runs.trial import build_dataset


def test_every_trial_is_a_part():
    config = get_config("mlr_viper")
    config.data.trials = (3, 5)
    parts = row_parts(config, "w", "ffsr", 7)
    assert [part.folder for part in parts] == ["w/ffsr/seed7/trial3", "w/ffsr/seed7/trial5"]
    assert [part.config.data.recipe.trial for part in parts] == [3, 5]
    assert {part.config.seed for part in parts} == {7}


def test_a_row_has_its_own_stages_alone():
    config = get_config("mlr_viper")
    own = row_config(config, "ffsr", 7)
    assert own.run == get_config("ffsr,mlr_viper").run
    assert dict(own.stages) == {stage: config.stages[stage] for stage in own.run}
    assert row_config(config, "judea", 7).run == ()
    validate(own)


def test_obstacles_and_classical_systems(tmp_path):
    config = few_pedestrians(tmp_path)
    data = build_dataset(config, config.dataset)
    assert all(obstacle(config, row, data, False) == "" for row in ROWS)
    config.init.backbone = "resnet50.pth"
    barred = {row for row in ROWS if obstacle(config, row, data, False)}
    assert barred == {"densenet121", "se_resnet50"}
    assert obstacle(config, "densenet121", data, True) == ""

    assert set(PARTIAL) == set(CLASSICAL)
    metrics, found = score(config, "judea", data)
    assert metrics["rank1"] == np.nanmean(found.rank1)
    assert metrics["mAP"] == pytest.approx(np.nanmean(found.average_precision))
    assert 0 < metrics["mAP"] <= 1
    assert metrics["num_query"] == 32


@pytest.mark.parametrize("trials", [(), (0, 1)])
def test_outcomes_of_rows_and_seeds(tmp_path, trials):
    config = few_pedestrians(tmp_path)
    if trials:
        config = get_config("mlr_viper")
        config.data.raw_dir = str(write_viper(tmp_path / "VIPeR", range(40)))
        config.data.dir = str(tmp_path / "data")
        config.data.recipe.train_identities = 20
        config.data.image_size = (64, 24)
        config.data.trials = trials
    workdir = str(tmp_path / "run")
    train_row(config, workdir, "judea", 3)
    results = read_rows(config, workdir)
    found = read_outcomes(config, workdir, results)["judea"][3]
    assert len(found) == max(len(trials), 1)
    rates = [np.nanmean(trial.rank1) for trial in found]
    assert results["judea"][3]["rank1"] == pytest.approx(np.mean(rates))
    assert results["judea"][3]["comparison"] is None
    # An older version wrote none.
    next(Path(workdir).rglob("queries.npz")).unlink()
    assert read_outcomes(config, workdir, results) == {}


def test_different_protocols_are_refused():
    results = {"rife": {0: {"protocol_hash": "a"}}, "resnet50": {0: {"protocol_hash": "b"}}}
    with pytest.raises(UserError, match="different protocols \\(a of rife; b of resnet50\\)"):
        refuse_different_protocols(results)
    results["resnet50"][0]["protocol_hash"] = "a"
    refuse_different_protocols(results)


def test_mistakes_of_a_report(tmp_path):
    config = get_config()
    (tmp_path / "run" / "checkpoints" / "rife" / "20").mkdir(parents=True)
    other = base_config()
    other.run = ("rife",)
    for given, folder, rows, seeds, message in (
        (config, "run", (), (0,), "found a run, expected a new folder"),
        (config, "new", ("nosuch",), (0,), "--rows: found 'nosuch', expected some of resnet50, "),
        (config, "new", (), (1, 1), "--seeds: found \\(1, 1\\)"),
        (other, "new", (), (0,), r"expected configs/ablation\.py"),
    ):
        with pytest.raises(UserError, match=message):
            make_report(given, str(tmp_path / folder), rows, seeds)
    with pytest.raises(UserError, match="found an object store, expected a local folder"):
        make_report(config, "gs://bucket/run", (), (0,))
