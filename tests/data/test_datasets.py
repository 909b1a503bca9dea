"""The data sets of the project by their names, and what their recipes refuse."""

import pytest

from rireid_jax.components import DATASETS
from rireid_jax.config.datasets import dataset_names, parse_dataset
from rireid_jax.errors import UserError


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
        ("caviar", "low_camera", "identity"),
        ("caviar", "queries_per_identity", -1),
        ("mlr_viper", "low_camera", "narrower"),
        ("mlr_viper", "ratios", ()),
        ("mlr_viper", "ratios", (2, 2.5)),
        ("mlr_viper", "jpeg_quality", 101),
        ("mlr_viper", "trial", -1),
        ("folder", "test_fraction", 1.0),
    ],
)
def test_values_that_a_recipe_refuses(name, field, wrong):
    assert DATASETS[name].recipe[field].check.problem(wrong)
