"""A user's own crops as a data set; `test_damage` has what is wrong with others."""

import csv

import numpy as np
import pytest
from PIL import Image, ImageOps
from small_recipes import build_preset

from rireid_jax.data.build import hold_out
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError


def write_image(path, size=(10, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(path.name.encode()))
    pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_people(raw, people, names, **options):
    for person in people:
        for name in names:
            write_image(raw / str(person) / name, **options)


def roles(built):
    """(name, pid, camid) of every record, by split."""
    return {
        split: [(r.name, r.pid, r.camid) for r in source] for split, source in built.splits.items()
    }


def test_splits_identities_cameras(tmp_path):
    raw = tmp_path / "raw ü"
    for split, people in {"train": "ab", "query": "cd", "gallery": "cd"}.items():
        write_people(raw / split, people, ("left/1.png", "right/1.png"))
    built = build_preset("folder", raw, tmp_path)
    pids = {"train": (1, 2), "query": (3, 4), "gallery": (3, 4)}
    assert roles(built) == {
        split: [
            (f"{split}/{' abcd'[pid]}/{camera}/1.png", pid, camid)
            for pid in pids[split]
            for camid, camera in enumerate(("left", "right"))
        ]
        for split in pids
    }
    assert built.train_pids == (1, 2)


def test_images_of_a_camera_held_on_its_side(tmp_path):
    """Widths, sizes and pixels are those of the upright image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for person in "abcd":
        for n in range(2):
            path = write_image(tmp_path / "raw" / person / f"{n}.png", size=(80, 40))
            with Image.open(path) as image:
                image.save(path, exif=exif)
    stored = build_preset("folder", tmp_path / "raw", tmp_path)
    assert stored.width_max == 40
    for source in stored.splits.values():
        for record in source:
            whole = ImageOps.exif_transpose(Image.open(tmp_path / "raw" / record.name))
            np.testing.assert_array_equal(decode_image(record.image, ""), whole)
            assert record.resolution == 1
    degraded = build_preset("folder", tmp_path / "raw", tmp_path, degrade=True)
    for record in degraded.splits["query"]:
        low = decode_image(record.image, "")
        assert low.height == pytest.approx(2 * low.width, abs=1)


def test_images_are_stored_as_they_are(tmp_path):
    for person in "abcd":
        for n in range(2):
            width = 10 * "abcd".index(person) + 10
            write_image(tmp_path / "raw" / person / f"{n}.png", size=(width, 20))
    built = build_preset("folder", tmp_path / "raw", tmp_path)
    assert built.width_max == 40
    for source in built.splits.values():
        for record in source:
            assert record.image == (tmp_path / "raw" / record.name).read_bytes()
            # Those at least as wide as the median are their own originals, which training degrades.
            width = round(record.resolution * 40)
            assert record.target == (record.image if width >= 20 else b"")
            assert record.resolution == pytest.approx("abcd".index(record.name[0]) / 4 + 0.25)


def test_degrade(tmp_path):
    write_people(tmp_path / "raw", "abcd", ("0.png", "1.png"), size=(64, 128))
    built = build_preset("folder", tmp_path / "raw", tmp_path, degrade=True)
    assert built.width_max == 32
    for source in built.splits.values():
        for record in source:
            assert record.target == (tmp_path / "raw" / record.name).read_bytes()
            width = decode_image(record.image, record.name).width
            assert 8 <= width < 32
            assert record.resolution == pytest.approx(width / 32)


def test_without_cameras_queries_and_gallery_differ_in_camera(tmp_path):
    write_people(tmp_path / "raw", range(6), ("0.png", "1.png", "2.png"))
    found = roles(build_preset("folder", tmp_path / "raw", tmp_path))
    assert len(found["train"]) == 9
    assert len(found["query"]) == 3  # one of every test identity
    assert len(found["gallery"]) == 6
    assert {camid for _, _, camid in found["query"]} == {0}
    assert {camid for _, _, camid in found["gallery"]} == {1}
    tested = {pid for _, pid, _ in found["query"]}
    assert tested == {pid for _, pid, _ in found["gallery"]}
    assert not tested & {pid for _, pid, _ in found["train"]}


def test_without_cameras_people_can_be_held_out(tmp_path):
    """Each training image counts as by a camera of its own, so that it finds the others."""
    write_people(tmp_path / "raw", range(10), ("0.png", "1.png", "2.png"))
    built = build_preset("folder", tmp_path / "raw", tmp_path)
    assert sorted(r.camid for r in built.splits["train"]) == [0] * 5 + [1] * 5 + [2] * 5
    view = hold_out(built, 0.1, 0)
    assert len(view.splits["validation"]) == 2 * 3


def test_cameras_in_names_give_one_query_a_camera(tmp_path):
    names = [f"im{n}_c{camera}_x.png" for n in range(2) for camera in (3, 12)]
    write_people(tmp_path / "raw", "pqrs", names)
    found = roles(build_preset("folder", tmp_path / "raw", tmp_path))
    assert len(found["query"]) == 2 * 2
    assert len({(pid, camid) for _, pid, camid in found["query"]}) == 4
    assert len(found["gallery"]) == 2 * 2


def test_pairs_give_one_query_each(tmp_path):
    """With one image a camera, only one of the two may leave the gallery."""
    write_people(tmp_path / "raw", range(8), ("a/1.png", "b/1.png"))
    found = roles(build_preset("folder", tmp_path / "raw", tmp_path))
    assert len(found["query"]) == len(found["gallery"]) == 4
    assert {pid for _, pid, _ in found["query"]} == {pid for _, pid, _ in found["gallery"]}


def test_lone_images_are_gallery_only(tmp_path):
    write_people(tmp_path / "raw", range(8), ("0.png",))
    write_people(tmp_path / "raw", range(0, 8, 2), ("1.png",))
    found = roles(build_preset("folder", tmp_path / "raw", tmp_path, test_fraction=0.875))
    lone = {pid for pid in range(1, 9) if pid % 2 == 0}
    assert not lone & {pid for _, pid, _ in found["query"]}
    assert lone & {pid for _, pid, _ in found["gallery"]}


def test_test_fraction_and_seed(tmp_path):
    write_people(tmp_path / "raw", range(10), ("0.png", "1.png"))
    sizes = [
        len(build_preset("folder", tmp_path / "raw", tmp_path, test_fraction=f).train_pids)
        for f in (0.01, 0.3, 0.99)
    ]
    assert sizes == [9, 7, 2]
    trained = {
        build_preset("folder", tmp_path / "raw", tmp_path, seed=s).train_pids for s in range(3)
    }
    assert len(trained) > 1


def test_market_names(tmp_path):
    raw = tmp_path / "raw"
    for folder, names in {
        "train": ["0007_c1s1_1.jpg", "0008_c2s1_1.jpg"],
        "query": ["0003_c1s1_1.jpg"],
        "gallery": ["0003_c2s1_1.jpg", "0000_c1s1_1.jpg", "-1_c1s1_1.jpg"],
    }.items():
        for name in names:
            write_image(raw / folder / name)
    expected = {
        "train": [("train/0007_c1s1_1.jpg", 7, 0), ("train/0008_c2s1_1.jpg", 8, 1)],
        "query": [("query/0003_c1s1_1.jpg", 3, 0)],
        "gallery": [("gallery/0000_c1s1_1.jpg", 0, 0), ("gallery/0003_c2s1_1.jpg", 3, 1)],
    }
    assert roles(build_preset("folder", raw, tmp_path)) == expected
    (raw / "train").rename(raw / "bounding_box_train")
    (raw / "gallery").rename(raw / "bounding_box_test")
    found = roles(build_preset("folder", raw, tmp_path, seed=1))
    assert [pid for _, pid, _ in found["gallery"]] == [0, 3]


def test_market_names_without_split(tmp_path):
    for name in (
        "0001_c1",
        "0001_c2",
        "0002_c1",
        "0002_c2",
        "0003_c1",
        "0003_c2",
        "0000_c1",
        "-1_c1",
    ):
        write_image(tmp_path / "raw" / f"{name}s1_000001_00.jpg")
    found = roles(build_preset("folder", tmp_path / "raw", tmp_path))
    assert len(found["train"]) == 4
    assert len(found["query"]) == 1
    assert [pid for _, pid, _ in found["gallery"]].count(0) == 1
    assert sum(map(len, found.values())) == 7


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize("header", [True, False])
def test_csv(tmp_path, header):
    rows = [
        ["a/1.png", "Ann", "hall", "train"],
        ["a/2.png", "Bo, jr", "hall", "query"],
        ["a/3 ü.png", "Bo, jr", "door", "gallery"],
        ["a/4.png", "Cem", "door", "train"],
    ]
    for row in rows:
        write_image(tmp_path / row[0])
    path = write_csv(tmp_path / "list.csv", [["path", "id", "camera", "split"]] * header + rows)
    assert roles(build_preset("folder", path, tmp_path)) == {
        "train": [("a/1.png", 1, 1), ("a/4.png", 3, 0)],
        "query": [("a/2.png", 2, 1)],
        "gallery": [("a/3 ü.png", 2, 0)],
    }


def test_csv_of_two_columns(tmp_path):
    rows = [[f"{person}{n}.png", person] for person in "abcd" for n in range(2)]
    for row in rows:
        write_image(tmp_path / row[0])
    path = write_csv(tmp_path / "list.csv", rows)
    found = roles(build_preset("folder", path, tmp_path))
    assert [len(found[split]) for split in ("train", "query", "gallery")] == [4, 2, 2]
    rows[0][1] = "b"  # another label of the same files
    write_csv(path, rows)
    with pytest.raises(UserError, match="are not those that"):
        build_preset("folder", path, tmp_path)
