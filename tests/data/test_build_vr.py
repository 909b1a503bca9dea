import logging
import shutil

import numpy as np
import pytest
from PIL import Image
from rireid_jax.data.build.vr import VRMarket1501Builder
from small_recipes import MARKET

from rireid_jax.data.build import build
from rireid_jax.data.degradation import draw_width
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError


@pytest.fixture(scope="module")
def built(market_folder, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    return build("vr_market1501", MARKET, data_dir=str(data_dir), raw_dir=str(market_folder))


@pytest.fixture
def copied(market_folder, tmp_path):
    return shutil.copytree(market_folder, tmp_path / "raw")


def build_from(raw, tmp_path, **options):
    data_dir = str(tmp_path / "data")
    return build("vr_market1501", MARKET, data_dir=data_dir, raw_dir=str(raw), **options)


def records(built):
    return {
        split: [source[i] for i in range(len(source))] for split, source in built.splits.items()
    }


def test_records(built, market_folder):
    found = records(built)
    assert built.train_pids == (2, 7, 11)
    assert built.width_max == 32
    assert [(r.pid, r.camid) for r in found["query"]] == [(1, 0), (1, 1), (9, 0), (9, 1)]
    # Junk is left out, distractors stay.
    assert sorted(r.pid for r in found["gallery"]) == [0, 0, 1, 1, 9, 9]
    assert len(found["train"]) == 6
    for rows in found.values():
        for record in rows:
            width = draw_width(0, record.name, 8, 32)
            file = (market_folder / record.name).read_bytes()
            assert record.target == file
            assert record.mask == b""
            assert record.resolution == pytest.approx(width / 32)
            original = Image.open(market_folder / record.name)
            small = original.resize((width, 2 * width), Image.Resampling.BICUBIC)
            np.testing.assert_array_equal(decode_image(record.image, record.name), small)


def test_names_are_relative_paths(built):
    assert built.splits["train"][0].name == "bounding_box_train/0002_c1s1_000000_00.jpg"


def test_parent_folders_will_do(built, market_folder, tmp_path):
    (tmp_path / "reid" / "market1501").mkdir(parents=True)
    (tmp_path / "reid" / "market1501" / "Market-1501-v15.09.15").symlink_to(market_folder)
    for raw in (market_folder.parent, tmp_path / "reid", tmp_path / "reid" / "market1501"):
        again = build_from(raw, tmp_path / raw.name)
        assert again.protocol_hash == built.protocol_hash
        assert records(again) == records(built)


def test_listing_order_changes_no_bit(built, market_folder, tmp_path, monkeypatch):
    listed = VRMarket1501Builder.list_items

    def backwards(self):
        return {split: items[::-1] for split, items in reversed(listed(self).items())}

    monkeypatch.setattr(VRMarket1501Builder, "list_items", backwards)
    again = build_from(market_folder, tmp_path)
    assert again.protocol_hash == built.protocol_hash
    assert records(again) == records(built)


def test_counts_of_a_part_are_warned_of(market_folder, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="rireid_jax"):
        build_from(market_folder, tmp_path)
    assert "train has 6 images of 3 identities, the full Market-1501 has 12,936 images of 751" in (
        caplog.text
    )


def test_opens_without_the_raw_files(built, market_folder, tmp_path):
    first = build_from(market_folder, tmp_path)
    again = build("vr_market1501", MARKET, data_dir=str(tmp_path / "data"))
    assert again.protocol_hash == first.protocol_hash


def test_other_raw_files_are_noticed(copied, tmp_path):
    build_from(copied, tmp_path)
    assert build_from(copied, tmp_path).splits
    (copied / "query" / "0001_c1s1_000001_00.jpg").unlink()
    with pytest.raises(
        UserError, match=r"raw_dir: the files in .* are not those that .* was built"
    ):
        build_from(copied, tmp_path)


def test_raw_dir_must_be_given(tmp_path):
    with pytest.raises(
        UserError, match=r"--config\.data\.raw_dir: not given, expected the folder Mar"
    ):
        build_from("", tmp_path)


def test_raw_dir_must_exist(tmp_path):
    with pytest.raises(
        UserError, match=r"--config\.data\.raw_dir: .*nowhere is not there, expected"
    ):
        build_from(tmp_path / "nowhere", tmp_path)


def test_missing_folder_is_named(copied, tmp_path):
    shutil.rmtree(copied / "query")
    with pytest.raises(UserError, match=r"raw has no query, expected"):
        build_from(copied, tmp_path)
    with pytest.raises(UserError, match=r"has no bounding_box_train and no query and no bound"):
        build_from(copied / "bounding_box_train", tmp_path)


def test_empty_folder_is_named(copied, tmp_path):
    for file in (copied / "query").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"found no images in .*query"):
        build_from(copied, tmp_path)


