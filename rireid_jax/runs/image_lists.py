"""The images that a user names on the command line: files, folders, or the rows of a CSV file."""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rireid_jax.data.files import IMAGE_SUFFIXES, some_of
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded


@dataclass(frozen=True)
class ImageFile:
    """One image.

    Attributes:
      name: relative to what the user named, with slashes; unique in a list.
      path: where it lies.
      identity: of a CSV file's column `id`; "" elsewhere.
      camera: of a CSV file's column `camera`; "" elsewhere.
    """

    name: str
    path: Path
    identity: str = ""
    camera: str = ""


def list_images(sources: Sequence[str]) -> list[ImageFile]:
    """All images that the sources name, in their order; those of a folder and below by name.

    Args:
      sources: image files, folders, or CSV files with the columns path[,id][,camera] in any order.

    Raises:
      UserError: a source is not there, holds no image, or two images have one name.
    """
    images: list[ImageFile] = []
    for source in sources:
        path = Path(expanded(source, "IMAGES"))
        if path.is_dir():
            found = _in_folder(path)
        elif path.suffix.lower() == ".csv":
            found = _in_list(path)
        elif path.is_file():
            found = [ImageFile(path.name, path)]
        else:
            raise UserError(f"{source}: is not there, expected an image, a folder or a CSV file")
        if not found:
            raise UserError(f"{source}: found no images, expected some")
        images += found
    twice = [name for name, number in Counter(image.name for image in images).items() if number > 1]
    if twice:
        raise UserError(f"IMAGES: found {some_of(twice)} twice, expected one image of each name")
    return images


def _in_folder(folder: Path) -> list[ImageFile]:
    names = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [
            os.path.relpath(os.path.join(place, name), folder)
            for name in files
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
        ]
    return [ImageFile(Path(name).as_posix(), folder / name) for name in sorted(names)]


def _in_list(path: Path) -> list[ImageFile]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.DictReader(file) if any(row.values())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: {error}, expected a CSV file in UTF-8") from error
    images = []
    for number, row in enumerate(rows, 2):
        cells = {str(name).strip().lower(): str(value or "").strip() for name, value in row.items()}
        name = cells.get("path", "")
        if not name:
            raise UserError(f"{path}, line {number}: found no path, expected a column of this name")
        identity, camera = cells.get("id", ""), cells.get("camera", "")
        images.append(ImageFile(name, path.parent / name, identity, camera))
    return images
