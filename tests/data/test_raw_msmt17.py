import pickle
import shutil
from collections import Counter
from pathlib import Path

import pytest
from raw_folders import write_msmt17
from rireid_jax.data.raw.msmt17 import MSMT17

from rireid_jax.errors import UserError

LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")
FIRST = "0000/0000_000_01_0303morning_0000_0.jpg"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    raw = tmp_path_factory.mktemp("raw")
    return write_msmt17(raw / "MSMT17_V1", train_ids=(0, 1), test_ids=(0, 3), cameras=2, shots=1)


@pytest.fixture
def copied(written, tmp_path) -> Path:
    return shutil.copytree(written, tmp_path / "MSMT17_V1")


def prepend(path: Path, line: str) -> None:
    path.write_text(f"{line}\n{path.read_text()}")


def test_images(written):
    dataset = MSMT17(written, {})
    images = dataset.images()
    assert dataset.version == "V1"
    assert dataset.sources() == [written / name for name in LISTS]
    # One image by each of two cameras in every list.
    assert Counter((image.role, image.pid, image.camid) for image in images) == {
        (role, pid, camid): 1
        for role, pids in (
            ("train", (0, 1)),
            ("val", (0, 1)),
            ("query", (10_000, 10_003)),
            ("gallery", (10_000, 10_003)),
        )
        for pid in pids
        for camid in (0, 1)
    }
    assert images[0].name == f"train/{FIRST}"
    assert {image.name.partition("/")[0] for image in images if image.pid >= 10_000} == {"test"}
    for image in images:
        assert image.origin == written / image.name
        assert dataset.read(image.origin) == (written / image.name).read_bytes()


def test_files_on_disk_are_those_listed(written):
    names = {image.name for image in MSMT17(written, {}).images()}
    assert names == {path.relative_to(written).as_posix() for path in written.rglob("*.jpg")}
    assert any(name.endswith("_ex.jpg") for name in names)


def test_some_images_are_narrow_and_some_wide(written):
    dataset = MSMT17(written, {})
    widths = [dataset.width(image.origin) for image in dataset.images()]
    assert min(widths) < 64
    assert max(widths) > 128


@pytest.mark.parametrize(
    "parent",
    ["", "MSMT17_V1", "msmt17/MSMT17_V1", "MSMT17", "msmt17", "MSMT17_V1/MSMT17_V1"],
)
def test_layouts(written, tmp_path, parent):
    root = tmp_path / "raw" / parent
    root.parent.mkdir(parents=True, exist_ok=True)
    root.symlink_to(written)
    dataset = MSMT17(tmp_path / "raw", {})
    assert dataset.version == "V1"
    assert len(dataset.images()) == 16


@pytest.mark.parametrize("parent", ["", "MSMT17_V2", "msmt17/MSMT17_V2", "MSMT17_V2/MSMT17_V2"])
def test_version_2(copied, tmp_path, parent):
    (copied / "train").rename(copied / "mask_train_v2")
    (copied / "test").rename(copied / "mask_test_v2")
    root = tmp_path / "raw" / parent
    root.parent.mkdir(parents=True, exist_ok=True)
    root.symlink_to(copied)
    dataset = MSMT17(tmp_path / "raw", {})
    assert dataset.version == "V2"
    assert [image.name for image in dataset.images()][::15] == [
        f"mask_train_v2/{FIRST}",
        "mask_test_v2/0003/0003_002_02_0303morning_0002_0.jpg",
    ]


def test_writes_version_2(tmp_path):
    write_msmt17(tmp_path, train_ids=[5], test_ids=[6], version="V2", cameras=1)
    assert {image.pid for image in MSMT17(tmp_path, {}).images()} == {5, 10_006}


def test_both_versions(copied, tmp_path):
    shutil.copytree(copied, tmp_path / "msmt17" / "MSMT17_V2")
    for name in ("train", "test"):
        folder = tmp_path / "msmt17" / "MSMT17_V2" / name
        folder.rename(folder.with_name(f"mask_{name}_v2"))
    with pytest.raises(UserError, match=r"found .*MSMT17_V1 and .*MSMT17_V2, expected .* one"):
        MSMT17(tmp_path, {})


def test_windows_line_ends_and_blank_lines(written, copied):
    for name in LISTS:
        text = (copied / name).read_text().replace("\n", "\r\n")
        (copied / name).write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n \r\n")
    names = [image.name for image in MSMT17(copied, {}).images()]
    assert names == [image.name for image in MSMT17(written, {}).images()]


