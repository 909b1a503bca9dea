import json
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from raw_folders import write_cuhk03_extracted, write_cuhk03_mat
from rireid_jax.data.raw.cuhk03 import CUHK03

from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError

PERSONS = (2, 1, 1, 1, 1)
# Person 2 of pair 1 was seen by the first camera only.
OPTIONS = dict(persons=PERSONS, shots=2, one_view=[(1, 2)], test_persons=3)
PEOPLE = {10_001, 10_002, 20_001, 30_001, 40_001, 50_001}
DETECTED = {"boxes": "detected"}
BOTH = pytest.mark.parametrize("boxes", ["detected", "labeled"])


@pytest.fixture(scope="module")
def mat(tmp_path_factory) -> Path:
    return write_cuhk03_mat(tmp_path_factory.mktemp("raw") / "cuhk03_release", **OPTIONS)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory) -> Path:
    return write_cuhk03_extracted(tmp_path_factory.mktemp("raw") / "cuhk03", **OPTIONS)


@pytest.fixture
def copied_mat(mat, tmp_path) -> Path:
    return Path(shutil.copy(mat / "cuhk-03.mat", tmp_path))


@pytest.fixture
def copied(extracted, tmp_path) -> Path:
    return shutil.copytree(extracted, tmp_path / "cuhk03")


@BOTH
def test_images(mat, boxes):
    dataset = CUHK03(mat, {"boxes": boxes})
    images = dataset.images()
    assert len(images) == 4 * len(PEOPLE) - 2
    assert [(image.name, image.pid, image.camid, image.origin) for image in images[:8]] == [
        ("1_001_1_01.png", 10_001, 0, (1, 1, 1)),
        ("1_001_1_02.png", 10_001, 0, (1, 1, 2)),
        ("1_001_2_06.png", 10_001, 1, (1, 1, 6)),
        ("1_001_2_07.png", 10_001, 1, (1, 1, 7)),
        ("1_002_1_01.png", 10_002, 0, (1, 2, 1)),
        ("1_002_1_02.png", 10_002, 0, (1, 2, 2)),
        ("2_001_1_01.png", 20_001, 0, (2, 1, 1)),
        ("2_001_1_02.png", 20_001, 0, (2, 1, 2)),
    ]
    assert {image.pid for image in images} == PEOPLE
    assert {image.role for image in images} == {""}
    assert dataset.sources() == [mat / "cuhk-03.mat"]


@BOTH
def test_both_sources_agree(mat, extracted, boxes):
    one, other = CUHK03(mat, {"boxes": boxes}), CUHK03(extracted, {"boxes": boxes})
    images, files = one.images(), other.images()
    assert [(i.name, i.pid, i.camid) for i in images] == [(i.name, i.pid, i.camid) for i in files]
    assert one.official_splits() == other.official_splits()
    for image, file in zip(images, files, strict=True):
        path = extracted / f"images_{boxes}" / image.name
        assert file.origin == path
        assert one.read(image.origin) == other.read(path)
        pixels = np.asarray(decode_image(path.read_bytes(), image.name))
        np.testing.assert_array_equal(
            decode_image(one.read(image.origin), image.name), pixels, strict=True
        )
        assert one.width(image.origin) == other.width(path) == pixels.shape[1]


def test_boxes_differ(mat):
    detected, labeled = (CUHK03(mat, {"boxes": boxes}) for boxes in ("detected", "labeled"))
    assert detected.read((1, 1, 1)) != labeled.read((1, 1, 1))
    assert detected.published[""].images == 14_097
    assert labeled.published[""].images == 14_096


def test_a_colour_profile_makes_no_difference(copied):
    path = copied / "images_detected" / "1_001_1_01.png"
    before = CUHK03(copied, DETECTED).read(path)
    decode_image(path.read_bytes(), "").save(path, icc_profile=b"profile", dpi=(72, 72))
    assert CUHK03(copied, DETECTED).read(path) == before


