"""`--mode report`: rows trained in folders of their own, and what they share trained once."""

import csv
import json
import runpy
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkpoints import assert_same_bits, committed, wait_until
from command import (
    FEW_PEDESTRIANS,
    ROOT,
    TINY,
    contents,
    only_line,
    overrides,
    run,
    start,
    succeed,
)
from ml_collections import ConfigDict

from rireid_jax.config import base_config, validate
from rireid_jax.errors import UserError
from rireid_jax.paper.classical.scoring import PARTIAL, score
from rireid_jax.paper.report import report
from rireid_jax.paper.rows import CLASSICAL, ROWS
from rireid_jax.paper.training import (
    check_folders,
    obstacle,
    read_rows,
    refuse_different_protocols,
    row_config,
    row_folder,
    row_parts,
    seeds_of,
    train_row,
)
from rireid_jax.runs.trial import build_dataset

get_config = runpy.run_path(str(ROOT / "configs" / "ablation.py"))["get_config"]
FIELDS = {
    **TINY,
    **FEW_PEDESTRIANS,
    "stages.backbone.epochs": 2,
    "stages.baseline.epochs": 4,  # a run asked to stop at any step before has one to stop at
    "stages.se_resnet50.epochs": 1,
}


@dataclass(frozen=True)
class Report:
    """What `--mode report` left of ResNet50 and SE-ResNet50.

    Attributes:
      folder: holds everything.
      log: of the command.
    """

    folder: Path
    log: str

    @property
    def workdir(self) -> Path:
        return self.folder / "run"


def tiny_config(folder: Path, argument: str = "pedestrians", **fields: object) -> ConfigDict:
    config = get_config(argument)
    for name, value in {**FIELDS, **fields}.items():
        parsed = tuple(json.loads(f"[{value[1:-1]}]")) if isinstance(value, str) else value
        config.update_from_flattened_dict({name: parsed})
    config.data.dir = str(folder / "data")
    return config


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> Report:
    folder = tmp_path_factory.mktemp("report")
    result = succeed(
        "--mode=report",
        "--rows=bilinear,se_resnet50",
        "--config=configs/ablation.py",
        f"--config.data.dir={folder / 'data'}",
        f"--workdir={folder / 'run'}",
        *overrides(FIELDS),
    )
    return Report(folder, result.stderr)


def records(report: Report, table: str) -> dict[str, dict[str, str]]:
    with open(report.workdir / "report" / f"{table}.csv") as file:
        return {row["system"]: row for row in csv.DictReader(file)}


def test_a_report_that_is_stopped_within_a_row_goes_on_to_the_same_bits(reported, tmp_path):
    flags = (
        "--mode=report",
        "--rows=resnet50",
        "--config=configs/ablation.py",
        f"--config.data.dir={reported.folder / 'data'}",
        f"--workdir={tmp_path}",
        *overrides(FIELDS),
    )
    process = start(*flags, "--config.checkpoint.every_steps=1")
    wait_until(committed(tmp_path / "resnet50" / "seed0", "backbone", 1), process)
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    last = stderr.splitlines()[-1]
    assert last.startswith("resnet50, seed 0, ")
    assert last.endswith(" saved; run the same command to go on")
    assert not (tmp_path / "report").exists()
    assert "resumes at step" in succeed(*flags).stderr
    for stage in ("backbone", "baseline"):
        assert_same_bits(tmp_path / "resnet50/seed0", reported.workdir / "resnet50/seed0", stage)


def test_a_finished_row_stays_as_it_is(reported, caplog):
    before = contents(reported.workdir)
    with caplog.at_level("INFO", "rireid_jax"):
        train_row(tiny_config(reported.folder), str(reported.workdir), "se_resnet50", 0)
    assert caplog.messages == ["se_resnet50, seed 0: finished before"]
    assert contents(reported.workdir) == before


def test_what_rows_share_is_trained_once(reported):
    assert "backbone: taken from" in reported.log
    assert "backbone: 1 steps" not in reported.log
    folders = [reported.workdir / row / "seed0" for row in ("resnet50", "se_resnet50")]
    assert_same_bits(*folders, "backbone")


def test_tables(reported):
    results = json.loads((reported.workdir / "resnet50/seed0/results.json").read_text())
    assert results["config"]["run"] == ["backbone", "baseline"]
    for table, system in (("table1", "Bilinear"), ("table2", "ResNet50"), ("table3", "ResNet50")):
        found = records(reported, table)[system]
        assert float(found["rank1"]) == results["rank1"]
        assert found["protocol_hash"] == results["protocol_hash"]
        assert found["seeds"] == "0"
    assert records(reported, "table3")["SE-ResNet50"]["rank1"]
    assert records(reported, "table3")["RIFE"]["rank1"] == ""


def test_page_and_figures(reported):
    text = (reported.workdir / "report" / "index.html").read_text()
    assert text.count("data:image/png;base64,") == 2  # Figure 2, and 4 as far as it goes
    assert "not run: ffsr_joint, rife, ffsr_rife" in text
    with open(reported.workdir / "report/figure2/objective.csv") as file:
        measured = [float(row["O"]) for row in csv.DictReader(file)]
    whole = json.loads((reported.workdir / "report" / "report.json").read_text())
    assert whole["objective"].keys() == {"resnet50"}
    equal, varied = whole["objective"]["resnet50"]
    assert (equal, varied) == (measured[::2], measured[1::2])
    assert {claim["verdict"] for claim in whole["claims"]} == {"holds", "not run"}


