"""A benchmark with several trials: a run for each, and their mean."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import assert_same_bits, committed, wait_until
from command import TINY, contents, overrides, start, succeed
from ml_collections import ConfigDict
from raw_folders import write_viper

from rireid_jax import Extractor
from rireid_jax.config import base_config, trial_configs
from rireid_jax.errors import UserError
from rireid_jax.evaluation.evaluate import RATES
from rireid_jax.runs.run import run as run_here
from rireid_jax.runs.workdir import claim, read_config

# 24 natural images and 16 crops in batches of 8: 12 and 8 steps.
FIELDS = {
    **TINY,
    "data.recipe.train_identities": 8,
    "run": "('ffsr_pretrain', 'baseline')",
    "baseline": "",
    "stages.ffsr_pretrain.epochs": 4,
    "stages.baseline.epochs": 4,
    "checkpoint.every_steps": 2,
}


@dataclass(frozen=True)
class Runs:
    """Trials 0 and 1 stopped, killed, and resumed with trial 2; and trial 1 alone, undisturbed.

    Attributes:
      workdir: of the former.
      alone: of the latter.
      flags: of both commands, but for the work directory and the trials.
      stopped: how the first command ended, which was asked to stop.
      finished_before: contents of trial 0 when the third command started.
      output: of the third command.
      log: of the third command.
    """

    workdir: Path
    alone: Path
    flags: list[str]
    stopped: subprocess.CompletedProcess[str]
    finished_before: dict[str, tuple[bytes, int]]
    output: str
    log: str

    @property
    def results(self) -> dict[str, Any]:
        return read(self.workdir)


def read(workdir: Path) -> dict[str, Any]:
    return json.loads((workdir / "results.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    folder = tmp_path_factory.mktemp("trials")
    raw = write_viper(folder / "VIPeR", range(16), size=(64, 24))
    flags = [
        "--config=configs/joint.py:mlr_viper",
        f"--config.data.raw_dir={raw}",
        f"--config.data.dir={folder / 'data'}",
        *overrides(FIELDS),
    ]
    workdir, alone = folder / "run", folder / "alone"
    beside = start(*flags, f"--workdir={alone}", "--config.data.trials=(1,)")

    both = [*flags, f"--workdir={workdir}", "--config.data.trials=(0, 1)"]
    process = start(*both)
    wait_until(committed(workdir / "trial0", "ffsr_pretrain", 2), process)
    process.terminate()
    stopped = subprocess.CompletedProcess([], 0, *process.communicate(timeout=60))
    stopped.returncode = process.returncode

    process = start(*both)
    wait_until(committed(workdir / "trial1", "baseline", 2), process)
    process.kill()
    process.communicate(timeout=60)
    assert not committed(workdir / "trial1", "baseline", 8)(), "killed too late to prove anything"
    assert not (workdir / "results.json").exists()
    finished_before = contents(workdir / "trial0")

    result = succeed(*flags, f"--workdir={workdir}", "--config.data.trials=(0, 1, 2)")
    _, stderr = beside.communicate(timeout=600)
    assert beside.returncode == 0, stderr
    return Runs(workdir, alone, flags, stopped, finished_before, result.stdout, result.stderr)


def config_of(runs: Runs, trials: tuple[int, ...]) -> ConfigDict:
    """The config of the command, for other trials."""
    config = read_config(str(runs.workdir))
    config.data.trials = trials
    return config


def test_results_are_mean_and_deviation_of_the_trials(runs):
    results = runs.results
    children = [read(runs.workdir / f"trial{k}") for k in range(3)]
    assert len({child["mAP"] for child in children}) > 1
    for rate in RATES:
        values = [child[rate] for child in children]
        assert results[rate] == pytest.approx(np.mean(values))
        assert results[f"{rate}_std"] == pytest.approx(np.std(values))
    assert results["dataset"] == "mlr_viper"
    assert results["protocol"] == "single_shot"
    assert results["recipe"] == "custom"  # fewer identities
    assert (results["num_query"], results["num_gallery"]) == (8, 8)
    assert (results["stage"], results["step"]) == ("baseline", 8)
    assert results["seconds"] == pytest.approx(sum(child["seconds"] for child in children))
    assert results["config"]["data"]["trials"] == [0, 1, 2]
    assert results["versions"] == children[0]["versions"]
    assert results["baseline"] is results["comparison"] is None
    assert [row["split"] for row in results["splits"]] == [0, 1, 2]
    for row, child in zip(results["splits"], children, strict=True):
        assert row == {"split": child["config"]["data"]["recipe"]["trial"]} | {
            name: child[name] for name in row if name != "split"
        }
    hashes = {results["protocol_hash"], *(child["protocol_hash"] for child in children)}
    assert len(hashes) == 4


def test_every_trial_is_a_whole_run(runs):
    for trial in range(3):
        folder = runs.workdir / f"trial{trial}"
        config = read_config(str(folder))
        assert config.data.trials == (trial,)
        assert config.data.recipe.trial == trial
        for name in ("results.txt", "queries.npz", "metrics.jsonl", "restored.png", "ranked.png"):
            assert (folder / name).exists()
        assert Extractor.from_workdir(folder).extract([]).shape == (0, 256)


def test_table(runs):
    text = (runs.workdir / "results.txt").read_text()
    assert text in runs.output
    assert max(map(len, text.splitlines())) <= 100
    results = runs.results
    shown = f"{100 * results['mAP']:.1f}±{100 * results['mAP_std']:.1f}"
    assert shown in next(line for line in text.splitlines() if line.startswith("baseline "))
    for row in results["splits"]:
        (line,) = (line for line in text.splitlines() if line.endswith(row["protocol_hash"]))
        assert line.split()[0] == str(row["split"])
        assert f" {100 * row['mAP']:.1f} " in line


def test_stopping_stops_the_whole_run(runs):
    assert runs.stopped.returncode == 0, runs.stopped.stderr
    last = runs.stopped.stderr.splitlines()[-1]
    assert last.startswith("trial 0, ffsr_pretrain: stopped at step ")
    assert last.endswith(" of 12, saved; run the same command to go on")


def test_killed_run_goes_on_where_it_was(runs):
    after = contents(runs.workdir / "trial0")
    assert after == runs.finished_before
    assert "trial 0" not in runs.log
    assert "trial 1, 1 of 2" in runs.log
    assert "baseline: resumes at step" in runs.log
    ours, theirs = read(runs.workdir / "trial1"), read(runs.alone / "trial1")
    assert_same_bits(runs.workdir / "trial1", runs.alone / "trial1", "baseline")
    for results in (ours, theirs):
        del results["seconds"], results["config"]["data"]["dir"]
    assert ours == theirs


def test_shared_stage_is_trained_once_to_the_same_bits(runs):
    """Trial 1 alone has trained it, trial 0 too with a break, and the others have taken that over."""
    for trial in range(3):
        assert_same_bits(runs.workdir / f"trial{trial}", runs.alone / "trial1", "ffsr_pretrain")
    taken = f"ffsr_pretrain: the same in every trial, taken from {runs.workdir / 'trial0'}"
    assert runs.log.count(taken) == 1  # trial 1 had taken it before it was killed
    stages = [
        {json.loads(line)["stage"] for line in path.read_text().splitlines()}
        for path in sorted(runs.workdir.glob("trial*/metrics.jsonl"))
    ]
    assert stages == [{"ffsr_pretrain", "baseline"}, {"baseline"}, {"baseline"}]


def test_one_trial_alone(runs):
    results, child = read(runs.alone), read(runs.alone / "trial1")
    for rate in RATES:
        assert results[rate] == child[rate]
        assert results[f"{rate}_std"] is None
    assert "±" not in (runs.alone / "results.txt").read_text()


def test_finished_run_only_reads(runs, capsys):
    before = contents(runs.workdir)
    run_here(config_of(runs, (2, 0, 1)), str(runs.workdir), "train")
    after = contents(runs.workdir)
    assert (runs.workdir / "results.txt").read_text() in capsys.readouterr().out
    rewritten = {name for name in after if after[name] != before[name]}
    assert rewritten == {".lock", "config.json", "results.json", "results.txt"}
    assert json.loads(before["results.json"][0])["splits"] == runs.results["splits"]


@pytest.fixture
def copy(runs, tmp_path) -> Path:
    """A work directory to change."""
    shutil.copytree(runs.workdir, tmp_path / "run")
    return tmp_path / "run"


def mistake(*arguments) -> str:
    with pytest.raises(UserError) as raised:
        run_here(*arguments)
    return str(raised.value)


def test_evaluating_scores_what_is_trained_and_names_the_rest(runs, copy):
    before = contents(copy)
    (copy / "trial2" / "results.json").unlink()
    shutil.rmtree(copy / "trial1" / "checkpoints" / "baseline" / "8")
    message = mistake(config_of(runs, (1, 2, 3)), str(copy), "evaluate")
    assert message == (
        f"config.data.trials: found 1, 3 not trained yet in {copy}, expected only trained ones ('(2,)'); "
        "train first"
    )
    assert not (copy / "trial3").exists()
    after = contents(copy)
    again = read(copy / "trial2")
    for rate in RATES:
        assert again[rate] == pytest.approx(read(runs.workdir / "trial2")[rate])
    # A mean over fewer trials than asked for is none.
    for name in ("results.json", "trial0/results.json", "trial1/results.json"):
        assert after[name] == before[name]
    # And nothing is trained by that.
    trained = {name for name in after if "/checkpoints/" in name and name in before}
    assert {name: after[name] for name in trained} == {name: before[name] for name in trained}


def test_evaluating_before_training(runs, tmp_path):
    config, workdir = config_of(runs, (0, 1)), tmp_path / "run"
    assert mistake(config, str(workdir), "evaluate") == (
        f"{workdir}: found no config.json, expected the work directory of a run"
    )
    claim(str(workdir), config)
    assert mistake(config, str(workdir), "evaluate") == (
        f"config.data.trials: found 0, 1 not trained yet in {workdir}, expected only trained ones; train first"
    )
    assert not list(workdir.glob("trial*"))


def test_build(runs, tmp_path, capsys):
    config = config_of(runs, (2, 5))
    config.data.dir = str(tmp_path / "data")
    run_here(config, str(tmp_path / "run"), "build")
    lines = capsys.readouterr().out.splitlines()
    titles = ["mlr_viper trial 2", "mlr_viper trial 5", "natural_images"]
    assert [line.partition(": ")[0] for line in lines] == titles
    assert len({line.partition("protocol ")[2][:16] for line in lines}) == 3
    assert runs.results["splits"][2]["protocol_hash"] in lines[0]
    assert not (tmp_path / "run").exists()


def test_trial_that_cannot_be_built_is_found_before_training(runs, tmp_path):
    config = config_of(runs, (0, 1))
    file = tmp_path / "trials.json"
    file.write_text(json.dumps([{"train": list(range(8)), "query": list(range(8, 16))}]))
    config.data.recipe.trial_source = str(file)
    message = mistake(config, str(tmp_path / "run"), "train")
    assert message.startswith("config.data.trials: found 1, expected less than 1")
    assert not list((tmp_path / "run").glob("trial*"))


def test_parent_belongs_to_its_config(runs, copy):
    config = config_of(runs, (0, 1, 2))
    config.seed = 1
    message = mistake(config, str(copy), "train")
    assert message.startswith(f"--workdir {copy}: belongs to another config")
    assert "config.seed is 1 here and 0 there" in message


def test_folder_of_a_trial_is_no_work_directory_of_several(runs, copy):
    message = mistake(config_of(runs, (0,)), str(copy / "trial0"), "train")
    assert message == (
        f"--workdir {copy / 'trial0'}: found the run of a single trial, expected the folder above it or "
        "a new one"
    )


def test_extractor_of_several_trials(runs):
    with pytest.raises(UserError) as raised:
        Extractor.from_workdir(runs.workdir)
    assert str(raised.value) == (
        f"{runs.workdir}: found a run over several trials, expected the folder of one of them: "
        "trial0, trial1, trial2 in it"
    )


def test_trial_in_the_recipe(tmp_path):
    config = base_config("mlr_viper")
    config.run = ("rife",)
    config.data.recipe.trial = 3
    assert mistake(config, str(tmp_path / "run"), "train") == (
        "config.data.recipe.trial: found 3, expected 0; choose trials by --config.data.trials='(3,)'"
    )


def test_configs_of_the_trials():
    config = base_config("caviar")
    config.data.trials = (4, 2)
    parts = trial_configs(config)
    assert list(parts) == [2, 4]
    for trial, part in parts.items():
        assert (part.data.recipe.trial, part.data.trials) == (trial, (trial,))
    assert config.data.recipe.trial == 0
    config.data.trials, config.data.recipe.trial = (3,), 3  # as a trial's own config has it
    assert trial_configs(config)[3].to_dict() == config.to_dict()
    assert trial_configs(base_config("pedestrians")) == {}
