"""The MLR benchmarks: one camera's images by 1/2, 1/3 or 1/4, on miniature downloads."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from raw_folders import write_cuhk03_mat, write_market_folder, write_viper
from small_recipes import build_preset, records

from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError


def build_records(name, raw, tmp_path, **change):
    return records(build_preset(name, raw, tmp_path, **change))


@pytest.fixture(scope="module")
def raw_viper(tmp_path_factory):
    """Nine people before two cameras."""
    return write_viper(tmp_path_factory.mktemp("raw") / "VIPeR", range(1, 10))


@pytest.fixture
def viper(raw_viper, tmp_path):
    """Builds a recipe of VIPeR, in which five people are trained on."""

    def viper(name="mlr_viper", **change):
        return build_records(name, raw_viper, tmp_path, train_identities=5, **change)

    return viper


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Three people to train and two to test on before three cameras, two distractors."""
    path = tmp_path_factory.mktemp("raw") / "Market-1501-v15.09.15"
    return write_market_folder(path, (2, 7, 11), (1, 9), cameras=3, distractors=2)


def everything(splits):
    return [record for rows in splits.values() for record in rows]


def low(splits):
    return [record for record in everything(splits) if record.resolution < 1]


def ratio(record):
    """n, by which the stored width was divided."""
    width = decode_image(record.target, record.name).width
    return round(width / decode_image(record.image, record.name).width)


def test_roles_and_pixels(viper, raw_viper):
    found = viper()
    assert {split: len(rows) for split, rows in found.items()} == dict(train=10, query=4, gallery=4)
    assert {r.camid for r in found["query"]} == {0}
    assert {r.camid for r in found["gallery"]} == {1}
    tested = {r.pid for r in found["query"]}
    assert tested == {r.pid for r in found["gallery"]}
    assert not tested & {r.pid for r in found["train"]}
    assert Counter(map(ratio, low(found))) == {2: 3, 3: 3, 4: 3}  # every ratio as often
    for record in everything(found):
        file = (raw_viper / record.name).read_bytes()
        assert record.target == file
        if record.camid == 1:
            assert record.image == file
            assert record.resolution == 1
            continue
        n = ratio(record)
        size = (48 // n, round(128 / n))
        small = Image.open(raw_viper / record.name).resize(size, Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(decode_image(record.image, "low"), small)
        assert record.resolution == pytest.approx(1 / n)


def test_independent_ratios_are_not_even(viper):
    counts = set()
    for seed in range(4):
        drawn = Counter(map(ratio, low(viper(ratio_draw="independent", seed=seed))))
        counts.add(tuple(drawn[n] for n in (2, 3, 4)))
    assert len(counts - {(3, 3, 3)}) > 1
    assert {sum(c) for c in counts} == {9}


def test_trials_divide_the_same_records(viper):
    """Whom a trial tests changes with it, what the images look like does not."""
    trials = [viper(trial=number) for number in range(6)]
    tests = {tuple(r.pid for r in found["query"]) for found in trials}
    assert len(tests) > 3
    assert all(len(pids) == 4 for pids in tests)
    whole = [sorted(everything(found), key=lambda r: r.name) for found in trials]
    assert all(found == whole[0] for found in whole)


def test_ratios_of_a_recipe(viper):
    small = low(viper(ratios=(2, 8)))
    assert {decode_image(record.image, "low").size for record in small} == {(24, 64), (6, 16)}


def test_low_camera(viper):
    assert {r.camid for r in viper(low_camera="1")["query"]} == {1}
    drawn = low(viper(low_camera="identity"))
    assert {r.camid for r in drawn} == {0, 1}
    assert set(Counter(r.pid for r in drawn).values()) == {1}
    with pytest.raises(UserError, match=r"low_camera: found '2', expected one of the cameras 0, 1"):
        viper(low_camera="2")


def test_training_may_stay_high(viper):
    found = viper(low_in_training=False)
    assert {r.resolution for r in found["train"]} == {1}
    assert all(r.resolution < 1 for r in found["query"])


def test_preset_vpfa(viper):
    """A low camera and a ratio for each identity, rounded down, stored as JPEG."""
    found = viper("mlr_viper/vpfa")
    assert Counter(r.pid for r in low(found)) == dict.fromkeys(range(1, 10), 1)
    for record in everything(found):
        image = Image.open(io.BytesIO(record.image))
        n = ratio(record)
        expected = (48, 128, "BMP") if record.resolution == 1 else (48 // n, 128 // n, "JPEG")
        assert (*image.size, image.format) == expected


def test_trials_that_a_download_lacks(viper):
    with pytest.raises(UserError, match="found 'official', but VIPeR comes without"):
        viper(trial_source="official")


def test_cuhk03(tmp_path):
    """A ratio for each identity; and r may be the ratio instead of the width / the greatest width."""
    raw = write_cuhk03_mat(tmp_path / "cuhk03_release", persons=(2, 2, 1, 1, 1), test_persons=3)
    by_width, by_ratio, by_identity = (
        everything(build_records("mlr_cuhk03", raw, tmp_path, **change))
        for change in ({}, {"resolution": "ratio"}, {"trial": 7, "ratio_per": "identity"})
    )
    ratios = {}
    for record in by_identity:
        if record.image != record.target:
            assert record.camid == 0
            ratios.setdefault(record.pid, set()).add(ratio(record))
    assert all(len(drawn) == 1 for drawn in ratios.values())
    greatest = max(decode_image(r.target, r.name).width for r in by_width)
    for record in by_width:
        width = decode_image(record.image, record.name).width
        assert record.resolution == pytest.approx(width / greatest)
    for record in by_ratio:
        n = 1 if record.image == record.target else ratio(record)
        assert record.resolution == pytest.approx(1 / n)


def names(rows):
    return {(r.name.split("/")[0], r.pid, r.camid) for r in rows}


def test_market_by_camera(market, tmp_path):
    """All test images by camera 0 are queries; the gallery has none of them."""
    found = build_records("mlr_market1501", market, tmp_path)
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
    found = build_records("mlr_market1501/mdiff", market, tmp_path)
    assert names(found["query"]) == {("query", p, 2) for p in (1, 9)}
    gallery = {("bounding_box_test", p, c) for p in (1, 9) for c in (0, 1)}
    assert names(found["gallery"]) == gallery | {("bounding_box_test", 0, c) for c in (0, 1)}


def lowered(rows):
    """Whom which camera shows low, but distractors."""
    return {(r.pid, r.camid) for r in rows if r.resolution < 1 and r.pid}


def test_market_with_its_own_folders(market, tmp_path):
    """VPFA's: another low camera for every identity and folder, so both sides mix resolutions."""
    name = "mlr_market1501/vpfa"
    drawn = [build_records(name, market, tmp_path, seed=seed) for seed in range(3)]
    for found in drawn:
        assert (len(found["query"]), len(found["gallery"])) == (6, 8)
        for split, rows in found.items():
            places = {(r.pid, r.camid) for r in rows if r.resolution < 1}
            assert set(Counter(pid for pid, _ in places).values()) == {1}, split
    for split in ("query", "gallery"):
        assert {r.resolution < 1 for found in drawn for r in found[split]} == {True, False}
    assert any(lowered(found["query"]) != lowered(found["gallery"]) for found in drawn)
    found = build_records(name, market, tmp_path, same_camera_in_all_folders=True)
    assert lowered(found["query"]) == lowered(found["gallery"])
