"""The MLR benchmarks: one camera's images by 1/2, 1/3 or 1/4, on miniature downloads."""

import io
from collections import Counter

import numpy as np
import pytest
from market_folder import write_market_folder
from PIL import Image
from raw_folders import write_cuhk03_extracted, write_cuhk03_mat, write_viper

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError

VIPER = recipe_of("mlr_viper") | {"train_identities": 5}
MARKET = recipe_of("mlr_market1501")


@pytest.fixture(scope="module")
def viper(tmp_path_factory):
    """Nine people before two cameras."""
    return write_viper(tmp_path_factory.mktemp("raw") / "VIPeR", range(1, 10))


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Three people to train and two to test on before three cameras, two distractors."""
    path = tmp_path_factory.mktemp("raw") / "Market-1501-v15.09.15"
    return write_market_folder(path, (2, 7, 11), (1, 9), cameras=3, distractors=2)


def records(dataset, recipe, raw, tmp_path):
    built = build(dataset, recipe, data_dir=str(tmp_path / "data"), raw_dir=str(raw))
    return {split: list(source) for split, source in built.splits.items()}


def everything(splits):
    return [record for rows in splits.values() for record in rows]


def ratio(record):
    """n, by which the stored width was divided."""
    width = decode_image(record.target, record.name).width
    return round(width / decode_image(record.image, record.name).width)


def test_roles_and_pixels(viper, tmp_path):
    found = records("mlr_viper", VIPER, viper, tmp_path)
    assert {split: len(rows) for split, rows in found.items()} == dict(train=10, query=4, gallery=4)
    assert {r.camid for r in found["query"]} == {0}
    assert {r.camid for r in found["gallery"]} == {1}
    tested = {r.pid for r in found["query"]}
    assert tested == {r.pid for r in found["gallery"]}
    assert not tested & {r.pid for r in found["train"]}
    for record in everything(found):
        file = (viper / record.name).read_bytes()
        assert record.target == file
        if record.camid == 1:
            assert record.image == file
            assert record.resolution == 1
            continue
        n = ratio(record)
        small = Image.open(viper / record.name).resize(
            (48 // n, round(128 / n)), Image.Resampling.BICUBIC
        )
        np.testing.assert_array_equal(decode_image(record.image, "low"), small)
        assert record.resolution == pytest.approx(1 / n)


def test_every_ratio_as_often(viper, tmp_path):
    low = [r for r in everything(records("mlr_viper", VIPER, viper, tmp_path)) if r.camid == 0]
    assert Counter(map(ratio, low)) == {2: 3, 3: 3, 4: 3}


def test_independent_ratios_are_not_even(viper, tmp_path):
    counts = set()
    for seed in range(4):
        recipe = VIPER | {"ratio_draw": "independent", "seed": seed}
        found = everything(records("mlr_viper", recipe, viper, tmp_path))
        drawn = Counter(ratio(r) for r in found if r.camid == 0)
        counts.add(tuple(drawn[n] for n in (2, 3, 4)))
    assert len(counts - {(3, 3, 3)}) > 1
    assert {sum(c) for c in counts} == {9}


def test_trials_divide_the_same_records(viper, tmp_path):
    """Whom a trial tests changes with it, what the images look like does not."""
    trials = [records("mlr_viper", VIPER | {"trial": k}, viper, tmp_path) for k in range(6)]
    tests = {tuple(r.pid for r in found["query"]) for found in trials}
    assert len(tests) > 3
    assert all(len(pids) == 4 for pids in tests)
    whole = [sorted(everything(found), key=lambda r: r.name) for found in trials]
    assert all(found == whole[0] for found in whole)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rounding": "floor", "ratios": (3,)}, {(16, 42)}),
        ({"rounding": "round", "ratios": (3,)}, {(16, 43)}),
        ({"ratios": (2, 8)}, {(24, 64), (6, 16)}),
    ],
)
def test_sizes(viper, tmp_path, change, expected):
    found = everything(records("mlr_viper", VIPER | change, viper, tmp_path))
    assert {decode_image(r.image, "low").size for r in found if r.camid == 0} == expected


def test_low_camera(viper, tmp_path):
    found = records("mlr_viper", VIPER | {"low_camera": "1"}, viper, tmp_path)
    assert {r.camid for r in found["query"]} == {1}
    found = records("mlr_viper", VIPER | {"low_camera": "identity"}, viper, tmp_path)
    assert {r.camid for r in everything(found) if r.resolution < 1} == {0, 1}
    by_pid = Counter(r.pid for r in everything(found) if r.resolution < 1)
    assert set(by_pid.values()) == {1}
    with pytest.raises(UserError, match=r"low_camera: found '2', expected one of the cameras 0, 1"):
        records("mlr_viper", VIPER | {"low_camera": "2"}, viper, tmp_path)


def test_training_may_stay_high(viper, tmp_path):
    found = records("mlr_viper", VIPER | {"low_in_training": False}, viper, tmp_path)
    assert {r.resolution for r in found["train"]} == {1}
    assert all(r.resolution < 1 for r in found["query"])


def test_jpeg(viper, tmp_path):
    found = everything(records("mlr_viper", VIPER | {"jpeg_quality": 75}, viper, tmp_path))
    formats = {(r.camid, Image.open(io.BytesIO(r.image)).format) for r in found}
    assert formats == {(0, "JPEG"), (1, "BMP")}


def test_preset_vpfa(viper, tmp_path):
    recipe = recipe_of("mlr_viper/vpfa") | {"train_identities": 5}
    found = everything(records("mlr_viper", recipe, viper, tmp_path))
    low = [r for r in found if r.resolution < 1]
    assert Counter(r.pid for r in low) == dict.fromkeys(range(1, 10), 1)
    for record in low:
        n = ratio(record)
        assert decode_image(record.image, "low").size == (48 // n, 128 // n)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train_identities": 9},
            r"train_identities: found 9, expected less than the 9 identities",
        ),
        ({"trial_source": "official"}, r"trial_source: found 'official', but VIPeR comes without"),
        ({"trial_source": "nowhere.json"}, r"trial_source: found 'nowhere.json' \(No such file"),
    ],
)
def test_wrong_recipes(viper, tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        records("mlr_viper", VIPER | change, viper, tmp_path)


def test_cuhk03_from_both_sources(tmp_path):
    """The .mat file and the images that torchreid extracts from it give the same data set."""
    sources = (
        write_cuhk03_mat(tmp_path / "mat" / "cuhk03_release"),
        write_cuhk03_extracted(tmp_path / "extracted" / "cuhk03"),
    )
    for split in (0, 7):
        recipe = recipe_of("mlr_cuhk03") | {"trial": split, "ratio_per": "identity"}
        built = [
            build("mlr_cuhk03", recipe, data_dir=str(tmp_path / f"data{n}"), raw_dir=str(raw))
            for n, raw in enumerate(sources)
        ]
        assert built[0].protocol_hash == built[1].protocol_hash
        rows = [[record for source in b.splits.values() for record in source] for b in built]
        assert rows[0] == rows[1]
        low = [r for r in rows[0] if r.image != r.target]
        assert {r.camid for r in low} == {0}
        ratios = {}
        for record in low:
            ratios.setdefault(record.pid, set()).add(ratio(record))
        assert all(len(drawn) == 1 for drawn in ratios.values())  # one for each identity
    with pytest.raises(UserError, match=r"config\.data\.trials: found 20, expected less than 20"):
        records("mlr_cuhk03", recipe_of("mlr_cuhk03") | {"trial": 20}, sources[0], tmp_path)


def test_resolution_may_be_the_ratio(tmp_path):
    raw = write_cuhk03_mat(tmp_path / "cuhk03_release")
    by_ratio = records(
        "mlr_cuhk03", recipe_of("mlr_cuhk03") | {"resolution": "ratio"}, raw, tmp_path
    )
    by_width = records("mlr_cuhk03", recipe_of("mlr_cuhk03"), raw, tmp_path)
    widths = {
        r.name: (decode_image(r.image, r.name).width, decode_image(r.target, r.name).width)
        for r in everything(by_width)
    }
    greatest = max(width for _, width in widths.values())
    for record in everything(by_width):
        assert record.resolution == pytest.approx(widths[record.name][0] / greatest)
    for record in everything(by_ratio):
        n = 1 if record.image == record.target else ratio(record)
        assert record.resolution == pytest.approx(1 / n)


def names(rows):
    return {(r.name.split("/")[0], r.pid, r.camid) for r in rows}


def test_market_by_camera(market, tmp_path):
    """All test images by camera 0 are queries; the gallery has none of them."""
    found = records("mlr_market1501", MARKET, market, tmp_path)
    folders = ("query", "bounding_box_test")
    assert names(found["query"]) == {(f, p, 0) for f in folders for p in (1, 9)}
    gallery = {(f, p, c) for f in folders for p in (1, 9) for c in (1, 2)}
    assert names(found["gallery"]) == gallery | {("bounding_box_test", 0, 1)}
    assert all(r.resolution < 1 for r in found["query"])
    assert {r.resolution for r in found["gallery"]} == {1}
    assert {(r.camid, r.resolution < 1) for r in found["train"]} == {
        (0, True),
        (1, False),
        (2, False),
    }


def test_market_by_camera_of_the_query_folder(market, tmp_path):
    found = records("mlr_market1501", recipe_of("mlr_market1501/mdiff"), market, tmp_path)
    assert names(found["query"]) == {("query", p, 2) for p in (1, 9)}
    gallery = {("bounding_box_test", p, c) for p in (1, 9) for c in (0, 1)}
    assert names(found["gallery"]) == gallery | {("bounding_box_test", 0, c) for c in (0, 1)}


def test_market_with_its_own_folders(market, tmp_path):
    """VPFA's: another low camera for every identity and folder, so both sides mix resolutions."""
    recipe = recipe_of("mlr_market1501/vpfa")
    mixed = set()
    for seed in range(3):
        found = records("mlr_market1501", recipe | {"seed": seed}, market, tmp_path)
        assert len(found["query"]) == 6
        assert len(found["gallery"]) == 8
        for split, rows in found.items():
            low = {(r.pid, r.camid) for r in rows if r.resolution < 1}
            by_pid = Counter(pid for pid, _ in low)
            assert set(by_pid.values()) == {1}, split
            mixed |= {(split, r.resolution < 1) for r in rows}
            if split == "query":
                in_query = low
        in_gallery = {(r.pid, r.camid) for r in found["gallery"] if r.resolution < 1 and r.pid}
        mixed.add(in_query == in_gallery)
    assert mixed >= {
        ("query", True),
        ("query", False),
        ("gallery", True),
        ("gallery", False),
        False,
    }


def test_market_with_one_low_camera_in_all_folders(market, tmp_path):
    recipe = recipe_of("mlr_market1501/vpfa") | {"same_camera_in_all_folders": True}
    found = records("mlr_market1501", recipe, market, tmp_path)
    low = [
        {(r.pid, r.camid) for r in rows if r.resolution < 1 and r.pid} for rows in found.values()
    ]
    assert low[1] == low[2]
