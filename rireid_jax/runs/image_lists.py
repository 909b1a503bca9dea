"""The images that a user names on the command line: files, folders, or the rows of a CSV file."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rireid_jax.data.csv_rows import read_rows
from rireid_jax.data.files import IMAGE_SUFFIXES, OF_SYSTEMS, Ignored, some_of
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

logger = logging.getLogger(__name__)


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

    What lies in a folder and is not taken, such as hidden images and files with other suffixes, is counted in the log.

    Args:
      sources: image files, folders, or CSV files: columns path, id and camera in any order under a header, or rows
        `path[,id[,camera]]` without one; paths are relative to the file. Whether they are there is not checked.

    Raises:
      UserError: a source is not there or cannot be read, holds no image, or two images have one name.
    """
    images: list[ImageFile] = []
    for source in sources:
        path = Path(expanded(source, "IMAGES"))
        ignored = Ignored()
        if os.path.isdir(path):  # pathlib's methods raise where a name is too long
            found = _in_folder(path, ignored)
        elif not os.path.isfile(path):
            raise UserError(f"{source}: is not there, expected an image, a folder or a CSV file")
        elif path.suffix.lower() == ".csv":
            found = _in_list(path, ignored)
        else:
            found = [ImageFile(path.name, path)]
        lines = list(ignored.lines())
        if not found:
            others = f" ({'; '.join(lines)})" if lines else ""
            raise UserError(f"{source}: found no images{others}, expected some")
        for line in lines:
            logger.info("%s: %s", source, line)
        images += found
    _check_names(images)
    return images


def _check_names(images: Sequence[ImageFile]) -> None:
    numbers = Counter(image.name for image in images)
    twice = [name for name, number in numbers.items() if number > 1]
    if twice:
        raise UserError(f"IMAGES: found {some_of(twice)} twice, expected one image of each name")
    for image in images:
        try:
            image.name.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"{image.path!r}: found a name that is not in UTF-8, expected one"
            ) from error


def _in_folder(folder: Path, ignored: Ignored) -> list[ImageFile]:
    names: list[str] = []
    seen = set()  # a link may lead to a folder above it

    def refuse(error: OSError) -> None:
        raise UserError(
            f"{error.filename}: {error.strerror}, expected a folder of images"
        ) from error

    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in OF_SYSTEMS
        )
        for name in files:
            path = os.path.join(place, name)
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                names.append(os.path.relpath(path, folder))
            else:
                ignored.count(Path(path))
    return [ImageFile(Path(name).as_posix(), folder / name) for name in sorted(names)]


def _in_list(path: Path, ignored: Ignored) -> list[ImageFile]:
    found = read_rows(path)
    ignored.columns += found.others
    return [
        ImageFile(Path(row.path).as_posix(), path.parent / row.path, row.id, row.camera)
        for row in found.rows
    ]