def test_another_config_is_refused_before_anything_is_trained(reported):
    config = tiny_config(reported.folder, **{"stages.baseline.epochs": 2})
    before = contents(reported.workdir)
    with pytest.raises(
        UserError, match=r"resnet50.seed0: belongs to another config.*epochs is 2.*trained anew"
    ):
        report(config, str(reported.workdir), ("se_resnet50",), (0,))
    after = contents(reported.workdir)
    assert before.keys() == after.keys()
    assert all(before[p] == after[p] for p in before if not p.endswith(".lock"))


def test_results_of_another_config_are_not_read(reported):
    config = tiny_config(reported.folder)
    assert read_rows(config, str(reported.workdir)).keys() == {"resnet50", "se_resnet50"}
    config.eval.bins = (0.0, 1.0)  # of results, not of training
    check_folders(config, str(reported.workdir))
    assert read_rows(config, str(reported.workdir)) == {}
    config.stages.rife.epochs += 1  # of another row
    config.eval.bins = tiny_config(reported.folder).eval.bins
    check_folders(config, str(reported.workdir))
    assert read_rows(config, str(reported.workdir)).keys() == {"resnet50", "se_resnet50"}
    config.init.backbone = "elsewhere.pth"  # SE-ResNet50's file may come with another command
    assert read_rows(config, str(reported.workdir)).keys() == {"se_resnet50"}


def test_different_protocols_are_refused():
    results = {"rife": {0: {"protocol_hash": "a"}}, "resnet50": {0: {"protocol_hash": "b"}}}
    with pytest.raises(UserError, match="different protocols \\(a of rife; b of resnet50\\)"):
        refuse_different_protocols(results)
    results["resnet50"][0]["protocol_hash"] = "a"
    refuse_different_protocols(results)


def test_what_stands_in_the_way_of_a_row(tmp_path):
    config = tiny_config(tmp_path)
    data = build_dataset(config, config.dataset)
    assert all(obstacle(config, row, data, False) == "" for row in ROWS)
    config.init.backbone = "resnet50.pth"
    barred = {row for row in ROWS if obstacle(config, row, data, False)}
    assert barred == {"densenet121", "se_resnet50"}
    assert obstacle(config, "densenet121", data, True) == ""


def test_rows_with_divisions():
    config = get_config("mlr_viper")
    config.data.splits = (3, 5)
    parts = row_parts(config, "w", "ffsr", 7)
    assert [part.folder for part in parts] == ["w/ffsr/seed7/split3", "w/ffsr/seed7/split5"]
    assert [part.config.data.recipe.split for part in parts] == [3, 5]
    assert {part.config.seed for part in parts} == {7}
    assert parts[0].config.run == get_config("ffsr,mlr_viper").run
    assert row_folder("w", "ffsr", 7) == "w/ffsr/seed7"


def test_a_row_has_its_own_stages_alone():
    config = get_config("mlr_viper")
    own = row_config(config, "ffsr", 7)
    assert own.run == get_config("ffsr,mlr_viper").run
    assert dict(own.stages) == {stage: config.stages[stage] for stage in own.run}
    assert row_config(config, "judea", 7).run == ()
    validate(own)


def test_seeds():
    assert seeds_of("rife", (2, 0)) == (2, 0)
    assert seeds_of("vdsr", (2, 0)) == (2,)


@pytest.mark.parametrize("name", ["judea", "sdf"])
def test_classical_systems_are_scored(tmp_path, name):
    fields = {"data.image_size": "(64,32)", "data.recipe.height": 64, "data.recipe.width": 32}
    config = tiny_config(tmp_path, **fields)
    metrics = score(config, name, build_dataset(config, config.dataset))
    assert 0 < metrics["mAP"] <= 1
    assert metrics["num_query"] == 32
    assert set(PARTIAL) == set(CLASSICAL)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows=nosuch", "--mode=report"], "--rows: found 'nosuch', expected some of resnet50, "),
        (["--seeds=a", "--mode=report"], "--seeds: found 'a', expected numbers such as 0,1,2"),
        (["--rows=rife"], "--rows: found with --mode train, expected --mode report"),
    ],
)
def test_mistakes(tmp_path, flags, message):
    result = run("--config=configs/ablation.py", f"--workdir={tmp_path / 'run'}", *flags)
    assert only_line(result).startswith(message)


def test_a_config_without_the_rows_and_a_folder_with_a_run(tmp_path):
    config = tiny_config(tmp_path)
    (tmp_path / "run" / "checkpoints" / "rife" / "20").mkdir(parents=True)
    with pytest.raises(UserError, match="found a run, expected a new folder"):
        report(config, str(tmp_path / "run"), (), (0,))
    with pytest.raises(UserError, match="--seeds: found \\(1, 1\\)"):
        report(config, str(tmp_path / "other"), (), (1, 1))
    config = base_config()
    config.run = ("rife",)
    with pytest.raises(UserError, match=r"expected configs/ablation\.py"):
        report(config, str(tmp_path / "other"), (), (0,))
