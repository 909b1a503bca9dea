"""The recipes of others, written down a second time: from what their code and papers say."""

import pytest

from rireid_jax.components import DATASETS
from rireid_jax.config import effective_recipe, recipe_of, recipe_title
from rireid_jax.data.records import ProtocolHash, recipe_hash

ONE_CAMERA = dict(
    low_camera="0",
    ratios=(2, 3, 4),
    ratio_per="image",
    ratio_draw="even",
    low_in_training=True,
    resolution="width",
    kernel="bicubic",
    rounding="round",
    jpeg_quality=0,
    seed=0,
)
EXPECTED = {
    # Half of the 50 people that both cameras see; low queries, one high image each in the gallery.
    "caviar": dict(
        low_camera="narrower",
        query="low",
        queries_per_identity=0,
        gallery="other",
        train_identities=25,
        protocol="single_shot",
        repeats=10,
        trial_source="random",
        trial=0,
        seed=0,
    ),
    # One gallery image of each identity for each query, a hundred times.
    "caviar/di_reid": dict(protocol="cuhk03", repeats=100),
    # One of the images 001 to 010, which are called high there, against all others.
    "caviar/vpfa": dict(
        low_camera="1", query="high", queries_per_identity=1, gallery="all", protocol="market"
    ),
    "mlr_viper": ONE_CAMERA
    | dict(
        train_identities=316,
        protocol="single_shot",
        repeats=10,
        trial_source="random",
        trial=0,
    ),
    "mlr_viper/di_reid": dict(protocol="cuhk03", repeats=100),
    # Camera and rate by identity, w // s, Pillow's bicubic, JPEG by Pillow's default quality.
    "mlr_viper/vpfa": dict(
        low_camera="identity",
        ratio_per="identity",
        ratio_draw="independent",
        kernel="bicubic",
        rounding="floor",
        jpeg_quality=75,
        protocol="market",
    ),
    "mlr_cuhk03": ONE_CAMERA
    | dict(
        boxes="detected",
        train_identities=1367,
        protocol="single_shot",
        repeats=10,
        trial_source="official",
        trial=0,
    ),
    "mlr_cuhk03/di_reid": dict(protocol="cuhk03", repeats=100),
    # Training images stay high; camera by identity, rate by image, int(w * ratio), bilinear, PNG; one gallery.
    "mlr_cuhk03/vpfa": dict(
        low_camera="identity",
        ratio_per="image",
        ratio_draw="independent",
        low_in_training=False,
        kernel="bilinear",
        rounding="floor",
        jpeg_quality=0,
        protocol="single_shot",
        repeats=1,
        trial_source="random",
    ),
    "vr_market1501": dict(min_width=8, max_width=32, kernel="bicubic", rounding="round", seed=0),
    "vr_msmt17": dict(
        min_width=32,
        max_width=128,
        val_in_training=True,
        kernel="bicubic",
        rounding="round",
        seed=0,
    ),
    "mlr_market1501": ONE_CAMERA
    | dict(queries="camera", same_camera_in_all_folders=True, protocol="market", repeats=10),
    # All c1 images are queries, by a random n of 2, 3, 4, int(w / n), cv2.INTER_LINEAR, saved as JPEG.
    "mlr_market1501/prpr": dict(
        low_camera="0",
        queries="camera",
        ratio_draw="independent",
        kernel="opencv_linear",
        rounding="floor",
        jpeg_quality=95,
    ),
    # Queries of c3 alone, a gallery without c3.
    "mlr_market1501/mdiff": dict(low_camera="2", queries="query_camera"),
    # A camera by identity and folder, Lanczos, Market-1501's own queries and gallery.
    "mlr_market1501/vpfa": dict(
        low_camera="identity",
        same_camera_in_all_folders=False,
        queries="folders",
        ratio_per="image",
        ratio_draw="independent",
        kernel="lanczos",
        rounding="floor",
        jpeg_quality=0,
    ),
}


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
    "pedestrians": "4dec204bc7ceb3e4",
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


def test_every_preset_is_here():
    names = {f"{name}/{preset}" for name, spec in DATASETS.items() for preset in spec.presets}
    assert names == {name for name in EXPECTED if "/" in name}


@pytest.mark.parametrize("name", EXPECTED)
def test_recipe(name):
    dataset = name.partition("/")[0]
    assert recipe_of(name) == {**EXPECTED[dataset], **EXPECTED[name]}


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
