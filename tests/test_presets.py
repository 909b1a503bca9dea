"""What names the recipes: hashes that stay, titles, and which fields have an effect.

A hash pins every value that has an effect. docs/benchmarks.md tells all values and where each is from.
"""

import pytest

from rireid_jax.components import DATASETS
from rireid_jax.config import effective_recipe, recipe_of, recipe_title
from rireid_jax.data.records import ProtocolHash, recipe_hash

# Hashes without records, as they were at commit 99a42b3: data and results are filed under them.
HASHES = {
    "caviar": "7c192f327a9cd6c9",
    "caviar/di_reid": "648c39b81c347df6",
    "caviar/vpfa": "8fd8364a90e2b12b",
    "folder": "bbf62316388c7e74",
    "mlr_cuhk03": "d99f3c1509463915",
    "mlr_cuhk03/di_reid": "a655e12db9db465c",
    "mlr_cuhk03/vpfa": "1a355c5806b400ed",
    "mlr_market1501": "748870a17008c704",
    "mlr_market1501/mdiff": "0649f84e72ead26a",
    "mlr_market1501/prpr": "0f156e705690ffe2",
    "mlr_market1501/vpfa": "27b6034dd36180ce",
    "mlr_viper": "99ce82afc19efd97",
    "mlr_viper/di_reid": "c9d9afbc245758ee",
    "mlr_viper/vpfa": "ddde7e43da05fde0",
    "pedestrians": "5bf848d8f6bc958d",
    "vr_market1501": "2941dba6cd713a32",
    "vr_msmt17": "c31b38b64572f7f0",
}
OF_TRIAL_3 = {
    "caviar": "aaa4ad58c6f43031",
    "caviar/vpfa": "8ba9c4b298905350",
    "mlr_viper": "cadd3502a300ce4c",
    "mlr_cuhk03": "6d0704eef35eb6a3",
    "mlr_cuhk03/vpfa": "3cd0606bb68e46e8",
}
OF_NATURAL_IMAGES = {
    (1500, (64, 32), "/photos"): "9f3769884e9a3e5f",
    (1500, (64, 32), ""): "9a212bdfba94082a",
    (20_000, (256, 128), "/photos"): "4455383004ffbaf7",
    (20_000, (256, 128), ""): "8b69d4fbffea2544",
}


def test_hashes_stay():
    for hashes, change in ((HASHES, {}), (OF_TRIAL_3, {"trial": 3})):
        for name, expected in hashes.items():
            dataset = name.partition("/")[0]
            recipe = effective_recipe(dataset, recipe_of(name) | change)
            assert ProtocolHash(dataset, recipe).hexdigest() == expected, name
            assert recipe_hash(dataset, recipe) == expected[:8]  # the folder's name
    for (count, size, raw_dir), expected in OF_NATURAL_IMAGES.items():
        recipe = dict(count=count, size=size, seed=0)
        hashed = DATASETS["natural_images"](recipe, raw_dir).hashed_recipe()
        assert ProtocolHash("natural_images", hashed).hexdigest() == expected
    presets = {f"{name}/{preset}" for name in DATASETS for preset in DATASETS[name].presets}
    assert set(HASHES) == {*DATASETS, *presets} - {"natural_images"}


def test_defaults_that_no_hash_holds():
    """No preset gives them an effect; a recipe of one's own may."""
    recipe = recipe_of("mlr_market1501")
    assert (recipe["repeats"], recipe["same_camera_in_all_folders"]) == (10, True)


@pytest.mark.parametrize(
    ("name", "change", "title"),
    [
        ("mlr_viper", {}, "default"),
        ("mlr_viper", {"trial": 3, "trial_source": "file.json"}, "default"),
        ("mlr_viper", {"seed": 1}, "custom"),
        ("mlr_viper/vpfa", {}, "vpfa"),
        ("mlr_viper/vpfa", {"repeats": 3}, "vpfa"),  # nothing is drawn under the protocol market
        ("mlr_market1501", {"same_camera_in_all_folders": False}, "default"),  # one camera is low
        ("mlr_market1501", {"queries": "query_camera", "low_camera": "2"}, "mdiff"),
        ("mlr_cuhk03", {"train_identities": 7}, "default"),  # the download's lists decide
    ],
)
def test_titles(name, change, title):
    assert recipe_title(name.partition("/")[0], recipe_of(name) | change) == title


@pytest.mark.parametrize(
    ("name", "change", "idle"),
    [
        ("mlr_cuhk03", {}, {"train_identities", "same_camera_in_all_folders"}),
        ("mlr_cuhk03/vpfa", {}, set()),
        ("mlr_market1501", {}, {"repeats", "same_camera_in_all_folders"}),
        ("mlr_market1501/vpfa", {}, {"repeats"}),
        ("folder", {}, {"min_width", "max_width", "kernel", "rounding"}),
        ("folder", {"degrade": True}, set()),
        ("pedestrians", {}, set()),
    ],
)
def test_fields_without_effect(name, change, idle):
    recipe = recipe_of(name) | change
    left = effective_recipe(name.partition("/")[0], recipe)
    assert set(recipe) - set(left) == idle & set(recipe)
    assert all(left[field] == recipe[field] for field in left)
