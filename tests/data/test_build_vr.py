"""The VR benchmarks on a miniature of Market-1501, and what every build from files does."""

import logging
import shutil

import numpy as np
import pytest
from PIL import Image
from raw_folders import write_market_folder, write_msmt17
from small_recipes import build_preset

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build
from rireid_jax.data.degradation import draw_width
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError

RECIPE = recipe_of("vr_market1501")


@pytest.fixture(scope="module")
def market_folder(tmp_path_factory):
    """Six training images, four queries, six gallery images, one of them a distractor."""
    path = tmp_path_factory.mktemp("raw") / "für Tests 人" / "Market-1501-v15.09.15"
    return write_market_folder(path, train_ids=(2, 7, 11), test_ids=(1, 9), distractors=2, junk=1)


@pytest.fixture
def copied(market_folder, tmp_path):
    return shutil.copytree(market_folder, tmp_path / "raw")


def build_from(raw, tmp_path, **options):
    data_dir = str(tmp_path / "data")
    return build("vr_market1501", RECIPE, data_dir=data_dir, raw_dir=str(raw), **options)


def test_records(market_folder, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="rireid_jax"):
        built = build_from(market_folder, tmp_path)
    warning = "train has 6 images of 3 identities, the full Market-1501 has 12,936 images of 751"
    assert warning in caplog.text
    found = {split: list(source) for split, source in built.splits.items()}
    assert built.train_pids == (2, 7, 11)
    assert built.width_max == 32
    assert [(r.pid, r.camid) for r in found["query"]] == [(1, 0), (1, 1), (9, 0), (9, 1)]
    # Junk is left out, distractors stay.
    assert sorted(r.pid for r in found["gallery"]) == [0, 0, 1, 1, 9, 9]
    assert found["train"][0].name == "bounding_box_train/0002_c1s1_000000_00.jpg"
    assert len(found["train"]) == 6
    for record in (record for rows in found.values() for record in rows):
        width = draw_width(0, record.name, 8, 32)
        assert record.target == (market_folder / record.name).read_bytes()
        assert record.mask == b""
        assert record.resolution == pytest.approx(width / 32)
        original = Image.open(market_folder / record.name)
        small = original.resize((width, 2 * width), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(decode_image(record.image, record.name), small)


def test_built_data_need_no_raw_files(market_folder, tmp_path):
    first = build_from(market_folder, tmp_path)
    again = build("vr_market1501", RECIPE, data_dir=str(tmp_path / "data"))
    assert (
        build_from(market_folder, tmp_path).protocol_hash
        == again.protocol_hash
        == first.protocol_hash
    )


def test_too_many_bad_images(copied, tmp_path):
    for file in list((copied / "bounding_box_train").iterdir())[:3]:
        file.write_bytes(b"")
    with pytest.raises(UserError, match=r"bad image 3; config\.data\.max_bad_images allows 2"):
        build_from(copied, tmp_path, max_bad_images=2)


def test_a_bad_image_that_leaves_a_query_without_match(copied, tmp_path):
    (copied / "bounding_box_test" / "0009_c2s1_000000_00.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"query: 1 of 2 identities"):
        build_from(copied, tmp_path, max_bad_images=1)


def test_nothing_is_enlarged(copied, tmp_path):
    for file in (copied / "query").iterdir():
        Image.open(file).resize((10, 20)).convert("L").save(file)
    query = list(build_from(copied, tmp_path).splits["query"])
    images = [decode_image(r.image, r.name) for r in query]
    assert {image.mode for image in images} == {"RGB"}
    widths = np.array([image.width for image in images])
    assert widths.max() <= 10
    np.testing.assert_allclose([r.resolution for r in query], widths / 32)


def test_list_val_is_trained_on_or_not(tmp_path):
    raw = write_msmt17(tmp_path / "MSMT17_V1", train_ids=(0, 1), test_ids=(0,))
    for val_in_training, number in ((True, 8), (False, 4)):
        built = build_preset("vr_msmt17", raw, tmp_path, val_in_training=val_in_training)
        assert len(built.splits["train"]) == number
