"""Data sets found by their names: those of the project, and one that this file brings."""

from typing import ClassVar

import numpy as np
import pytest
from small_recipes import PEDESTRIANS

from rireid_jax.components import AT_LEAST_ZERO, DATASETS, POSITIVE, Field
from rireid_jax.config import base_config, recipe_title, validate
from rireid_jax.config.datasets import dataset_names, parse_dataset
from rireid_jax.data.build import build
from rireid_jax.data.dataset import Dataset, Item
from rireid_jax.data.records import Record, encode_png
from rireid_jax.doctor import doctor
from rireid_jax.errors import UserError


class Chequers(Dataset):
    """Two people to train on, two to test on, before two cameras; drawn as a board of two greys."""

    name = "chequers"
    image_size = (32, 16)
    small = True
    recipe: ClassVar = {
        "width": Field(16, "pixels of the widest image", POSITIVE),
        "seed": Field(0, "of nothing", AT_LEAST_ZERO),
    }
    presets: ClassVar = {"wide": {"width": 24}}

    def list_items(self):
        splits = {"train": (1, 2), "query": (3, 4), "gallery": (3, 4)}
        return {
            split: [
                Item(f"{split}/{pid}_{camid}.png", pid, camid, (pid, camid))
                for pid in pids
                for camid in (0, 1)
            ]
            for split, pids in splits.items()
        }

    def greatest_width(self):
        return self.values["width"]

    def make(self, item):
        pid, camid = item.origin
        width = self.width_max // (camid + 1)
        image = encode_png(draw(pid, width))
        resolution = width / self.width_max
        return Record(image, image, b"", item.pid, item.camid, resolution, item.name)


def draw(pid, width):
    y, x = np.indices((2 * width, width))
    return np.repeat((60 * pid + 100 * ((x // 4 + y // 4) % 2))[..., None], 3, -1).astype(np.uint8)


@pytest.fixture(autouse=True)
def only_here():
    """As the decorator would, but other tests expect the project's own data sets alone."""
    DATASETS.register("chequers")(Chequers)
    yield
    del DATASETS._components["chequers"]


def test_a_data_set_of_another_file(tmp_path, capsys):
    config = base_config("chequers/wide")
    config.run = ("rife",)
    validate(config)
    assert config.data.recipe.to_dict() == {"width": 24, "seed": 0}
    assert config.data.trials == ()
    assert recipe_title("chequers", config.data.recipe.to_dict()) == "wide"
    config.data.recipe.width = 0
    with pytest.raises(UserError, match=r"data\.recipe\.width: found 0, expected a number above 0"):
        validate(config)
    config.data.recipe.width, config.data.dir = 24, str(tmp_path)
    built = build("chequers", config.data.recipe.to_dict(), data_dir=str(tmp_path))
    assert built.train_pids == (1, 2)
    assert built.width_max == 24
    record = built.splits["query"][1]
    assert (record.name, record.pid, record.camid, record.resolution) == (
        "query/3_1.png",
        3,
        1,
        0.5,
    )
    assert record.image == encode_png(draw(3, 12))
    doctor(config, [])
    report = capsys.readouterr().out
    assert "chequers, recipe 'wide'" in report
    assert built.protocol_hash in report


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match=r"'pedestrians' is registered by .*pedestrians\.py"):
        DATASETS.register("pedestrians")(Chequers)


def test_names():
    assert all(dataset.name == name for name, dataset in DATASETS.items())
    assert set(DATASETS) - set(dataset_names()) == {"natural_images"}
    for name in ("natural_images", "cifar"):
        with pytest.raises(UserError, match=f"dataset: found '{name}', expected one of caviar, "):
            parse_dataset(name)
    with pytest.raises(
        UserError, match=r"found 'caviar/x', expected caviar/di_reid or caviar/vpfa"
    ):
        parse_dataset("caviar/x")
    with pytest.raises(UserError, match=r"found 'folder/x', expected folder$"):
        parse_dataset("folder/x")


@pytest.mark.parametrize("name", DATASETS)
def test_defaults_and_presets_satisfy_their_checks(name):
    dataset = DATASETS[name]
    for preset in ("", *dataset.presets):
        values = dataset.recipe_values(preset)
        assert set(values) == set(dataset.recipe)
        for field, value in values.items():
            assert not dataset.recipe[field].check.problem(value), field
            assert type(value) is type(dataset.recipe[field].default), field
        assert not list(dataset.problems(values))


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("pedestrians", {"min_width": 32}, [("min_width", "less than width (32)")]),
        ("vr_msmt17", {"max_width": 32}, [("min_width", "less than max_width (32)")]),
        ("folder", {"max_width": 9}, []),
    ],
)
def test_problems_between_fields(name, change, expected):
    values = DATASETS[name].recipe_values() | change
    assert list(DATASETS[name].problems(values)) == expected


@pytest.mark.parametrize(
    ("name", "field", "wrong"),
    [
        ("pedestrians", "kernel", "nearest"),
        ("pedestrians", "cameras", 0),
        ("caviar", "low_camera", "identity"),
        ("caviar", "queries_per_identity", -1),
        ("mlr_viper", "low_camera", "narrower"),
        ("mlr_viper", "ratios", ()),
        ("mlr_viper", "ratios", (2, 2.5)),
        ("mlr_viper", "jpeg_quality", 101),
        ("mlr_viper", "trial", -1),
        ("folder", "test_fraction", 1.0),
        ("natural_images", "size", (30, 32)),
    ],
)
def test_values_that_a_recipe_refuses(name, field, wrong):
    assert DATASETS[name].recipe[field].check.problem(wrong)


def test_small_pedestrians_are_a_recipe():
    assert set(PEDESTRIANS) == set(DATASETS["pedestrians"].recipe)
