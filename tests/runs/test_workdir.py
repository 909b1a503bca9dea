"""Which config a work directory belongs to."""

import json
import sys

import pytest

from rireid_jax import Extractor
from rireid_jax.config import base_config
from rireid_jax.errors import UserError
from rireid_jax.runs.workdir import (
    claim,
    claim_data,
    read_config,
    read_data,
    read_results,
    trial_folders,
)


def config():
    config = base_config("pedestrians")
    config.run = ("rife", "baseline")
    config.baseline = "baseline"
    return config


def train_something(workdir):
    (workdir / "checkpoints" / "rife" / "20").mkdir(parents=True)


def test_config_survives_the_round_trip(tmp_path):
    claim(str(tmp_path), config())
    assert read_config(str(tmp_path)).to_dict() == config().to_dict()
    train_something(tmp_path)
    claim(str(tmp_path), config())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", 1),
        ("data.image_size", (128, 64)),
        ("data.recipe.seed", 1),
        ("data.validation", 0.2),
        ("stages.rife.epochs", 99),
        ("model.width", 1.0),
    ],
)
def test_what_the_numbers_depend_on_must_not_change(tmp_path, field, value):
    claim(str(tmp_path), config())
    train_something(tmp_path)
    other = config()
    other.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=rf"config\.{field} is .* here and .* there"):
        claim(str(tmp_path), other)
    assert read_config(str(tmp_path)).to_dict() == config().to_dict()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data.dir", "elsewhere"),
        ("data.raw_dir", "elsewhere"),
        ("data.workers", 2),
        ("data.build_threads", 2),
        ("data.beam", "--runner=DirectRunner"),
        ("parallel", "shard_map"),
        ("eval.batch_size", 64),
        ("eval.split", "validation"),
        ("checkpoint.every_steps", 7),
        ("log_every", 1),
        ("run", ("rife",)),
        ("baseline", ""),
    ],
)
def test_what_they_do_not_depend_on_may(tmp_path, field, value):
    claim(str(tmp_path), config())
    train_something(tmp_path)
    other = config()
    other.update_from_flattened_dict({field: value})
    claim(str(tmp_path), other)
    assert read_config(str(tmp_path)).to_dict() == other.to_dict()


def test_trials_may_change_but_not_what_they_are_trained_with(tmp_path):
    asked = base_config("mlr_viper")
    asked.data.trials = (0,)
    claim(str(tmp_path), asked)
    (tmp_path / "trial0" / "checkpoints" / "rife" / "20").mkdir(parents=True)
    asked.data.trials = (0, 1)
    claim(str(tmp_path), asked)
    asked.seed = 1
    with pytest.raises(UserError, match=r"config\.seed is 1 here and 0 there$"):
        claim(str(tmp_path), asked)


def test_only_a_few_differences_are_shown(tmp_path):
    claim(str(tmp_path), config())
    train_something(tmp_path)
    other = base_config("vr_market1501")
    with pytest.raises(UserError) as raised:
        claim(str(tmp_path), other)
    assert str(raised.value).count(" here and ") == 5
    assert str(raised.value).endswith("; ...")


def test_a_folder_without_checkpoints_is_free(tmp_path):
    """A run that fails before it trains must not bind the folder to its mistakes."""
    claim(str(tmp_path), config())
    other = config()
    other.seed = 1
    claim(str(tmp_path), other)
    assert read_config(str(tmp_path)).seed == 1


def test_run_of_an_older_version(tmp_path):
    """Whether it was of one trial or of several, whose folders had another name."""
    old = {"dataset": "mlr_viper", "data": {"splits": [0]}, "loss": {"beta": 0.1}}
    (tmp_path / "config.json").write_text(json.dumps(old))
    (tmp_path / "split0" / "checkpoints" / "rife" / "20").mkdir(parents=True)
    expected = (
        rf"{tmp_path}: found the run of an older version \(config.data.splits is now "
        r"config.data.trials\), .* train again in a new --workdir, or use version 99a42b3"
    )
    for read in (read_config, Extractor.from_workdir, lambda path: claim(path, config())):
        with pytest.raises(UserError, match=expected):
            read(str(tmp_path))


