"""Fifty and more damages to every download: each is named in one line, and nothing is left of the build.

Every test damages a miniature download, fails to build it, repairs it and builds it. All of them lie under
paths with spaces and letters beyond ASCII, as do the names of files where people may choose them.
"""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from damages import benchmarks, cuhk03, images, own, pairs
from damages.changes import Damage, changed, link_instead, renamed, without, written
from market_folder import write_market_folder
from PIL import Image
from raw_folders import write_cuhk03_extracted, write_cuhk03_mat, write_msmt17

from rireid_jax.config import recipe_of
from rireid_jax.data.build import Built, build
from rireid_jax.errors import UserError

# What Pillow remarks, `data.records` silences outside of tests.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")


class Download(NamedTuple):
    """A miniature download.

    Attributes:
      dataset: whose.
      raw: what `raw_dir` is, relative to the folder that `write` writes into.
      recipe: of the data set; "{folder}" stands for that folder.
      write: writes the download.
      image: a file of it that holds an image; "" where none does.
      damages: to it.
    """

    dataset: str
    raw: str
    recipe: Mapping[str, Any]
    write: Callable[[Path], Any]
    image: str
    damages: list[Damage]


IMPORTED = {"split_source": f"{{folder}}/{pairs.SPLITS}", "split": 1}
PEOPLE = dict(persons=(2, 1, 1, 1, 1), shots=1, test_persons=3)
MARKET_1501 = "Market-1501-v15.09.15"


def _write_market(folder: Path) -> None:
    write_market_folder(folder / MARKET_1501, train_ids=(7,), test_ids=(9,), size=(64, 32))


DOWNLOADS = {
    "caviar": Download(
        "caviar",
        "CAVIAR4REID",
        recipe_of("caviar") | IMPORTED,
        pairs.write_caviar_and_splits,
        "CAVIAR4REID/0003011.jpg",
        [*pairs.caviar()],
    ),
    "mlr_viper": Download(
        "mlr_viper",
        "VIPeR",
        recipe_of("mlr_viper") | IMPORTED,
        pairs.write_viper_and_splits,
        "VIPeR/cam_a/011_90.bmp",
        [*pairs.viper()],
    ),
    "cuhk-03.mat": Download(
        "mlr_cuhk03",
        "cuhk03_release",
        recipe_of("mlr_cuhk03"),
        lambda folder: write_cuhk03_mat(folder / "cuhk03_release", **PEOPLE),
        "",
        [*cuhk03.mat()],
    ),
    "mlr_cuhk03": Download(
        "mlr_cuhk03",
        "cuhk03",
        recipe_of("mlr_cuhk03"),
        lambda folder: write_cuhk03_extracted(folder / "cuhk03", **PEOPLE),
        "cuhk03/images_detected/1_001_1_01.png",
        [*cuhk03.extracted()],
    ),
    "vr_market1501": Download(
        "vr_market1501",
        MARKET_1501,
        recipe_of("vr_market1501"),
        _write_market,
        f"{MARKET_1501}/bounding_box_train/0007_c1s1_000000_00.jpg",
        [*benchmarks.market(part=slice(3, None, 5))],
    ),
    "mlr_market1501": Download(
        "mlr_market1501",
        MARKET_1501,
        recipe_of("mlr_market1501"),
        _write_market,
        f"{MARKET_1501}/bounding_box_test/0009_c2s1_000000_00.jpg",
        [*benchmarks.market(part=slice(4, None, 5))],
    ),
    "vr_msmt17": Download(
        "vr_msmt17",
        "MSMT17_V1",
        recipe_of("vr_msmt17"),
        lambda folder: write_msmt17(folder / "MSMT17_V1", train_ids=(0,), test_ids=(0,)),
        "MSMT17_V1/train/0000/0000_000_01_0303morning_0000_0.jpg",
        [*benchmarks.msmt17()],
    ),
    "folder": Download(
        "folder",
        "Leute ü",
        recipe_of("folder"),
        lambda folder: own.write_people(folder, own.PEOPLE),
        own.PEOPLE[0],
        [*own.folder()],
    ),
    "csv": Download(
        "folder", "Liste ü.csv", recipe_of("folder"), own.write_list, "Bilder ß/1.jpg", [*own.csv()]
    ),
    "natural_images": Download(
        "natural_images",
        "Photos ü",
        dict(count=9, size=(16, 8), seed=0),
        lambda folder: own.write_people(folder, own.PHOTOS),
        own.PHOTOS[1],
        [*own.natural_images()],
    ),
}
OF_FILES = [name for name, download in DOWNLOADS.items() if download.image]


