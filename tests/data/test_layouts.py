"""What the readers find in miniature downloads; `test_damage` has what is wrong with others."""

import os
import pickle
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import raw_folders

from rireid_jax.data.dataset import RawImage
from rireid_jax.data.datasets.caviar import CAVIAR4REID
from rireid_jax.data.datasets.mlr_cuhk03 import CUHK03
from rireid_jax.data.datasets.mlr_viper import VIPeR
from rireid_jax.data.datasets.vr_msmt17 import MSMT17
from rireid_jax.data.layouts.market1501 import Market1501
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError

DETECTED, LABELED = {"boxes": "detected"}, {"boxes": "labeled"}
BOXES = pytest.mark.parametrize("recipe", [DETECTED, LABELED])
# Person 2 of pair 1 was seen by the first camera only.
CUHK = dict(persons=(2, 1, 1, 1, 1), shots=2, one_view=[(1, 2)], test_persons=3)
PEOPLE = {10_001, 10_002, 20_001, 30_001, 40_001, 50_001}

# Reader, folders in which other libraries keep the download, and how many images the miniature has.
LAYOUTS = {
    "caviar": (
        CAVIAR4REID,
        "|CAVIARa|CAVIAR4REID|CAVIAR4REID/CAVIARa|CAVIAR|caviar4reid|caviar",
        10,
    ),
    "viper": (VIPeR, "|VIPeR|viper/VIPeR|VIPeR.v1.0|viper", 8),
    "mat": (CUHK03, "|cuhk03_release|cuhk03/cuhk03_release|cuhk03", 22),
    "extracted": (CUHK03, "|cuhk03|cuhk03_release", 22),
    "market": (Market1501, "|Market-1501-v15.09.15|market1501/Market-1501-v15.09.15", 15),
    "v1": (MSMT17, "|MSMT17_V1|msmt17/MSMT17_V1|MSMT17|msmt17|MSMT17_V1/MSMT17_V1", 16),
    "v2": (MSMT17, "|MSMT17_V2|msmt17/MSMT17_V2|MSMT17_V2/MSMT17_V2", 16),
}


@pytest.fixture(scope="module")
def downloads(tmp_path_factory) -> dict[str, Path]:
    raw = tmp_path_factory.mktemp("raw")
    people = dict(train_ids=(0, 1), test_ids=(0, 3))
    return {
        "caviar": raw_folders.write_caviar(raw / "1" / "CAVIARa", (1, 72), (9,)),
        "viper": raw_folders.write_viper(raw / "2" / "VIPeR", (0, 3, 11, 873)),
        "mat": raw_folders.write_cuhk03_mat(raw / "3" / "cuhk03_release", **CUHK),
        "extracted": raw_folders.write_cuhk03_extracted(raw / "4" / "cuhk03", **CUHK),
        "market": raw_folders.write_market_folder(raw / "5", (7, 8), (9,), shots=2),
        "v1": raw_folders.write_msmt17(raw / "6" / "MSMT17_V1", **people),
        "v2": raw_folders.write_msmt17(raw / "7" / "MSMT17_V2", **people, version="V2"),
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_found_read_and_pickled(downloads, tmp_path, name):
    kind, parents, number = LAYOUTS[name]
    expected = kind(downloads[name], DETECTED).images()
    assert len({image.name for image in expected}) == len(expected) == number
    for n, parent in enumerate(parents.split("|")):
        root = tmp_path / str(n) / parent
        root.parent.mkdir(parents=True, exist_ok=True)
        root.symlink_to(downloads[name])
        images = kind(tmp_path / str(n), DETECTED).images()
        assert [image.name for image in images] == [image.name for image in expected]
    reader = kind(downloads[name], DETECTED)
    data = [reader.read(image.origin) for image in expected]
    again = pickle.loads(pickle.dumps(reader))  # cuhk-03.mat is open meanwhile
    assert [again.read(image.origin) for image in expected] == data
    for image, encoded in zip(expected, data, strict=True):
        assert reader.width(image.origin) == decode_image(encoded, image.name).width
        if name not in ("mat", "extracted"):
            assert encoded == (downloads[name] / image.name).read_bytes()
    for nowhere in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"--config\.data\.raw_dir: .*, expected the folder"):
            kind(nowhere / "x", DETECTED)


def test_images_of_caviar(downloads):
    images = CAVIAR4REID(downloads["caviar"], {}).images()
    assert [(image.name, image.pid, image.camid) for image in images][:6] == [
        ("0001001.jpg", 1, 0),
        ("0001002.jpg", 1, 0),
        ("0001011.jpg", 1, 1),
        ("0001012.jpg", 1, 1),
        ("0009001.jpg", 9, 0),
        ("0009002.jpg", 9, 0),
    ]
    assert {image.role for image in images} == {""}


