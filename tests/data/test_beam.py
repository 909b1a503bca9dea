"""What can go wrong with a pipeline, in one line."""

import logging

import pytest
from raw_folders import write_viper
from small_recipes import PEDESTRIANS

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build
from rireid_jax.data.datasets.pedestrians import Pedestrians
from rireid_jax.errors import UserError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--runer=DirectRunner", "found '--runer=DirectRunner' without a --runner"),
        ("DirectRunner", "found 'DirectRunner' without a --runner"),
        ("--runner=NoSuchRunner", "found '--runner=NoSuchRunner', expected options"),
    ],
)
def test_wrong_options(options, message, tmp_path):
    with pytest.raises(UserError, match=rf"config\.data\.beam: {message}") as caught:
        build("pedestrians", PEDESTRIANS, data_dir=str(tmp_path), beam=options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*"))


def fail(self, item):
    raise ValueError("the worker's own trouble")


def test_a_failing_pipeline_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(Pedestrians, "make", fail)
    with pytest.raises(
        UserError, match=r"config\.data\.beam: the pipeline of .* failed: "
    ) as caught:
        build("pedestrians", PEDESTRIANS, data_dir=str(tmp_path), beam="--runner=DirectRunner")
    assert "the worker's own trouble" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("options", [{}, {"beam": "--runner=DirectRunner"}])
def test_sizes_are_checked_wherever_images_are_made(options, tmp_path, caplog):
    raw = write_viper(tmp_path / "VIPeR", range(1, 9), size=(64, 24))
    recipe = recipe_of("mlr_viper") | {"train_identities": 4}
    with caplog.at_level(logging.WARNING, logger="rireid_jax"):
        build("mlr_viper", recipe, data_dir=str(tmp_path), raw_dir=str(raw), **options)
    assert "expected 48x128 pixels, found 16 images of another size, first cam_" in caplog.text