def test_other_files_do_not_count(copied):
    for name in ("train/.DS_Store", "train/0000/._a.jpg", "test/0003/Thumbs.db", "readme.txt"):
        (copied / name).touch()
    assert len(MSMT17(copied, {}).images()) == 16


def test_pickles(written):
    dataset = pickle.loads(pickle.dumps(MSMT17(written, {})))
    assert dataset.read(dataset.images()[0].origin).startswith(b"\xff\xd8")


@pytest.mark.parametrize("name", [*LISTS, "train", "test"])
def test_missing_part(copied, name):
    (copied / name).rename(copied / "elsewhere")
    with pytest.raises(UserError, match=rf"MSMT17_V1 has no {name}, expected the folder MSMT17_V1"):
        MSMT17(copied, {})


def test_nothing_there(written, tmp_path):
    for raw_dir in (tmp_path, tmp_path / "nowhere", written / LISTS[0]):
        with pytest.raises(
            UserError, match=f"{raw_dir} has no train and no test and no list_train"
        ):
            MSMT17(raw_dir, {})


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (FIRST, "expected an image and its label"),
        (f"{FIRST} 0 1", "expected an image and its label"),
        (f"{FIRST} 1", "expected the same identity"),
        (f"{FIRST} one", "expected the same identity"),
        (f"{FIRST} -0", "expected the same identity"),
        (FIRST.replace("/0000", "/0001") + " 0", "expected the same identity"),
        ("0000_000_01_0303morning_0000_0.jpg 0", "such as 0000/0000_000_01_0303morning"),
        ("train/" + FIRST + " 0", "such as 0000/0000_000_01_0303morning"),
        (FIRST.replace("_01_", "_00_") + " 0", "such as 0000/0000_000_01_0303morning"),
        (FIRST.replace("_01_", "_c1_") + " 0", "such as 0000/0000_000_01_0303morning"),
        (FIRST.replace("jpg", "txt") + " 0", "such as 0000/0000_000_01_0303morning"),
        (FIRST.replace("_0.jpg", "_9.jpg") + " 0", "is not there, expected an image"),
        (FIRST.replace("0000_0", "0777_0").replace("0000/", "0777/") + " 777", "is not there"),
    ],
)
def test_wrong_line(copied, name, line, problem):
    prepend(copied / name, line)
    with pytest.raises(UserError, match=rf"{name}, line 1: .*{problem}"):
        MSMT17(copied, {}).images()


def test_image_twice_in_a_list(copied):
    path = copied / "list_query.txt"
    path.write_text(path.read_text() + path.read_text().splitlines()[1])
    with pytest.raises(
        UserError, match=r"query\.txt, line 5: found 0000/.* again after .*, line 2"
    ):
        MSMT17(copied, {}).images()


@pytest.mark.parametrize(("first", "second"), [("train", "val"), ("query", "gallery")])
def test_image_in_two_lists(copied, first, second):
    line = (copied / f"list_{first}.txt").read_text().splitlines()[0]
    prepend(copied / f"list_{second}.txt", line)
    expected = rf"list_{second}.txt, line 1: .* again after .*list_{first}.txt, line 1, expected"
    with pytest.raises(UserError, match=expected):
        MSMT17(copied, {}).images()


@pytest.mark.parametrize("name", LISTS)
def test_empty_list(copied, name):
    (copied / name).write_text("\n\n")
    with pytest.raises(UserError, match=f"{name}: found no images"):
        MSMT17(copied, {}).images()


def test_list_that_is_no_text(copied):
    (copied / "list_val.txt").write_bytes("0000/für_01.jpg 0\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"list_val.txt: .*can't decode.*expected a list"):
        MSMT17(copied, {}).images()
    (copied / "list_val.txt").unlink()
    (copied / "list_val.txt").mkdir()
    with pytest.raises(UserError, match=r"list_val.txt: .*directory.*expected a list"):
        MSMT17(copied, {}).images()


def test_file_instead_of_folder(copied):
    shutil.rmtree(copied / "train" / "0001")
    (copied / "train" / "0001").touch()
    with pytest.raises(UserError, match=r"train.txt, line 3: .*train/0001/.* is not there"):
        MSMT17(copied, {}).images()