@BOTH
@pytest.mark.parametrize("source", ["mat", "extracted"])
def test_official_splits(request, source, boxes):
    dataset = CUHK03(request.getfixturevalue(source), {"boxes": boxes})
    splits = dataset.official_splits()
    assert len(splits) == 20
    assert all(len(split) == 3 and set(split) <= PEOPLE for split in splits)
    assert len({frozenset(split) for split in splits}) > 5


def test_official_splits_of_the_matlab_file(mat):
    # The first column is the pair of cameras, the second the person.
    with h5py.File(mat / "cuhk-03.mat", locking=False) as file:
        rows = file[file["testsets"][0, 7]][()].T
    expected = {int(10_000 * pair + person) for pair, person in rows}
    assert CUHK03(mat, DETECTED).official_splits()[7] == expected


@pytest.mark.parametrize(
    "parent", ["", "cuhk03_release", "cuhk03/cuhk03_release", "cuhk03", "cuhk-03.mat"]
)
def test_layouts_of_the_matlab_file(mat, tmp_path, parent):
    root = tmp_path / "raw" / parent
    root.parent.mkdir(parents=True, exist_ok=True)
    root.symlink_to(mat / "cuhk-03.mat" if parent == "cuhk-03.mat" else mat)
    raw_dir = root if parent == "cuhk-03.mat" else tmp_path / "raw"
    assert len(CUHK03(raw_dir, DETECTED).images()) == 22


@pytest.mark.parametrize("parent", ["", "cuhk03", "cuhk03_release"])
def test_layouts_of_extracted_images(extracted, tmp_path, parent):
    root = tmp_path / "raw" / parent
    root.parent.mkdir(parents=True, exist_ok=True)
    root.symlink_to(extracted)
    dataset = CUHK03(tmp_path / "raw", DETECTED)
    assert len(dataset.images()) == 22
    assert dataset.sources() == [root / "splits_classic_detected.json"]


def test_folder_of_extracted_images_itself(extracted):
    dataset = CUHK03(extracted / "images_detected", DETECTED)
    assert len(dataset.images()) == 22
    assert len(dataset.official_splits()) == 20
    with pytest.raises(UserError, match=r"has no cuhk-03\.mat and no images_labeled"):
        CUHK03(extracted / "images_detected", {"boxes": "labeled"})


def test_matlab_file_is_preferred(mat, copied):
    shutil.copytree(mat, copied / "cuhk03_release")
    assert CUHK03(copied, DETECTED).images()[0].origin == (1, 1, 1)


def test_many_threads_read(mat):
    dataset = CUHK03(mat, DETECTED)
    origins = [image.origin for image in dataset.images()] * 4
    expected = [dataset.read(origin) for origin in origins]
    fresh = CUHK03(mat, DETECTED)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fresh.read, origins)) == expected


def test_pickles_while_the_file_is_open(mat):
    dataset = CUHK03(mat, DETECTED)
    data = dataset.read((5, 1, 7))
    assert pickle.loads(pickle.dumps(dataset)).read((5, 1, 7)) == data


def test_every_process_opens_the_file(mat, monkeypatch):
    opened = []
    original = h5py.File
    monkeypatch.setattr(h5py, "File", lambda *a, **k: opened.append(a) or original(*a, **k))
    dataset = CUHK03(mat, DETECTED)
    dataset.images()
    data = dataset.read((5, 1, 7))
    assert len(opened) == 1
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    assert dataset.read((5, 1, 7)) == data
    assert dataset.width((5, 1, 7)) > 0
    assert len(opened) == 2


def test_other_files_do_not_count(copied):
    for name in ("Thumbs.db", "._1_001_1_01.png", ".DS_Store"):
        (copied / "images_detected" / name).touch()
    assert len(CUHK03(copied, DETECTED).images()) == 22


def test_nothing_there(tmp_path):
    for raw_dir in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=f"{raw_dir} has no cuhk-03.mat and no images_detected"):
            CUHK03(raw_dir, DETECTED)


