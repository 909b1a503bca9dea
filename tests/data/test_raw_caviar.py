import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from raw_folders import write_caviar
from rireid_jax.data.raw.caviar import CAVIAR4REID

from rireid_jax.errors import UserError


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    raw = tmp_path_factory.mktemp("raw")
    return write_caviar(raw / "CAVIARa", ids=(1, 72), single_ids=(9,), shots=2)


@pytest.fixture
def copied(written, tmp_path) -> Path:
    return shutil.copytree(written, tmp_path / "CAVIARa")


def test_images(written):
    dataset = CAVIAR4REID(written, {})
    images = dataset.images()
    assert [(image.name, image.pid, image.camid) for image in images] == [
        ("0001001.jpg", 1, 0),
        ("0001002.jpg", 1, 0),
        ("0001011.jpg", 1, 1),
        ("0001012.jpg", 1, 1),
        ("0009001.jpg", 9, 0),
        ("0009002.jpg", 9, 0),
        ("0072001.jpg", 72, 0),
        ("0072002.jpg", 72, 0),
        ("0072011.jpg", 72, 1),
        ("0072012.jpg", 72, 1),
    ]
    assert {image.role for image in images} == {""}
    assert dataset.sources() == ()
    assert CAVIAR4REID.size is None
    for image in images:
        assert dataset.read(image.origin) == (written / image.name).read_bytes()


def test_second_camera_is_smaller(written):
    dataset = CAVIAR4REID(written, {})
    images = dataset.images()
    widths = [[dataset.width(i.origin) for i in images if i.camid == c] for c in (0, 1)]
    assert max(widths[1]) <= 30 < 40 <= min(widths[0])
    assert np.ptp(widths[0]) > 0
    assert np.ptp(widths[1]) > 0


@pytest.mark.parametrize(("number", "camid"), [(1, 0), (10, 0), (11, 1), (20, 1)])
def test_camera_by_number(tmp_path, number, camid):
    (tmp_path / f"0001{number:03d}.jpg").touch()
    assert [image.camid for image in CAVIAR4REID(tmp_path, {}).images()] == [camid]


@pytest.mark.parametrize(
    "parent",
    ["", "CAVIARa", "CAVIAR4REID", "CAVIAR4REID/CAVIARa", "CAVIAR", "caviar4reid", "caviar"],
)
def test_layouts(written, tmp_path, parent):
    root = tmp_path / "raw" / parent
    root.parent.mkdir(parents=True, exist_ok=True)
    root.symlink_to(written)
    images = CAVIAR4REID(tmp_path / "raw", {}).images()
    assert len(images) == 10
    assert images[0].name == "0001001.jpg"


def test_other_files_do_not_count(copied):
    for name in ("Thumbs.db", "._0001001.jpg", ".DS_Store", "readme.txt"):
        (copied / name).touch()
    assert len(CAVIAR4REID(copied, {}).images()) == 10


def test_pickles(written):
    dataset = pickle.loads(pickle.dumps(CAVIAR4REID(written, {})))
    assert dataset.read(dataset.images()[0].origin).startswith(b"\xff\xd8")


@pytest.mark.parametrize("name", ["1001.jpg", "00010011.jpg", "0001_001.jpg", "000100a.jpg"])
def test_wrong_name(copied, name):
    (copied / name).touch()
    with pytest.raises(UserError, match=rf"CAVIARa/{name}: .*such as 0001001\.jpg$"):
        CAVIAR4REID(copied, {}).images()


@pytest.mark.parametrize("number", ["000", "021", "999"])
def test_wrong_number(copied, number):
    (copied / f"0001{number}.jpg").touch()
    with pytest.raises(UserError, match=rf"0001{number}\.jpg: found image number {number}"):
        CAVIAR4REID(copied, {}).images()


def test_image_twice(copied):
    shutil.copy(copied / "0001001.jpg", copied / "0001001.png")
    with pytest.raises(UserError, match=r"0001001\.png: .*0001001\.jpg, expected each image once"):
        CAVIAR4REID(copied, {}).images()


def test_nothing_there(written, tmp_path):
    (tmp_path / "CAVIARa").mkdir()
    for raw_dir in (tmp_path, tmp_path / "nowhere", written / "0001001.jpg"):
        with pytest.raises(UserError, match=f"found no images in {raw_dir}, expected the folder"):
            CAVIAR4REID(raw_dir, {})
