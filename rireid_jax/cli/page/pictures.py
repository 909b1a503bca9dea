"""Pictures as text: inside the page, so that no file of them is ever served."""

import base64
import os
from pathlib import Path

from etils import epath
from PIL import Image

from rireid_jax.data.files import IMAGE_SUFFIXES
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError

_MOST_BYTES = 50_000_000  # of a file; larger ones are no pictures of persons


def stored_picture(folder: Path | None, name: str) -> Image.Image | None:
    """The picture of a gallery entry, if the user lets the page show it.

    Args:
      folder: that may be shown, with all below it; None for nothing.
      name: of the entry, which anybody may have chosen who could write to the gallery.

    Returns:
      None where there is no such file in the folder, by its real path, or it is no readable image.
    """
    place = _inside(folder, name) if folder is not None else None
    if place is None:
        return None
    try:
        return decode_image(place.read_bytes(), name)
    except (OSError, UserError):
        return None


def _inside(folder: Path, name: str) -> Path | None:
    """The real path of an image file that lies in a folder, whatever links and dots lead to it; None for another."""
    try:
        top = os.path.realpath(folder)
        place = os.path.realpath(os.path.join(top, name))
        inside = os.path.commonpath([top, place]) == top
        if not inside or not os.path.isfile(place) or os.path.getsize(place) > _MOST_BYTES:
            return None
    except (OSError, ValueError):  # a name that no file can have
        return None
    return Path(place) if Path(place).suffix.lower() in IMAGE_SUFFIXES else None


def file_address(path: epath.Path) -> str:
    """A PNG file of ours as the address of itself."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
