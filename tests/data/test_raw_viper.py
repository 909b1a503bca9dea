import pickle
import shutil
from pathlib import Path

import pytest
from PIL import Image
from raw_folders import write_viper
from rireid_jax.data.raw.viper import VIPeR

from rireid_jax.errors import UserError


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_viper(tmp_path_factory.mktemp("raw") / "VIPeR", ids=(0, 3, 11, 873))


@pytest.fixture
def copied(written, tmp_path) -> Path:
    return shutil.copytree(written, tmp_path / "VIPeR")


def test_images(written):
    dataset = VIPeR(written, {})
    images = dataset.images()
    assert [(image.pid, image.camid) for image in images] == [
        *((pid, 0) for pid in (0, 3, 11, 873)),
        *((pid, 1) for pid in (0, 3, 11, 873)),
    ]
    assert [image.name for image in images[::4]] == ["cam_a/000_0.bmp", "cam_b/000_90.bmp"]
    assert {image.role for image in images} == {""}
    assert dataset.sources() == ()
    for image in images:
        assert image.origin == written / image.name
        assert dataset.read(image.origin) == (written / image.name).read_bytes()
        with Image.open(image.origin) as opened:
            assert opened.size == VIPeR.size == (48, 128)


@pytest.mark.parametrize("parent", ["", "VIPeR", "viper/VIPeR", "VIPeR.v1.0", "viper"])
def test_layouts(written, tmp_path, parent):
    root = tmp_path / "raw" / parent
    root.parent.mkdir(parents=True, exist_ok=True)
    root.symlink_to(written)
    images = VIPeR(tmp_path / "raw", {}).images()
    assert [image.name for image in images] == [image.name for image in VIPeR(written, {}).images()]


def test_other_files_do_not_count(copied):
    (copied / "README.txt").touch()
    for name in ("Thumbs.db", "._000_45.bmp", ".DS_Store"):
        (copied / "cam_a" / name).touch()
    assert len(VIPeR(copied, {}).images()) == 8


def test_pickles(written):
    dataset = pickle.loads(pickle.dumps(VIPeR(written, {})))
    assert dataset.read(dataset.images()[0].origin).startswith(b"BM")


def test_has_no_official_splits(written):
    with pytest.raises(UserError, match="VIPeR comes without splits"):
        VIPeR(written, {}).official_splits()


@pytest.mark.parametrize(
    "name", ["45.bmp", "0003_45.bmp", "003.bmp", "003_45_1.bmp", "a03_45.bmp", "003_.bmp"]
)
def test_wrong_name(copied, name):
    (copied / "cam_b" / name).touch()
    with pytest.raises(UserError, match=rf"cam_b/{name}: .*such as 000_45\.bmp$"):
        VIPeR(copied, {}).images()


def test_identity_twice_in_a_camera(copied):
    (copied / "cam_a" / "003_170.bmp").touch()
    with pytest.raises(UserError, match=r"cam_a/003_\d+\.bmp: .*second image of identity 003"):
        VIPeR(copied, {}).images()


@pytest.mark.parametrize(("gone", "left"), [("cam_a", "cam_b"), ("cam_b", "cam_a")])
def test_identity_in_one_camera(copied, gone, left):
    next((copied / gone).glob("011_*")).unlink()
    with pytest.raises(
        UserError, match=rf"{left}/011_\d+\.bmp: .*no image of identity 011 in {gone}"
    ):
        VIPeR(copied, {}).images()


def test_empty_folder(copied):
    for file in (copied / "cam_b").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"found no images in .*cam_b, expected"):
        VIPeR(copied, {}).images()


def test_missing_folder(copied, tmp_path):
    shutil.rmtree(copied / "cam_b")
    with pytest.raises(UserError, match=r"VIPeR has no cam_b, expected the folder VIPeR"):
        VIPeR(tmp_path, {})
    with pytest.raises(UserError, match="nowhere has no cam_a and no cam_b"):
        VIPeR(tmp_path / "nowhere", {})


def test_file_instead_of_folder(copied):
    with pytest.raises(UserError, match="has no cam_a and no cam_b"):
        VIPeR(next((copied / "cam_a").iterdir()), {})
    shutil.rmtree(copied / "cam_b")
    (copied / "cam_b").touch()
    with pytest.raises(UserError, match="cam_b: found a file"):
        VIPeR(copied, {}).images()


def test_image_that_is_gone(copied):
    dataset = VIPeR(copied, {})
    origin = dataset.images()[0].origin
    origin.unlink()
    with pytest.raises(UserError, match=r"cam_a/000_0\.bmp: No such file"):
        dataset.read(origin)
