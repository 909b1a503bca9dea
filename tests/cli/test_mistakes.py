"""Mistakes in files and folders: one line, exit status 2, and nothing damaged."""

import fcntl
import json
import os
import shutil

import jax
import pytest
from command import TINY, contents, error_line, only_line, overrides, run
from ml_collections import ConfigDict
from raw_folders import write_market_folder

from rireid_jax.config import base_config
from rireid_jax.errors import UserError
from rireid_jax.runs.run import run as run_here
from rireid_jax.runs.workdir import claim, locked, read_data


def market(path, **options):
    return write_market_folder(path, range(1, 3), range(3, 5), size=(32, 16), **options)


@pytest.fixture
def build_flags(tmp_path):
    return (
        "--config=configs/rife.py:vr_market1501",
        f"--config.data.dir={tmp_path / 'data'}",
        *overrides(TINY),
    )


def test_missing_data_folder(build_flags, tmp_path):
    workdir = tmp_path / "run"
    line = only_line(run(*build_flags, f"--workdir={workdir}"))
    assert line == (
        "--config.data.raw_dir: not given, expected the folder Market-1501-v15.09.15 with "
        "bounding_box_train, query and bounding_box_test"
    )
    assert not (workdir / "checkpoints").exists()


def test_corrupt_image(build_flags, tmp_path):
    raw = market(tmp_path / "raw")
    image = sorted((raw / "query").iterdir())[0]
    image.write_bytes(image.read_bytes()[:200])
    line = error_line(run(*build_flags, f"--config.data.raw_dir={raw}", "--mode=build"))
    assert str(image) in line
    assert "expected a readable image" in line
    assert "config.data.max_bad_images allows 0" in line
    assert not list((tmp_path / "data").rglob("*.array_record*"))


def test_work_directory_of_another_config(whole_run, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(whole_run.workdir, workdir)
    before = contents(workdir)
    other = ("--config.stages.rife.epochs=3", "--config.batch_size=16")
    line = only_line(run(*whole_run.flags, f"--workdir={workdir}", *other))
    assert line.startswith(f"--workdir {workdir}: belongs to another config, expected a new one: ")
    assert "config.batch_size is 16 here and 8 there" in line
    assert "config.stages.rife.epochs is 3 here and 6 there" in line
    after = contents(workdir)
    del before[".lock"], after[".lock"]
    assert after == before


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


def tiny_config(data_dir) -> ConfigDict:
    config = base_config("pedestrians")
    config.data.dir = str(data_dir)
    config.data.recipe.update(train_identities=2, test_identities=2, cameras=2, train_shots=1)
    config.data.validation = 0.0
    config.run = ("baseline",)
    config.batch_size = config.eval.batch_size = 16
    return config


def mistake(*arguments) -> str:
    with pytest.raises(UserError) as raised:
        run_here(*arguments)
    return str(raised.value)


def test_evaluating_what_is_not_trained(tmp_path):
    config, workdir = tiny_config(tmp_path / "data"), tmp_path / "run"
    assert mistake(config, str(workdir), "evaluate") == (
        f"{workdir}: found no config.json, expected the work directory of a run"
    )
    assert not workdir.exists()
    claim(str(workdir), config)
    message = mistake(config, str(workdir), "evaluate")
    assert message.startswith(f"{workdir}/checkpoints/baseline: found no readable checkpoint")


def test_starting_from_a_stage_that_is_not_trained(tmp_path):
    config, workdir = tiny_config(tmp_path / "data"), tmp_path / "run"
    config.run = ("joint",)
    message = mistake(config, str(workdir), "train")
    assert message.startswith(f"{workdir}/checkpoints/rife: found no readable checkpoint")


@pytest.mark.parametrize("field", ["batch_size", "eval.batch_size"])
def test_batch_size_that_the_devices_cannot_share(tmp_path, field):
    devices = jax.device_count()
    assert devices > 1
    config = tiny_config(tmp_path / "data")
    config.update_from_flattened_dict({field: devices + 1})
    assert mistake(config, str(tmp_path / "run"), "train") == (
        f"config.{field}: found {devices + 1}, expected a multiple of the {devices} devices"
    )
    assert not (tmp_path / "run").exists()


def test_work_directory_in_use(tmp_path):
    config, workdir = tiny_config(tmp_path / "data"), str(tmp_path / "run")
    with locked(workdir):
        message = mistake(config, workdir, "train")
    assert message == (
        f"--workdir {workdir}: in use by process {os.getpid()}, expected a folder that no other "
        "run uses"
    )
    assert not (tmp_path / "data").exists()


def test_work_directory_that_is_a_file(tmp_path):
    path = tmp_path / "run"
    path.write_text("")
    for workdir in (path, path / "inside"):
        message = mistake(tiny_config(tmp_path / "data"), str(workdir), "train")
        assert message.startswith(f"--workdir {workdir}: ")
        assert message.endswith(", expected a folder to write to")


def test_lock_ends_with_its_holder(tmp_path):
    workdir = str(tmp_path / "run")
    with locked(workdir):
        pass
    with locked(workdir), open(tmp_path / "run" / ".lock") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
