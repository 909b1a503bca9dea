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

from rireid_jax.errors import UserError
from rireid_jax.paper.report import make_report
from rireid_jax.paper.row_runs import check_folders, read_rows, train_row

get_config = runpy.run_path(str(ROOT / "configs" / "ablation.py"))["get_config"]
FIELDS = {
    **TINY,
    **FEW_PEDESTRIANS,
    "stages.backbone.epochs": 2,
    "stages.baseline.epochs": 2,
    "stages.se_resnet50.epochs": 1,
    "checkpoint.every_steps": 1,
}


@dataclass(frozen=True)
class Report:
    """What `--mode report` left of ResNet50 and SE-ResNet50; it was stopped in the first and went on.

    Attributes:
      folder: holds everything.
      stopped: log of the command that was stopped.
      had_report: whether it left a report.
      log: of the command that went on.
    """

    folder: Path
    stopped: str
    had_report: bool
    log: str

    @property
    def workdir(self) -> Path:
        return self.folder / "run"


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> Report:
    folder = tmp_path_factory.mktemp("report")
    flags = (
        "--mode=report",
        "--rows=bilinear,se_resnet50",
        "--config=configs/ablation.py",
        f"--config.data.dir={folder / 'data'}",
        f"--workdir={folder / 'run'}",
        *overrides(FIELDS),
    )
    process = start(*flags)
    wait_until(committed(folder / "run" / "resnet50" / "seed0", "backbone", 1), process)
    process.terminate()
    _, stopped = process.communicate(timeout=120)
    assert process.returncode == 0, stopped
    had_report = (folder / "run" / "report").exists()
    return Report(folder, stopped, had_report, succeed(*flags).stderr)


def tiny_config(folder: Path, **fields: object) -> ConfigDict:
    config = get_config()
    for name, value in {**FIELDS, **fields}.items():
        parsed = tuple(json.loads(f"[{value[1:-1]}]")) if isinstance(value, str) else value
        config.update_from_flattened_dict({name: parsed})
    config.data.dir = str(folder / "data")
    return config


def records(report: Report, table: str) -> dict[str, dict[str, str]]:
    with open(report.workdir / "report" / f"{table}.csv") as file:
        return {row["system"]: row for row in csv.DictReader(file)}


def test_a_report_that_is_stopped_within_a_row_goes_on(reported):
    last = reported.stopped.splitlines()[-1]
    assert last.startswith("resnet50, seed 0, ")
    assert last.endswith(" saved; run the same command to go on")
    assert not reported.had_report
    assert "resumes at step" in reported.log


def test_a_finished_row_stays_as_it_is(reported, caplog):
    before = contents(reported.workdir)
    with caplog.at_level("INFO", "rireid_jax"):
        train_row(tiny_config(reported.folder), str(reported.workdir), "se_resnet50", 0)
    assert caplog.messages == ["se_resnet50, seed 0: finished before"]
    assert contents(reported.workdir) == before


def test_what_rows_share_is_trained_once(reported):
    assert "backbone: taken from" in reported.log
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
    found = records(reported, "table3")["SE-ResNet50"]
    low, above, high = (float(found[f"above_baseline{end}"]) for end in ("_low", "", "_high"))
    assert above == pytest.approx(float(found["rank1"]) - results["rank1"])
    assert low <= above <= high
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
    config = tiny_config(reported.folder, **{"stages.baseline.epochs": 3})
    before = contents(reported.workdir)
    message = r"resnet50.seed0: belongs to another config.*epochs is 3.*trained anew"
    with pytest.raises(UserError, match=message):
        make_report(config, str(reported.workdir), ("se_resnet50",), (0,))
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


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds=a", "--mode=report"], "--seeds: found 'a', expected numbers such as 0,1,2"),
        (["--rows=rife"], "--rows: found with --mode train, expected --mode report"),
    ],
)
def test_mistakes(tmp_path, flags, message):
    result = run("--config=configs/ablation.py", f"--workdir={tmp_path / 'run'}", *flags)
    assert only_line(result).startswith(message)
