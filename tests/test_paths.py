"""Paths mean the same in every flag, field and argument."""

import os

import numpy as np
import pytest
from PIL import Image

from rireid_jax.components import Field, Slot
from rireid_jax.config import base_config, dataset_names, with_paths
from rireid_jax.config.base import base_fields
from rireid_jax.data.files import existing_path
from rireid_jax.data.loader import load_image
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded
from rireid_jax.runs.workdir import claim
from rireid_jax.weights import read_state_dict, write_state_dict


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The user's folder, which is not the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATA", str(tmp_path / "home"))
    monkeypatch.delenv("NOSUCH", raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_what_is_expanded(home):
    for path in ("~/x", "$DATA/x", "${DATA}/x", str(home / "x")):
        assert expanded(path, "flag") == f"{home}/x"
    assert expanded("~", "flag") == str(home)
    for path in ("", "x", "a~b", "./~x", "gs://bucket/~/$NOSUCH", "100$"):
        assert expanded(path, "flag") == path


def test_what_is_there_is_taken_as_it_is(home):
    for name in ("~$lock.png", "a$DATA", "$NOSUCH"):
        (home.parent / "here" / name).touch()
        assert expanded(name, "flag") == name


@pytest.mark.parametrize(
    "path", ["~nosuchuser/x", "$NOSUCH/x", "x/${NOSUCH}", "a\0b", None, 3, b"x"]
)
def test_what_is_no_path(path):
    with pytest.raises(UserError, match=r"^flag: found .*expected (one that exists|a path)"):
        expanded(path, "flag")


def path_fields(fields, prefix=""):
    for name, field in fields.items():
        if isinstance(field, Field):
            if field.path:
                yield prefix + name
        else:
            yield from path_fields(
                field.fields() if isinstance(field, Slot) else field, f"{prefix}{name}."
            )


def test_every_field_that_is_a_path(home):
    names = list(path_fields(base_fields()))
    sources = {"data.raw_dir", "natural_images.raw_dir", "init.backbone", "init.workdir"}
    assert {"data.dir", *sources} == set(names)
    for dataset in dataset_names():
        config = base_config(dataset)
        config.lock()
        config.update_from_flattened_dict(dict.fromkeys(names, "~/x"))
        whole = with_paths(config)
        for name in names:
            section, field = name.split(".")
            assert whole[section][field] == f"{home}/x"
        assert config.data.dir == "~/x"
    config.data.dir = "$NOSUCH/x"
    with pytest.raises(
        UserError, match=r"^config\.data\.dir: found '\$NOSUCH/x' without a variable"
    ):
        with_paths(config)


def test_a_work_directory_of_a_version_that_kept_them(home, tmp_path):
    config = base_config()
    config.init.backbone = "~/weights.pth"
    claim(str(tmp_path / "run"), config)
    (tmp_path / "run" / "checkpoints" / "rife" / "1").mkdir(parents=True)
    claim(str(tmp_path / "run"), with_paths(config))


def test_arguments(home):
    Image.new("RGB", (4, 8)).save(home / "a.png")
    assert load_image("~/a.png", (8, 4))[1] == 4
    assert existing_path("$DATA", "a folder") == home
    write_state_dict("~/a.safetensors", {"x": np.zeros(1, np.float32)})
    assert list(read_state_dict("$DATA/a.safetensors")) == ["x"]
    with pytest.raises(UserError, match="nosuchuser"):
        read_state_dict("~nosuchuser/a.pth")
    assert os.listdir() == []