def test_an_older_config_means_what_its_version_did(tmp_path):
    claim(str(tmp_path), config())
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    del stored["data"]["validation"], stored["eval"]["normalise"]
    del stored["model"]["gate_input"], stored["model"]["gate_losses"]
    path.write_text(json.dumps(stored))
    read = read_config(str(tmp_path))
    assert (read.data.validation, read.eval.normalise) == (0.0, False)
    assert (read.model.gate_input, read.model.gate_losses) == ("maps", "all")


def test_config_names_modules_and_lacks_what_came_later(tmp_path, monkeypatch):
    (tmp_path / "imported_with_the_run.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    mine = config()
    mine.imports = ("imported_with_the_run",)
    claim(str(tmp_path), mine)
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    del stored["profile"], stored["stages"]["rife"]["schedule"]
    path.write_text(json.dumps(stored))
    assert read_config(str(tmp_path)).to_dict() == mine.to_dict()
    assert "imported_with_the_run" in sys.modules
    path.write_text(json.dumps({**stored, "imports": ["no_such_components"]}))
    with pytest.raises(UserError, match=r"config\.imports: found no module 'no_such_components'"):
        read_config(str(tmp_path))


def test_a_run_of_a_version_without_the_field_held_nobody_out(tmp_path):
    claim(str(tmp_path), config())
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    assert stored["data"].pop("validation") == 0.1
    path.write_text(json.dumps(stored))
    assert read_config(str(tmp_path)).data.validation == 0.0


def test_no_run(tmp_path):
    with pytest.raises(UserError, match=r"found no config\.json, expected the work directory"):
        read_config(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "no JSON"), (b"{", "no JSON"), (b"\xff", "no JSON"), (b"[]", "list")],
)
def test_damaged_files(tmp_path, content, found):
    for name in ("config.json", "data.json", "results.json"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"config\.json: found {found}.*, expected a run's config"):
        read_config(str(tmp_path))
    with pytest.raises(UserError, match=rf"data\.json: found {found}.*, expected what the run"):
        read_data(str(tmp_path))
    assert read_results(str(tmp_path), config()) is None


def test_data_of_a_folder(tmp_path):
    workdir = str(tmp_path / "run")
    claim_data(workdir, {"folder": "a"})
    claim_data(workdir, {"folder": "b"})  # nothing has been trained yet
    claim_data(workdir, {"natural_images": "c"})
    assert read_data(workdir) == {"folder": "b", "natural_images": "c"}
    (tmp_path / "run" / "checkpoints" / "rife" / "20").mkdir(parents=True)
    claim_data(workdir, {"folder": "b"})
    with pytest.raises(UserError, match="trained on folder of protocol b, found protocol d"):
        claim_data(workdir, {"folder": "d"})
    assert read_data(workdir) == {"folder": "b", "natural_images": "c"}


def test_trial_folders(tmp_path):
    for name in ("trial10", "trial9", "trial0", "trial01", "trials", "trial-1", "x"):
        (tmp_path / name).mkdir()
    assert trial_folders(str(tmp_path)) == [str(tmp_path / f"trial{k}") for k in (0, 9, 10)]
    assert trial_folders(str(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("data.workers", 3, True),
        ("data.build_threads", 3, True),
        ("log_every", 7, True),
        ("eval.bins", (0.0, 1.0), False),
        ("run", ("rife",), False),
        ("seed", 1, False),
    ],
)
def test_results_of_the_same_config_are_read(tmp_path, field, value, same):
    config = base_config("mlr_viper")
    config.run = ("rife", "baseline")
    assert read_results(str(tmp_path), config) is None
    results = {"rank1": 0.5, "config": config.to_dict()}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert read_results(str(tmp_path), config)["rank1"] == 0.5
    config.update_from_flattened_dict({field: value})
    assert (read_results(str(tmp_path), config) is not None) is same
