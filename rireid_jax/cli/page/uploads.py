"""Pictures that a browser sends: read once, within limits, and gone from the disk."""

import io
import shutil
import time
from pathlib import Path

from PIL import Image

from rireid_jax.data.records import IMAGE_FORMATS, decode_image
from rireid_jax.errors import UserError

MOST_BYTES = 10_000_000
MOST_PIXELS = 25_000_000  # 75 MB once they are decoded
SECONDS_KEPT = 60  # a picture that nobody asks about
NAME = "picture"  # in messages, instead of a name that somebody else has chosen


def take_picture(path: str, folder: Path) -> Image.Image:
    """Decodes an upload to upright RGB, and deletes its file whatever is in it.

    Args:
      path: where Gradio has put it, in a folder of its own.
      folder: of all uploads.

    Raises:
      UserError: it lies elsewhere or nowhere, is too large, or no readable image.
    """
    place = Path(path).resolve()
    if place.parent.parent != folder.resolve():
        raise UserError(f"{NAME}: found no upload of this page, expected one")
    try:
        with place.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{NAME}: is not here any more, expected another upload") from error
    finally:
        shutil.rmtree(place.parent, ignore_errors=True)
    return picture_of(data)


def picture_of(data: bytes) -> Image.Image:
    """Decodes an image by the rules of `decode_image`, if it and what its header promises are small enough.

    Raises:
      UserError: they are not, or it cannot be read.
    """
    if len(data) > MOST_BYTES:
        raise UserError(f"{NAME}: found a larger file, expected at most {MOST_BYTES // 10**6} MB")
    width, height = _size(data)
    if width * height > MOST_PIXELS:
        raise UserError(
            f"{NAME}: found {width:,} x {height:,} pixels, expected at most {MOST_PIXELS // 10**6} million"
        )
    return decode_image(data, NAME)


def _size(data: bytes) -> tuple[int, int]:
    """(width, height) by the header; (0, 0) where there is none, for which `decode_image` finds words."""
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as header:
            return header.size
    except Exception:  # as many kinds as there are ways to break a file
        return 0, 0


def sweep(folder: Path, seconds: float = SECONDS_KEPT) -> None:
    """Deletes uploads that are older, and at once those that have not arrived whole."""
    for place in folder.iterdir():
        if not place.is_dir():
            place.unlink(missing_ok=True)
        elif time.time() - place.stat().st_mtime > seconds:
            shutil.rmtree(place, ignore_errors=True)