class Workplace:
    """A download that can be damaged and repaired, and a folder to build it in."""

    def __init__(self, download: Download, folder: Path):
        self.download = download
        self.folder = folder / "Rohdaten für Tests 人"
        self.folder.mkdir(parents=True)
        download.write(self.folder)
        paths = list(self.folder.rglob("*"))
        self._files = {path: path.read_bytes() for path in paths if path.is_file()}
        self._folders = [path for path in paths if path.is_dir()]
        self.data_dir = folder / "gebaut ü"
        self.data_dir.mkdir()
        self.protocol_hash = self.build().protocol_hash
        self.clean()

    def build(self, **options: Any) -> Built:
        recipe = {
            field: value.format(folder=self.folder) if isinstance(value, str) else value
            for field, value in self.download.recipe.items()
        }
        arguments: dict[str, Any] = dict(
            data_dir=str(self.data_dir), raw_dir=str(self.folder / self.download.raw), threads=1
        )
        return build(self.download.dataset, recipe, **arguments | options)

    def repair(self) -> None:
        """Puts the download back as it was, in the same files; keeps what was built."""
        for parent, folders, files in os.walk(self.folder, topdown=False):
            for path in (Path(parent, name) for name in (*folders, *files)):
                if path.is_dir() and not path.is_symlink():
                    if path not in self._folders:
                        path.rmdir()
                elif path not in self._files or path.is_symlink():
                    path.unlink()
        for path in self._folders:
            path.mkdir(exist_ok=True)
        for path, data in self._files.items():
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)

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


def check_line(error: pytest.ExceptionInfo[UserError]) -> None:
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert "object at 0x" not in message
    assert "expected" in message or "never be matched" in message


@pytest.mark.parametrize("source", DOWNLOADS)
def test_fifty_different_damages(source):
    damages = DOWNLOADS[source].damages
    assert len({damage.name for damage in damages}) == len(damages) >= 50


@pytest.mark.parametrize(
    ("source", "damage"),
    [
        pytest.param(source, damage, id=f"{source}-{damage.name}")
        for source, download in DOWNLOADS.items()
        for damage in download.damages
    ],
)
def test_damage(workplace, damage):
    damage.do(workplace.folder)
    with pytest.raises(UserError, match=damage.message) as caught:
        workplace.build()
    check_line(caught)
    assert not list(workplace.data_dir.rglob("*"))
    workplace.repair()
    assert workplace.build().protocol_hash == workplace.protocol_hash