def test_camera_of_caviar_by_number(tmp_path):
    for number in (1, 10, 11, 20):
        (tmp_path / f"0001{number:03d}.jpg").touch()
    assert [image.camid for image in CAVIAR4REID(tmp_path, {}).images()] == [0, 0, 1, 1]


def test_images_of_viper(downloads):
    images = VIPeR(downloads["viper"], {}).images()
    assert [(image.pid, image.camid) for image in images] == [
        (pid, camid) for camid in (0, 1) for pid in (0, 3, 11, 873)
    ]
    assert [image.name for image in images[::4]] == ["cam_a/000_0.bmp", "cam_b/000_90.bmp"]


def test_images_of_msmt17(downloads):
    reader = MSMT17(downloads["v1"], {})
    images = reader.images()
    assert reader.version == "V1"
    assert [path.name for path in reader.sources()] == [
        f"list_{part}.txt" for part in ("train", "val", "query", "gallery")
    ]
    # One image by each of two cameras in every list; test identities are other people.
    pids = {"train": (0, 1), "val": (0, 1), "query": (10_000, 10_003), "gallery": (10_000, 10_003)}
    assert Counter((image.role, image.pid, image.camid) for image in images) == {
        (role, pid, camid): 1 for role in pids for pid in pids[role] for camid in (0, 1)
    }
    assert images[0].name == "train/0000/0000_000_01_0303morning_0000_0.jpg"
    on_disk = downloads["v1"].rglob("*.jpg")
    names = {image.name for image in images}
    assert names == {path.relative_to(downloads["v1"]).as_posix() for path in on_disk}
    blurred = MSMT17(downloads["v2"], {})
    assert blurred.version == "V2"
    assert [image.name for image in blurred.images()][::15] == [
        "mask_train_v2/0000/0000_000_01_0303morning_0000_0.jpg",
        "mask_test_v2/0003/0003_002_02_0303morning_0002_0.jpg",
    ]


def test_both_versions_of_msmt17(downloads, tmp_path):
    for version in ("v1", "v2"):
        (tmp_path / f"MSMT17_{version.upper()}").symlink_to(downloads[version])
    with pytest.raises(UserError, match=r"found .*MSMT17_V1 and .*MSMT17_V2, expected .* one"):
        MSMT17(tmp_path, {})


def test_windows_line_ends_and_blank_lines(downloads, tmp_path):
    copied = shutil.copytree(downloads["v1"], tmp_path / "raw")
    for path in copied.glob("list_*"):
        text = path.read_text().replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n \r\n")
    names = [[i.name for i in MSMT17(raw, {}).images()] for raw in (copied, downloads["v1"])]
    assert names[0] == names[1]


@BOXES
def test_images_of_cuhk03_from_both_sources(downloads, recipe):
    mat, extracted = (CUHK03(downloads[name], recipe) for name in ("mat", "extracted"))
    images, files = mat.images(), extracted.images()
    assert [(image.name, image.pid, image.camid, image.origin) for image in images[1:6]] == [
        ("1_001_1_02.png", 10_001, 0, (1, 1, 2)),
        ("1_001_2_06.png", 10_001, 1, (1, 1, 6)),
        ("1_001_2_07.png", 10_001, 1, (1, 1, 7)),
        ("1_002_1_01.png", 10_002, 0, (1, 2, 1)),
        ("1_002_1_02.png", 10_002, 0, (1, 2, 2)),
    ]
    assert {image.pid for image in images} == PEOPLE
    assert [(i.name, i.pid, i.camid) for i in images] == [(i.name, i.pid, i.camid) for i in files]
    for image, file in zip(images, files, strict=True):
        assert mat.read(image.origin) == extracted.read(file.origin)
        pixels = decode_image(file.origin.read_bytes(), file.name)
        np.testing.assert_array_equal(decode_image(mat.read(image.origin), image.name), pixels)
    trials = mat.official_trials()
    assert extracted.official_trials() == trials
    assert len(trials) == 20
    assert all(len(trial) == 3 and set(trial) <= PEOPLE for trial in trials)
    with h5py.File(downloads["mat"] / "cuhk-03.mat", locking=False) as file:
        rows = file[file["testsets"][0, 7]][()].T  # of a pair of cameras and a person
    assert trials[7] == {int(10_000 * pair + person) for pair, person in rows}
    published = {"detected": 14_097, "labeled": 14_096}
    assert CUHK03.counts(recipe)[""].images == published[recipe["boxes"]]
    splits = f"splits_classic_{recipe['boxes']}.json"
    assert [path.name for path in mat.sources()] == ["cuhk-03.mat"]
    assert [path.name for path in extracted.sources()] == [splits]


