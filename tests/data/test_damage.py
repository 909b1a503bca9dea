"""Damages to every download: each is named in one line, and nothing is left of the build.

Every test damages a miniature download, and afterwards repairs it. All of them lie under paths with spaces and
letters beyond ASCII, as do the names of files where people may choose them.
"""

import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from damages import benchmarks, cuhk03, own
from damages.changes import Damage, changed, link_instead, renamed, without, written
from PIL import Image
from raw_folders import (
    write_caviar,
    write_cuhk03_extracted,
    write_cuhk03_mat,
    write_market_folder,
    write_msmt17,
    write_viper,
)

from rireid_jax.config import recipe_of
from rireid_jax.data.build import Built, build
from rireid_jax.errors import UserError

# What Pillow remarks, `data.records` silences outside of tests.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")


class Download(NamedTuple):
    """A miniature download."""

    dataset: str
    recipe: Mapping[str, Any]
    raw: str  # what `raw_dir` is, relative to the folder that `write` writes into
    write: Callable[[Path], Any]
    image: str  # a file that holds an image; "" where none does
    damages: list[Damage]


def download(name: str, *rest: Any, **change: Any) -> Download:
    return Download(name, recipe_of(name) | change, *rest)


PEOPLE = dict(persons=(2, 1, 1, 1, 1), shots=1, test_persons=3)
MARKET = "Market-1501-v15.09.15"
DOWNLOADS = {
    "caviar": download(
        "caviar",
        "CAVIAR4REID",
        lambda folder: write_caviar(folder / "CAVIAR4REID", (1, 2, 3, 4), (9,), shots=1),
        "CAVIAR4REID/0003011.jpg",
        benchmarks.caviar(),
        train_identities=3,
    ),
    "mlr_viper": download(
        "mlr_viper",
        "VIPeR",
        lambda folder: write_viper(folder / "VIPeR", ids=(0, 3, 11, 873), size=(64, 24)),
        "VIPeR/cam_a/011_90.bmp",
        benchmarks.viper(),
        train_identities=2,
    ),
    "cuhk-03.mat": download(
        "mlr_cuhk03",
        "cuhk03_release",
        lambda folder: write_cuhk03_mat(folder / "cuhk03_release", **PEOPLE),
        "",
        cuhk03.mat(),
    ),
    "mlr_cuhk03": download(
        "mlr_cuhk03",
        "cuhk03",
        lambda folder: write_cuhk03_extracted(folder / "cuhk03", **PEOPLE),
        "cuhk03/images_detected/1_001_1_01.png",
        benchmarks.extracted(),
    ),
    "vr_market1501": download(
        "vr_market1501",
        MARKET,
        lambda folder: write_market_folder(folder / MARKET, (7, 8), (9,), size=(64, 32)),
        f"{MARKET}/bounding_box_train/0007_c1s1_000000_00.jpg",
        benchmarks.market(),
    ),
    "vr_msmt17": download(
        "vr_msmt17",
        "MSMT17_V1",
        lambda folder: write_msmt17(folder / "MSMT17_V1", train_ids=(0, 1), test_ids=(0,)),
        "MSMT17_V1/train/0000/0000_000_01_0303morning_0000_0.jpg",
        benchmarks.msmt17(),
    ),
    "folder": download(
        "folder",
        "Leute ü",
        lambda folder: own.write_people(folder, own.PEOPLE),
        own.PEOPLE[0],
        own.folder(),
    ),
    "csv": download("folder", "Liste ü.csv", own.write_list, "Bilder ß/1.jpg", own.csv()),
    "natural_images": Download(
        "natural_images",
        dict(count=9, size=(16, 8), seed=0),
        "Photos ü",
        lambda folder: own.write_people(folder, own.PHOTOS),
        own.PHOTOS[1],
        own.natural_images(),
    ),
}
OF_FILES = [name for name, download in DOWNLOADS.items() if download.image]