@pytest.mark.parametrize("name", ["person7.jpg", "0001.jpg", "0001_c0s1_000001_00.jpg"])
def test_unknown_names(copied, tmp_path, name):
    file = next((copied / "query").iterdir())
    file.rename(file.with_name(name))
    with pytest.raises(UserError, match=rf"query/{name}: found a name of another form"):
        build_from(copied, tmp_path)


def test_other_files_do_not_matter(built, copied, tmp_path):
    (copied / "bounding_box_test" / "Thumbs.db").write_bytes(b"x")
    (copied / "query" / "._0001_c1s1_000001_00.jpg").write_bytes(b"x")
    assert build_from(copied, tmp_path).protocol_hash == built.protocol_hash


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_bad_images(copied, tmp_path, caplog, content):
    file = copied / "bounding_box_train" / "0007_c1s1_000000_00.jpg"
    good = file.read_bytes()
    file.write_bytes(good[:-200] if content is None else content)
    with pytest.raises(
        UserError, match=r"0007_c1s1_000000_00\.jpg: found .*max_bad_images allows 0"
    ):
        build_from(copied, tmp_path)
    assert not list((tmp_path / "data").rglob("*"))
    with caplog.at_level(logging.WARNING, logger="rireid_jax"):
        assert len(build_from(copied, tmp_path, max_bad_images=1).splits["train"]) == 5
    assert "left out" in caplog.text
    shutil.rmtree(tmp_path / "data")
    file.write_bytes(good)
    assert len(build_from(copied, tmp_path).splits["train"]) == 6


def test_too_many_bad_images(copied, tmp_path):
    for file in list((copied / "bounding_box_train").iterdir())[:3]:
        file.write_bytes(b"")
    with pytest.raises(UserError, match=r"bad image 3; config\.data\.max_bad_images allows 2"):
        build_from(copied, tmp_path, max_bad_images=2)


def test_query_without_match(copied, tmp_path):
    (copied / "bounding_box_test" / "0009_c2s1_000000_00.jpg").unlink()
    with pytest.raises(
        UserError, match=r"query: 1 of 2 identities .*0009_c1.*\(identity 9, camera 0"
    ):
        build_from(copied, tmp_path)


def test_bad_image_that_leaves_a_query_without_match(copied, tmp_path):
    (copied / "bounding_box_test" / "0009_c2s1_000000_00.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"query: 1 of 2 identities"):
        build_from(copied, tmp_path, max_bad_images=1)


def test_nothing_is_enlarged(copied, tmp_path):
    for file in (copied / "query").iterdir():
        Image.open(file).resize((10, 20)).save(file)
    query = records(build_from(copied, tmp_path))["query"]
    widths = [decode_image(r.image, r.name).width for r in query]
    assert max(widths) <= 10
    np.testing.assert_allclose([r.resolution for r in query], np.array(widths) / 32)


def test_grey_and_alpha_files(copied, tmp_path):
    for file, mode in zip(sorted((copied / "query").iterdir()), ("L", "CMYK"), strict=False):
        Image.open(file).convert(mode).save(file)
    for record in records(build_from(copied, tmp_path))["query"]:
        assert decode_image(record.image, record.name).mode == "RGB"
        assert decode_image(record.target, record.name).size == (64, 128)