def test_places_of_cuhk03(downloads, tmp_path):
    """The .mat file or the folder of images may be given themselves; the .mat file goes first."""
    assert len(CUHK03(downloads["mat"] / "cuhk-03.mat", DETECTED).images()) == 22
    reader = CUHK03(downloads["extracted"] / "images_detected", DETECTED)
    assert (len(reader.images()), len(reader.official_trials())) == (22, 20)
    with pytest.raises(UserError, match=r"has no cuhk-03\.mat and no images_labeled"):
        CUHK03(downloads["extracted"] / "images_detected", LABELED)
    both = shutil.copytree(downloads["extracted"], tmp_path / "cuhk03")
    (both / "cuhk03_release").symlink_to(downloads["mat"])
    assert CUHK03(both, DETECTED).images()[0].origin == (1, 1, 1)


def test_a_colour_profile_makes_no_difference(downloads, tmp_path):
    raw = shutil.copytree(downloads["extracted"], tmp_path / "cuhk03")
    path = raw / "images_detected" / "1_001_1_01.png"
    before = CUHK03(raw, DETECTED).read(path)
    decode_image(path.read_bytes(), "").save(path, icc_profile=b"profile", dpi=(72, 72))
    assert CUHK03(raw, DETECTED).read(path) == before


def test_paths_of_windows_in_official_trials(downloads, tmp_path):
    raw = shutil.copytree(downloads["extracted"], tmp_path / "cuhk03")
    expected = CUHK03(raw, DETECTED).official_trials()
    path = raw / "splits_classic_detected.json"
    text = path.read_text().replace("/home/somebody/reid/", "D:/reid/").replace("/", "\\\\")
    path.write_text(text)
    assert CUHK03(raw, DETECTED).official_trials() == expected


def test_many_threads_read_cuhk03(downloads):
    reader = CUHK03(downloads["mat"], DETECTED)
    origins = [image.origin for image in reader.images()] * 4
    expected = [reader.read(origin) for origin in origins]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(CUHK03(downloads["mat"], DETECTED).read, origins)) == expected


def test_every_process_opens_cuhk03(downloads, monkeypatch):
    opened = []
    original = h5py.File
    monkeypatch.setattr(h5py, "File", lambda *a, **k: opened.append(a) or original(*a, **k))
    reader = CUHK03(downloads["mat"], DETECTED)
    reader.images()
    data = reader.read((5, 1, 7))
    assert len(opened) == 1
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    assert reader.read((5, 1, 7)) == data
    assert len(opened) == 2


def test_parts_of_cuhk03_that_cannot_be_read(downloads, tmp_path):
    file = Path(shutil.copy(downloads["mat"] / "cuhk-03.mat", tmp_path))
    with h5py.File(file, "r+") as opened:
        del opened["detected"], opened["testsets"]
    assert len(CUHK03(file, LABELED).images()) == 22  # the other boxes are as they were
    reader = CUHK03(file, LABELED)
    file.write_bytes(b"")
    assert reader.width((1, 1, 1)) == 0
    raw_folders.write_cuhk03_mat(tmp_path, persons=(1,) * 5, shots=0, test_persons=1)
    with pytest.raises(UserError, match=r"no detected images in .*cuhk-03\.mat, expected"):
        CUHK03(tmp_path, DETECTED).images()


# What a download holds compared with what its authors count.


def mismatches(kind, images):
    reader = object.__new__(kind)  # of no folder
    reader.recipe = {}
    return list(reader.mismatches(images))


def raw_images(pids, camids, role=""):
    return [RawImage(f"{p}_{c}{role}", p, c, (), role) for p in pids for c in camids]


def test_numbers_that_are_not_the_published_ones():
    assert mismatches(VIPeR, raw_images(range(632), (0, 1))) == []
    assert mismatches(VIPeR, raw_images(range(600), (0, 1))) == [
        "found 1,200 images of 600 identities, the full VIPeR has 1,264 images of 632 identities"
    ]
    one_camera = raw_images(range(632), (0,)) + raw_images(range(632), (0,), "x")
    assert mismatches(VIPeR, one_camera) == ["found 1 cameras, the full VIPeR has 2"]
    train, query, *_, cameras = mismatches(Market1501, raw_images(range(2), range(6), "train"))
    assert train.startswith("train has 12 images of 2 identities, the full Market-1501 has 12,936")
    assert query.startswith("query has 0 images")
    assert cameras.startswith("gallery has 0 images")


@pytest.mark.parametrize(("both", "problem"), [(50, []), (49, ["found 49 identities before both"])])
def test_identities_before_both_cameras(both, problem):
    found = raw_images(range(both), (0, 1)) + raw_images(range(both, 72), (0,))
    found += [RawImage(f"more{n}", 0, 0, ()) for n in range(1_220 - len(found))]
    problems = mismatches(CAVIAR4REID, found)
    assert [text.partition(" cameras")[0] for text in problems] == problem
