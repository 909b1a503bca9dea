"""Files and folders of images, with errors that name them."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from rireid_jax.data.records import IMAGE_FORMATS, upright_size
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

# Every suffix of a file that decodes; without .pfm, which holds floating-point numbers. Pillow opens MPO, a JPEG with
# more images behind it, as JPEG.
IMAGE_SUFFIXES = tuple(
    sorted(
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if kind in (*IMAGE_FORMATS, "MPO") and suffix != ".pfm"
    )
)
OF_SYSTEMS = {"__MACOSX", "@eaDir"}  # folders that macOS and Synology leave next to people's own
_OF_FRAMES = (".gif", ".tif", ".tiff", ".webp", ".avif", ".avifs", ".png", ".apng")
_MOST_NAMES = 5  # in a line; more are counted


@dataclass
class Ignored:
    """What lies in a download and is not taken as it is called, so that nothing is lost without a word.

    Attributes:
      suffixes: files that are no images by their suffix, by suffix.
      hidden: files with an image's suffix whose names begin with a dot.
      junk: images of identity -1, bad detections of somebody.
      nobody: images of an identity that is called 0000, which stay in the gallery; it could be a person's number.
      empty: folders in which images were expected.
      unread: folders next to those that are read, and how many images there are in them and below.
      loose: images next to the folders that are read.
      unlisted: images next to the listed ones that no row names.
      columns: of a CSV file, of names that say nothing.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    junk: int = 0
    nobody: int = 0
    empty: list[str] = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)
    loose: int = 0
    unlisted: int = 0
    columns: list[str] = field(default_factory=list)

    def count(self, path: Path) -> None:
        """Counts a file that is no image, or a hidden one; folders and what systems leave do not count."""
        is_image = path.suffix.lower() in IMAGE_SUFFIXES
        if path.name.startswith("."):
            # A name that begins with ._ is macOS's, next to the image itself.
            self.hidden += is_image and not path.name.startswith("._")
        elif not is_image and not path.is_dir():
            self.suffixes[path.suffix.lower() or "none"] += 1

    def lines(self) -> Iterator[str]:
        """In words, a line for each reason."""
        if self.suffixes:
            number = sum(self.suffixes.values())
            kinds = sorted(self.suffixes.items(), key=lambda kind: (-kind[1], kind[0]))
            named = ", ".join(f"{suffix} {count:,}" for suffix, count in kinds)
            yield f"{counted(number, 'file')} with other suffixes ignored: {named}"
        if self.hidden:
            yield f"{counted(self.hidden, 'hidden image')} ignored, whose names begin with a dot"
        if self.junk:
            yield f"{counted(self.junk, 'image')} of junk (identity -1) left out"
        if self.nobody:
            yield (
                f"{counted(self.nobody, 'image')} of identity 0000 taken for nobody, as in Market-1501: they stay in "
                "the gallery; give it another name if it is somebody"
            )
        if self.empty:
            folders = counted(len(self.empty), "folder")
            yield f"{folders} without images ignored: {some_of(sorted(self.empty))}"
        if self.unread:
            images = counted(sum(self.unread.values()), "image")
            folders = counted(len(self.unread), "other folder")
            yield f"{folders} with {images} ignored: {some_of(sorted(self.unread))}"
        if self.loose:
            yield f"{counted(self.loose, 'image')} ignored, next to the folders and not in them"
        if self.unlisted:
            yield f"{counted(self.unlisted, 'image')} next to the listed ones ignored, as no row names them"
        if self.columns:
            yield f"{counted(len(self.columns), 'column')} ignored: {some_of(self.columns)}"


def image_files(folder: Path, ignored: Ignored | None = None) -> list[Path]:
    """The images directly in a folder, by name; hidden files and other suffixes do not count.

    Args:
      folder: to look into.
      ignored: where to count what is no image.

    Raises:
      UserError: the folder is a file, or cannot be read.
    """
    images = []
    for path in _entries(folder):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            images.append(path)
        elif ignored is not None:
            ignored.count(path)
    return images


def visible(folder: Path) -> list[Path]:
    """What is directly in a folder and not hidden, by name.

    Raises:
      UserError: as for `image_files`.
    """
    return [path for path in _entries(folder) if not path.name.startswith(".")]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}, expected a folder of images") from error


def count_images(folder: Path) -> int:
    """How many visible images there are in a folder and below; links to folders are not followed."""
    return sum(
        not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)
        for _, _, names in os.walk(folder)
        for name in names
    )


def counted(number: int, thing: str) -> str:
    """`1 image`, `2,000 images`, `3 identities`."""
    if number == 1:
        return f"1 {thing}"
    return f"{number:,} {thing[:-1]}ies" if thing.endswith("ty") else f"{number:,} {thing}s"


def some_of(names: Iterable[str], most: int = _MOST_NAMES) -> str:
    """The first names in a line."""
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def image_width(path: Path) -> int:
    """Width in pixels of the upright image, by the file's header; 0 where there is none; decoding reports that."""
    try:
        with Image.open(path) as image:
            return upright_size(image)[0]
    except Exception:  # a broken file makes a decoder raise almost anything
        return 0


def has_more_frames(path: Path) -> bool:
    """Whether an image file holds more images than the first, as animations and scans of several pages do."""
    if path.suffix.lower() not in _OF_FRAMES:
        return False
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) > 1
    except Exception:  # a broken file; decoding reports it
        return False


def file_size(path: Path) -> int:
    """Bytes of a file; 0 where there is none, as behind a broken link."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def read_bytes(path: Path) -> bytes:
    """Reads a raw file.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}, expected a readable image") from error


def existing_path(raw_dir: str, expected: str) -> Path:
    """The folder or file `config.data.raw_dir`.

    Raises:
      UserError: it is not given or not there; the message says what is expected.
    """
    if not raw_dir:
        raise UserError(f"--config.data.raw_dir: not given, expected {expected}")
    # The methods of pathlib raise where there is no such user, and where a name is too long.
    path = Path(raw_dir)
    with contextlib.suppress(UserError):  # the error below also says what is expected there
        path = Path(expanded(raw_dir, "--config.data.raw_dir"))
    if not os.path.exists(path):
        raise UserError(f"--config.data.raw_dir: {raw_dir} is not there, expected {expected}")
    return path