@pytest.mark.parametrize("source", OF_FILES)
@pytest.mark.parametrize("kind", ["cut off", "broken link"])
def test_one_bad_image_may_be_left_out(workplace, kind, caplog):
    name = workplace.download.image
    if kind == "cut off":
        changed(name, lambda data: data[: len(data) // 2])(workplace.folder)
    else:
        link_instead(name, "nowhere")(workplace.folder)
    if workplace.download.raw.endswith(".csv") and kind == "broken link":
        pytest.skip("a list of what is not there is wrong as a list")
    records = sum(map(len, workplace.build(max_bad_images=1).splits.values()))
    assert f"left out: {workplace.folder / name}" in caplog.text
    workplace.clean()
    assert sum(map(len, workplace.build().splits.values())) == records + 1


@pytest.mark.parametrize("source", DOWNLOADS)
def test_damage_after_the_build_is_noticed(workplace):
    workplace.build()
    name = workplace.download.image or "cuhk03_release/cuhk-03.mat"
    for damage in (
        changed(name, lambda data: data[: len(data) // 2]),
        link_instead(name, "nowhere"),
        without(name),
    ):
        damage(workplace.folder)
        with pytest.raises(UserError) as caught:
            workplace.build()
        assert len(str(caught.value).splitlines()) == 1
        workplace.repair()
    assert workplace.build().protocol_hash == workplace.protocol_hash


def _saved(form: str, mode: str, **options: Any) -> Callable[[bytes], bytes]:
    """The same image, saved with another program's settings."""

    def change(data: bytes) -> bytes:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(data)).convert(mode).save(buffer, form, **options)
        return buffer.getvalue()

    return change


def _lab(data: bytes) -> bytes:
    buffer = io.BytesIO()
    size = Image.open(io.BytesIO(data)).size
    Image.new("LAB", size, (128, 128, 128)).save(buffer, "TIFF")
    return buffer.getvalue()


def _rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "grey JPEG": _saved("JPEG", "L"),
    "CMYK JPEG": _saved("JPEG", "CMYK"),
    "rotated JPEG": _saved("JPEG", "RGB", exif=_rotated()),
    "palette PNG": _saved("PNG", "P"),
    "PNG with alpha": _saved("PNG", "RGBA"),
    "PNG of one bit": _saved("PNG", "1"),
    "TIFF in Lab": _lab,
    "WebP": _saved("WEBP", "RGB"),
    "GIF": _saved("GIF", "P"),
    "more behind the end": lambda data: data + bytes(99),
    "PNG without its end": lambda data: images.encoded(data, "PNG")[:-12],
}


@pytest.mark.parametrize("source", ["caviar", "natural_images"])
@pytest.mark.parametrize("harmless", HARMLESS)
def test_harmless_images(workplace, harmless):
    changed(workplace.download.image, HARMLESS[harmless])(workplace.folder)
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


@pytest.mark.parametrize("source", DOWNLOADS)
@pytest.mark.parametrize("raw_dir", ["~nobody of this name/raw", "x" * 5_000, "nirgendwo ü"])
def test_raw_dir_that_cannot_be(workplace, raw_dir):
    with pytest.raises(UserError, match=r"raw_dir: .* is not there, expected"):
        workplace.build(raw_dir=raw_dir)
    assert not list(workplace.data_dir.rglob("*"))


@pytest.mark.parametrize("source", ["caviar", "mlr_viper"])
@pytest.mark.parametrize("path", ["~nobody of this name/splits.json", "x" * 5_000, "nirgendwo ü"])
def test_split_source_that_cannot_be(workplace, path):
    recipe = workplace.download.recipe | {"split_source": path}
    raw_dir = str(workplace.folder / workplace.download.raw)
    with pytest.raises(UserError, match=r"split_source: found .*, expected 'random', 'official'"):
        build(workplace.download.dataset, recipe, data_dir=str(workplace.data_dir), raw_dir=raw_dir)


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
    with pytest.raises(UserError, match=f"{locked}: Permission denied, expected a .*folder"):
        workplace.build()
    monkeypatch.undo()
    assert not list(workplace.data_dir.rglob("*"))


def test_nothing_but_the_error_is_said_of_damaged_images(tmp_path):
    """Pillow would warn of some, on stderr and without the file's name."""
    for number, kind in enumerate(("cut off LZW TIFF", "PNG of a hundred million pixels")):
        good = images.png(8, 2)
        (tmp_path / f"{number}.png").write_bytes(images.BAD_IMAGES[kind][0](good))
    code = (
        "import sys\n"
        "from rireid_jax.data.records import decode_image\n"
        "from rireid_jax.errors import UserError\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        decode_image(open(path, 'rb').read(), path)\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    paths = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2