@pytest.mark.parametrize(
    "name",
    [
        "1_001_1.png",
        "6_001_1_01.png",
        "1_01_1_01.png",
        "1_001_3_01.png",
        "1_001_1_00.png",
        "1_001_2_11.png",
        "1_001_1_06.png",  # an image of view 2
        "1_001_2_05.png",  # an image of view 1
        "1_001_1_03.jpg",
    ],
)
def test_wrong_name(copied, name):
    (copied / "images_detected" / name).touch()
    with pytest.raises(UserError, match=rf"images_detected/{name}: .*such as 1_001_1_01\.png$"):
        CUHK03(copied, DETECTED).images()


def test_empty_folder(tmp_path):
    (tmp_path / "images_detected").mkdir()
    with pytest.raises(UserError, match=r"no detected images in .*images_detected, expected"):
        CUHK03(tmp_path, DETECTED).images()


def test_broken_extracted_image(copied):
    path = copied / "images_detected" / "1_001_1_01.png"
    path.write_bytes(path.read_bytes()[:200])
    dataset = CUHK03(copied, DETECTED)
    with pytest.raises(UserError, match=r"1_001_1_01\.png: .*expected a readable image"):
        dataset.read(path)


def test_no_splits_beside_extracted_images(copied):
    (copied / "splits_classic_detected.json").unlink()
    dataset = CUHK03(copied, DETECTED)
    assert dataset.sources() == []
    with pytest.raises(UserError, match=r"split_source: .*splits_classic_detected.json .*'random'"):
        dataset.official_splits()


def test_paths_of_windows_in_splits(copied):
    expected = CUHK03(copied, DETECTED).official_splits()
    path = copied / "splits_classic_detected.json"
    text = path.read_text().replace("/home/somebody/reid/", "D:/reid/").replace("/", "\\\\")
    path.write_text(text)
    assert CUHK03(copied, DETECTED).official_splits() == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "JSONDecodeError"),
        ("{}", "found 0 splits, expected 20"),
        ('{"train": []}', "expected the 20 splits"),
        ("[[1]]", "expected the 20 splits"),
        ('[{"query": []}]', "KeyError: 'gallery'"),
        ('[{"query": [[1, 2, 3]], "gallery": []}]', "expected the 20 splits"),
        ('[{"query": [], "gallery": [[]]}]', "expected the 20 splits"),
        ('[{"query": [], "gallery": []}]', "found 1 splits, expected 20"),
        (
            json.dumps([{"query": [["/a/0002_c1s1.jpg", 1, 0]], "gallery": []}] * 20),
            r"0002_c1s1\.jpg: found a name of another form",
        ),
    ],
)
def test_wrong_splits(copied, content, problem):
    path = copied / "splits_classic_detected.json"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"splits_classic_detected.json.*{problem}"):
        CUHK03(copied, DETECTED).official_splits()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128) + bytes(4096),
        lambda data: b"PK\x03\x04" + bytes(4096),
    ],
)
def test_no_hdf5(copied_mat, damage):
    copied_mat.write_bytes(damage(copied_mat.read_bytes()))
    dataset = CUHK03(copied_mat, DETECTED)
    for call in (dataset.images, dataset.official_splits, lambda: dataset.read((1, 1, 1))):
        with pytest.raises(UserError, match=r"cuhk-03.mat: found .*, expected .*MATLAB 7.3"):
            call()


def no_field(file):
    del file["detected"]


def numbers_for_cells(file):
    del file["detected"]
    file["detected"] = np.zeros((1, 5))


def group_for_cells(file):
    del file["detected"]
    file.create_group("detected")


def four_pairs(file):
    cells = file["detected"][()][:, :4]
    del file["detected"]
    file.create_dataset("detected", data=cells, dtype=h5py.ref_dtype)


def nine_images(file):
    pair = file[file["detected"][0, 2]]
    short = file.create_dataset("short", data=pair[()][:9], dtype=h5py.ref_dtype)
    file["detected"][0, 2] = short.ref


