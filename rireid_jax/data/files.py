"""Files and folders of images, with errors that name them."""

import contextlib
import os
from pathlib import Path

from PIL import Image

from rireid_jax.data.records import upright_size
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")


def image_files(folder: Path) -> list[Path]:
    """The images directly in a folder, by name; hidden files and other suffixes do not count.

    Raises:
      UserError: the folder is a file, or cannot be read.
    """
    return [path for path in visible(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def visible(folder: Path) -> list[Path]:
    """What is directly in a folder and not hidden, by name.

    Raises:
      UserError: as for `image_files`.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}, expected a folder of images") from error


def image_width(path: Path) -> int:
    """Width in pixels of the upright image, by the file's header; 0 where there is none; decoding reports that."""
    try:
        with Image.open(path) as image:
            return upright_size(image)[0]
    except Exception:  # a broken file makes a decoder raise almost anything
        return 0


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