class Workplace:
    """A download that can be damaged and repaired, and a folder to build it in."""

    def __init__(self, download: Download, folder: Path):
        self.download = download
        self.folder, self._whole = folder / "Rohdaten für Tests 人", folder / "whole"
        download.write(self._whole)
        self.data_dir = folder / "gebaut ü"
        self.data_dir.mkdir()
        self.repair()
        self.protocol_hash = self.build().protocol_hash
        self.clean()

    def build(self, **options: Any) -> Built:
        arguments: dict[str, Any] = dict(
            data_dir=str(self.data_dir), raw_dir=str(self.folder / self.download.raw), threads=1
        )
        return build(self.download.dataset, self.download.recipe, **arguments | options)

    def repair(self) -> None:
        """Puts the download back as it was; keeps what was built."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._whole, self.folder)

    def clean(self) -> None:
        """Makes ready for the next test."""
        self.repair()
        for path in self.data_dir.iterdir():
            shutil.rmtree(path)


@pytest.fixture(scope="module")
def workplaces(tmp_path_factory) -> dict[str, Workplace]:
    """By download; made when first needed."""
    return {}


@pytest.fixture
def workplace(source, workplaces, tmp_path_factory) -> Iterator[Workplace]:
    if source not in workplaces:
        workplaces[source] = Workplace(DOWNLOADS[source], tmp_path_factory.mktemp("damage"))
    yield workplaces[source]
    workplaces[source].clean()


def check_refused(workplace: Workplace, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        workplace.build()
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert "object at 0x" not in line
    assert "expected" in line or "never be matched" in line


@pytest.mark.parametrize("source", DOWNLOADS)
def test_damages(workplace):
    for number, (do, message) in enumerate(workplace.download.damages):
        do(workplace.folder)
        try:
            check_refused(workplace, message)
        except BaseException as error:
            error.add_note(f"damage {number}: {message}")
            raise
        assert not list(workplace.data_dir.rglob("*")), message
        workplace.repair()
    assert workplace.build().protocol_hash == workplace.protocol_hash


@pytest.mark.parametrize("source", OF_FILES)
@pytest.mark.parametrize("kind", ["cut off", "broken link"])
def test_one_bad_image_may_be_left_out(workplace, kind, caplog):
    name = workplace.download.image
    if kind == "cut off":
        changed(name, lambda data: data[: len(data) // 2])(workplace.folder)
    elif workplace.download.raw.endswith(".csv"):
        pytest.skip("a list of what is not there is wrong as a list")
    else:
        link_instead(name, "nowhere")(workplace.folder)
    check_refused(workplace, f"{name}: .*expected a readable image.*max_bad_images allows 0")
    records = sum(map(len, workplace.build(max_bad_images=1).splits.values()))
    assert f"left out: {workplace.folder / name}" in caplog.text
    workplace.clean()
    assert sum(map(len, workplace.build().splits.values())) == records + 1


@pytest.mark.parametrize("source", DOWNLOADS)
def test_damage_after_the_build_is_noticed(workplace):
    workplace.build()
    name = workplace.download.image or "cuhk03_release/cuhk-03.mat"
    half = changed(name, lambda data: data[: len(data) // 2])
    for damage in (half, link_instead(name, "nowhere"), without(name)):
        damage(workplace.folder)
        with pytest.raises(UserError) as caught:
            workplace.build()
        assert len(str(caught.value).splitlines()) == 1
        workplace.repair()
    assert workplace.build().protocol_hash == workplace.protocol_hash


@pytest.mark.parametrize("source", OF_FILES)
def test_files_that_systems_leave(workplace):
    image = Path(workplace.download.image)
    for name in ("Thumbs.db", ".DS_Store", f"._{image.name}", "lies mich.txt"):
        written(str(image.with_name(name)), b"no image")(workplace.folder)
    assert workplace.build().protocol_hash == workplace.protocol_hash


@pytest.mark.parametrize("source", ["vr_market1501", "folder", "natural_images"])
def test_suffix_in_capitals(workplace):
    image = Path(workplace.download.image)
    renamed(str(image), str(image.with_suffix(".JPG")))(workplace.folder)
    built = workplace.build()
    names = [part[n].name for part in built.splits.values() for n in range(len(part))]
    assert any(name.endswith(f"/{image.stem}.JPG") for name in names)


@pytest.mark.parametrize("source", ["mlr_viper", "vr_market1501"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5_000), (5_000, 1)])
def test_odd_sizes(workplace, size):
    """Whoever wants them has them; benchmarks of one size warn of them."""
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    written(workplace.download.image, buffer.getvalue())(workplace.folder)
    assert workplace.build().splits


@pytest.mark.parametrize("source", ["cuhk-03.mat"])
def test_header_of_matlab_is_not_needed(workplace):
    name = "cuhk03_release/cuhk-03.mat"
    changed(name, lambda data: bytes(512) + data[512:])(workplace.folder)
    assert workplace.build().protocol_hash == workplace.protocol_hash


@pytest.mark.parametrize("source", ["mlr_viper", "csv", "natural_images"])
@pytest.mark.parametrize("path", ["~nobody of this name/raw", "x" * 5_000, "nirgendwo ü"])
def test_paths_that_cannot_be(workplace, path):
    with pytest.raises(UserError, match=r"raw_dir: .* is not there, expected"):
        workplace.build(raw_dir=path)
    recipe = dict(workplace.download.recipe)
    if "trial_source" in recipe:
        options = dict(data_dir=str(workplace.data_dir), raw_dir=str(workplace.folder / "VIPeR"))
        with pytest.raises(
            UserError, match=r"trial_source: found .* \(.+\), expected 'random', 'o"
        ):
            build("mlr_viper", recipe | {"trial_source": path}, **options)
    assert not list(workplace.data_dir.rglob("*"))


@pytest.mark.parametrize("source", OF_FILES)
def test_folder_that_cannot_be_read(workplace, monkeypatch):
    """As root, whom tests may run as, everything can be read."""
    locked = (workplace.folder / workplace.download.image).parent
    for name in ("listdir", "scandir"):
        original = getattr(os, name)

        def refuse(path=".", original=original):
            if not isinstance(path, int) and os.fspath(path) == str(locked):
                raise PermissionError(13, "Permission denied", str(path))
            return original(path)

        monkeypatch.setattr(os, name, refuse)
    if workplace.download.raw.endswith(".csv"):
        assert workplace.build().protocol_hash == workplace.protocol_hash
        return
    check_refused(workplace, f"{locked}: Permission denied, expected a .*folder")
    monkeypatch.undo()
    assert not list(workplace.data_dir.rglob("*"))
