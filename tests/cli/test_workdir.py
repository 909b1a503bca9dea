"""Which config a work directory belongs to."""

import json
import shutil

import pytest
from command import error_line, run

from rireid_jax.config import base_config
from rireid_jax.errors import UserError
from rireid_jax.runs.workdir import claim, claim_data, read_config, read_data, read_results


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


def test_splits_may_change_but_not_what_they_are_trained_with(tmp_path):
    asked = base_config("mlr_viper")
    asked.data.splits = (0,)
    claim(str(tmp_path), asked)
    (tmp_path / "split0" / "checkpoints" / "rife" / "20").mkdir(parents=True)
    asked.data.splits = (0, 1)
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


@pytest.mark.parametrize(
    ("dataset", "mode"), [("vr_market1501", "evaluate"), ("natural_images", "train")]
)
def test_other_data_under_the_same_config(whole_run, tmp_path, dataset, mode):
    """As if the files that the config names had become others."""
    workdir = tmp_path / "run"
    shutil.copytree(whole_run.workdir, workdir)
    known = read_data(str(workdir))
    assert known["vr_market1501"] == whole_run.results["protocol_hash"]
    (workdir / "data.json").write_text(json.dumps(known | {dataset: "0123456789abcdef"}))
    line = error_line(run(*whole_run.flags, f"--workdir={workdir}", f"--mode={mode}"))
    assert line.startswith(
        f"--workdir {workdir}: trained on {dataset} of protocol 0123456789abcdef"
    )
