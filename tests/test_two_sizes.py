"""The two sizes of every data set: how they are named, and what they are."""

import runpy
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from rireid_jax.components import DATASETS
from rireid_jax.config import (
    base_config,
    dataset_names,
    default_title,
    shorten,
    smaller_argument,
    stage_config,
    validate,
    with_defaults,
)
from rireid_jax.config.base import small_image_size
from rireid_jax.config.datasets import SIZES, parse_dataset, published_training_images
from rireid_jax.errors import UserError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pedestrians", ("pedestrians", "", "small")),
        ("pedestrians,paper", ("pedestrians", "", "paper")),
        ("vr_market1501", ("vr_market1501", "", "paper")),
        ("vr_market1501,small", ("vr_market1501", "", "small")),
        ("mlr_viper/vpfa", ("mlr_viper", "vpfa", "paper")),
        ("mlr_viper/vpfa,small", ("mlr_viper", "vpfa", "small")),
    ],
)
def test_data_set_preset_and_size(name, expected):
    assert parse_dataset(name) == expected
    config = base_config(name)
    assert (config.dataset, config.size) == (expected[0], expected[2])
    assert config.data.recipe.to_dict() == DATASETS[expected[0]].recipe_values(expected[1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder,tiny", "found 'folder,tiny', expected folder,small or folder,paper"),
        ("folder,", "found 'folder,', expected folder,small or folder,paper"),
        ("folder,small,paper", "found 'folder,small,paper', expected folder,small or "),
        ("mlr_viper,small/vpfa", "expected mlr_viper,small or mlr_viper,paper"),
        ("mlr_viper/x,small", "found 'mlr_viper/x', expected mlr_viper/di_reid or "),
        ("small", "found 'small', expected a data set before the size, as in pedestrians,small"),
        ("nosuch,small", "found 'nosuch', expected one of caviar, "),
    ],
)
def test_mistakes(name, message):
    with pytest.raises(UserError) as raised:
        parse_dataset(name)
    assert str(raised.value).startswith("dataset: ")
    assert message in str(raised.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("dataset", dataset_names())
def test_every_config_has_both_sizes(path, dataset):
    get_config = runpy.run_path(str(path))["get_config"]
    default = get_config(dataset)
    assert default.size == ("small" if dataset == "pedestrians" else "paper")
    for size in SIZES:
        config = get_config(f"{dataset},{size}")
        validate(config)
        assert (config.dataset, config.size) == (dataset, size)
        assert (config.to_dict() == default.to_dict()) == (size == default.size)


def test_rows_of_the_tables_take_a_size():
    get_config = runpy.run_path(str(CONFIGS[0].parent / "ablation.py"))["get_config"]
    row = get_config("srcnn,mlr_viper/vpfa,small")
    assert (row.dataset, row.size, row.run[-1]) == ("mlr_viper", "small", "srcnn_apart")
    assert row.data.recipe.jpeg_quality == 75
    assert get_config("srcnn,vr_msmt17").size == "paper"
    assert (
        get_config("vr_msmt17,small").stages.to_dict()
        == get_config("rife,vr_msmt17,small").stages.to_dict()
    )
    with pytest.raises(UserError, match="dataset: found 'small', expected a data set before"):
        get_config("srcnn,small")
    with pytest.raises(UserError, match="expected vr_msmt17,small or vr_msmt17,paper"):
        get_config("srcnn,vr_msmt17,x")


@pytest.mark.parametrize("dataset", dataset_names())
def test_the_small_size_is_small(dataset):
    small, paper = (base_config(f"{dataset},{size}") for size in ("small", "paper"))
    height, width = small.data.image_size
    assert width == 32
    assert height % 4 == width % 4 == 0
    paper_height, paper_width = paper.data.image_size
    assert height * paper_width == width * paper_height
    assert small.natural_images.size == small.data.image_size
    assert small.model.width == 0.25
    assert paper.model.width == 1
    assert sum(small.model.stage_sizes) == 4
    assert small.stages.rife.init.extractor == "backbone"
    assert paper.stages.rife.init.extractor == ""
    assert paper.stages.joint.epochs == 60
    for stage in small.stages.values():
        assert 1 <= stage.epochs <= 36
        assert all(0 < epoch < stage.epochs for epoch in stage.schedule.decay_epochs)
    assert small.stages.baseline.epochs == small.stages.rife.epochs + small.stages.joint.epochs


def test_image_sizes_keep_their_proportions():
    assert small_image_size((256, 128)) == (64, 32)
    assert small_image_size((384, 128)) == (96, 32)
    assert small_image_size((64, 32)) == (64, 32)
    assert small_image_size((48, 16)) == (48, 16)
    assert small_image_size((200, 64)) == (100, 32)
    assert small_image_size((205, 64)) == (104, 32)  # 102.5 is no multiple of 4
    assert small_image_size((8, 512)) == (4, 32)


def test_epochs_of_a_large_data_set_are_fewer_in_proportion():
    """Of VR-MSMT17: 32,621 images of 96x32 are 3.78 times VR-Market1501's 12,936 images of 64x32."""
    assert published_training_images("vr_msmt17,small") == 32_621
    assert published_training_images("mlr_viper") == published_training_images("folder") == 0
    whole, fewer = (base_config(f"{name},small").stages for name in ("vr_market1501", "vr_msmt17"))
    assert whole.to_dict() == base_config("pedestrians").stages.to_dict()
    lengths = {
        # 1,500 natural images, whatever the data set
        "ffsr_pretrain": ((8, (4,)), (8, (4,))),
        "ffsr": ((8, (5,)), (2, (1,))),  # 8 / 3.78 = 2.1
        "backbone": ((10, ()), (3, ())),
        "rife": ((8, ()), (2, ())),
        "joint": ((16, (10,)), (4, (2,))),  # 16 / 3.78 = 4.2, and 10 * 4 / 16 = 2.5
        "baseline": ((24, (18,)), (6, (4,))),  # 18 * 6 / 24 = 4.5
        "strong": ((24, (14, 20)), (6, (4, 5))),
    }
    for name, (expected, expected_fewer) in lengths.items():
        for stages, length in ((whole, expected), (fewer, expected_fewer)):
            assert (stages[name].epochs, stages[name].schedule.decay_epochs) == length, name
    assert fewer.strong.schedule.warmup_epochs == 1


def test_a_stage_keeps_an_epoch():
    stages = ConfigDict({"ffsr": stage_config(epochs=4, schedule={"decay_epochs": (2,)})})
    shorten(stages, ["ffsr"], 0.01)
    assert stages.ffsr.epochs == 1
    assert stages.ffsr.schedule.decay_epochs == (0,)
    assert stages.ffsr.schedule.warmup_epochs == 0


def test_a_work_directory_reopens_at_its_size():
    config = base_config("vr_market1501,small")
    older = ConfigDict(config.to_dict())
    del older.checkpoint["every_steps"], older.model["width"]
    assert with_defaults(older).to_dict() == config.to_dict()


@pytest.mark.parametrize(("dataset", "size"), [("pedestrians", "small"), ("folder", "paper")])
def test_work_directories_from_before_there_were_sizes(dataset, size):
    config = base_config(dataset)
    older = ConfigDict(config.to_dict())
    del older["size"], older.checkpoint["every_steps"]
    assert with_defaults(older).to_dict() == config.to_dict()
    assert config.size == size


def test_an_unknown_size():
    config = base_config()
    config.run, config.size = ("rife",), "tiny"
    assert with_defaults(config) is config
    with pytest.raises(UserError, match=r"^config\.size: found 'tiny', expected one of 'small', "):
        validate(config)


@pytest.mark.parametrize(
    ("argument", "dataset", "title", "smaller"),
    [
        ("", "pedestrians", "pedestrians", ""),
        ("", "pedestrians,paper", "pedestrians-paper", "pedestrians,small"),
        ("pedestrians,paper", "pedestrians,paper", "pedestrians-paper", "pedestrians,small"),
        ("vr_market1501", "vr_market1501", "vr_market1501", "vr_market1501,small"),
        ("vr_market1501,paper", "vr_market1501", "vr_market1501", "vr_market1501,small"),
        ("vr_market1501,small", "vr_market1501,small", "vr_market1501-small", ""),
        ("mlr_viper/vpfa", "mlr_viper/vpfa", "mlr_viper-vpfa", "mlr_viper/vpfa,small"),
        ("srcnn,vr_msmt17,small", "vr_msmt17,small", "srcnn-vr_msmt17-small", ""),
        ("srcnn,vr_msmt17", "vr_msmt17", "srcnn-vr_msmt17", "srcnn,vr_msmt17,small"),
    ],
)
def test_folders_and_the_smaller_size(argument, dataset, title, smaller):
    config = base_config(dataset)
    assert default_title(argument, config) == title
    assert smaller_argument(argument, config) == smaller