def numbers_for_a_pair(file):
    file["detected"][0, 2] = file.create_dataset("numbers", data=np.zeros((10, 3))).ref


def image(array):
    def damage(file):
        file[file["detected"][0, 2]][6, 0] = file.create_dataset("image", data=array).ref

    return damage


def no_reference(file):
    file[file["detected"][0, 2]][6, 0] = h5py.Reference()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (no_field, "found no field detected"),
        (numbers_for_cells, "expected detected as 5 x 1 cells"),
        (group_for_cells, "expected detected as 5 x 1 cells"),
        (four_pairs, "expected detected as 5 x 1 cells"),
        (nine_images, r"found .*\(9, 1\) as pair 3 of detected, expected .* 10 images"),
        (numbers_for_a_pair, "as pair 3 of detected"),
        (
            image(np.zeros((3, 9, 20))),
            r"found float64 \(3, 9, 20\) as image 7 of person 1 of pair 3",
        ),
        (image(np.zeros((9, 20), np.uint8)), r"found uint8 \(9, 20\) as image 7"),
        (image(np.zeros((20, 9, 3), np.uint8)), r"found uint8 \(20, 9, 3\) as image 7"),
        (no_reference, "expected cuhk-03.mat as it is distributed"),
    ],
)
def test_damaged_images(copied_mat, damage, problem):
    with h5py.File(copied_mat, "r+") as file:
        damage(file)
    with pytest.raises(UserError, match=rf"cuhk-03\.mat: .*{problem}"):
        CUHK03(copied_mat, DETECTED).images()
    # The other boxes are as they were.
    assert len(CUHK03(copied_mat, {"boxes": "labeled"}).images()) == 22


def test_no_images(tmp_path):
    write_cuhk03_mat(tmp_path, persons=PERSONS, shots=0)
    with pytest.raises(UserError, match=r"no detected images in .*cuhk-03\.mat, expected"):
        CUHK03(tmp_path, DETECTED).images()


def test_damaged_pixels(copied_mat):
    with h5py.File(copied_mat) as file:
        start = file[file[file["detected"][0, 2]][6, 0]].id.get_chunk_info(0).byte_offset
    with copied_mat.open("r+b") as raw:
        raw.seek(start)
        raw.write(b"\xff" * 64)
    dataset = CUHK03(copied_mat, DETECTED)
    assert len(dataset.images()) == 22
    with pytest.raises(UserError, match=r"cuhk-03\.mat: found .*, expected"):
        dataset.read((3, 1, 7))
    dataset.read((3, 1, 6))


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 1.0, 0.0]],
        [[1.0, 3.0]],  # pair 1 has two persons
        [[6.0, 1.0]],
        [[1.0, 0.0]],
        [[1.5, 1.0]],
        [1.0, 1.0],
    ],
)
def test_damaged_splits(copied_mat, rows):
    with h5py.File(copied_mat, "r+") as file:
        file["testsets"][0, 2] = file.create_dataset("rows", data=np.array(rows).T).ref
    dataset = CUHK03(copied_mat, DETECTED)
    assert len(dataset.images()) == 22
    with pytest.raises(UserError, match=r"cuhk-03\.mat: found .* as split 3 of testsets"):
        dataset.official_splits()


def test_missing_splits(copied_mat):
    with h5py.File(copied_mat, "r+") as file:
        cells = file["testsets"][()][:, :19]
        del file["testsets"]
        file.create_dataset("testsets", data=cells, dtype=h5py.ref_dtype)
    with pytest.raises(UserError, match="expected testsets as 20 x 1 cells"):
        CUHK03(copied_mat, DETECTED).official_splits()
    with h5py.File(copied_mat, "r+") as file:
        del file["testsets"]
    with pytest.raises(UserError, match="found no field testsets"):
        CUHK03(copied_mat, DETECTED).official_splits()


def test_width_of_an_image_that_cannot_be_read(copied_mat):
    dataset = CUHK03(copied_mat, DETECTED)
    copied_mat.write_bytes(b"")
    assert dataset.width((1, 1, 1)) == 0
