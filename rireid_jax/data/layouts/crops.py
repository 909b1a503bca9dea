"""How people lay out their own crops: folders, names as in Market-1501, or a CSV file."""

import csv
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rireid_jax.data.files import image_files, visible
from rireid_jax.data.layouts.base import check_divided
from rireid_jax.data.layouts.market1501 import FOLDERS, JUNK, parse_name
from rireid_jax.errors import UserError

SPLITS = ("train", "query", "gallery")
TREE = """\
<identity>/<image>              a folder for every identity, of any name
<identity>/<camera>/<image>     and in it one for every camera; or _c<number> in the image's name
or
0002_c1s1_000451_03.jpg ...     names as in Market-1501: identity, camera
both as they are, or below the folders train, query and gallery if you have divided them
or
crops.csv                       rows path,id[,camera[,split]], given in place of the folder"""
_COLUMNS = ("path", "id", "camera", "split")
_CAMERA = re.compile(r"_c(\d+)(?!\d)", re.IGNORECASE)
_HINT = "expected a folder per identity, names as in Market-1501, or a CSV file"


@dataclass(frozen=True)
class Crop:
    """A crop as the user labelled it; camera and split are `None` where the user did not say."""

    path: Path
    name: str
    pid: int
    camid: int | None
    split: str | None


@dataclass(frozen=True)
class _Label:
    """Labels as text, before they get numbers."""

    path: Path
    name: str
    identity: str
    camera: str | None
    split: str | None


def find_crops(raw: Path) -> list[Crop]:
    """Lists the crops in a folder or a CSV file.

    Folders: `[train|query|gallery/]<identity>/[<camera>/]<image>` or, where files are named as in
    Market-1501, `[train|query|gallery/]<image>`; Market-1501's own names of the three folders
    will do too. A camera may also stand in the image's name as `_c<number>`. Identities and
    cameras may have any name. CSV: `path,id[,camera[,split]]`, with or without a header, paths
    relative to the CSV file.

    Raises:
      UserError: there are no images, they are laid out in another way, only some have a camera,
        or an identity is both in training and in test.
    """
    crops = _numbered(_read_csv(raw)) if raw.is_file() else _find_in_folder(raw)
    check_divided((crop.split, crop.pid, crop.path) for crop in crops)
    return crops


def _find_in_folder(raw: Path) -> list[Crop]:
    crops: list[Crop] = []
    labels: list[_Label] = []
    for folder, split in _split_folders(raw).items():
        files = image_files(folder)
        identities = _subfolders(folder)
        if files and identities:
            raise UserError(f"{folder}: found both images and folders, {_HINT}")
        if not files and not identities:
            raise UserError(f"--config.data.raw_dir: found no images in {folder}, {_HINT}")
        for path in files:
            pid, camid = parse_name(path)
            if pid != JUNK:
                crops.append(Crop(path, path.relative_to(raw).as_posix(), pid, camid, split))
        for identity in identities:
            labels.extend(_identity(raw, identity, split))
    if crops and labels:
        raise UserError(f"{raw}: found identities as folders and as names of images, {_HINT}")
    if not crops and not labels:
        raise UserError(f"--config.data.raw_dir: found no images in {raw}, {_HINT}")
    return crops or _numbered(labels)


def _split_folders(raw: Path) -> Mapping[Path, str | None]:
    """The folders to look into; the raw folder itself where there are no splits."""
    own = {split: split for split in SPLITS}
    names = FOLDERS if any((raw / FOLDERS[s]).is_dir() for s in ("train", "gallery")) else own
    missing = [name for name in names.values() if not (raw / name).is_dir()]
    if len(missing) == len(names):
        return {raw: None}
    if missing:
        raise UserError(
            f"--config.data.raw_dir: {raw} has no {' and no '.join(missing)}, expected all of "
            f"{', '.join(names.values())}, or none"
        )
    return {raw / name: split for split, name in names.items()}


def _identity(raw: Path, folder: Path, split: str | None) -> Iterable[_Label]:
    for path in image_files(folder):
        match = _CAMERA.search(path.stem)
        camera = match[1] if match else None
        yield _Label(path, path.relative_to(raw).as_posix(), folder.name, camera, split)
    for camera_folder in _subfolders(folder):
        deeper = _subfolders(camera_folder)
        if deeper:
            raise UserError(f"{deeper[0]}: found a folder below <identity>/<camera>, {_HINT}")
        for path in image_files(camera_folder):
            name = path.relative_to(raw).as_posix()
            yield _Label(path, name, folder.name, camera_folder.name, split)


def _read_csv(path: Path) -> list[_Label]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(n, row) for n, row in enumerate(csv.reader(file), 1) if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: {error}, expected a CSV file in UTF-8") from error
    if rows and tuple(cell.strip().lower() for cell in rows[0][1]) in (
        _COLUMNS[:n] for n in (2, 3, 4)
    ):
        rows = rows[1:]
    if not rows:
        raise UserError(f"{path}: found no rows, expected {','.join(_COLUMNS[:2])} and so on")
    labels = []
    lines: dict[str, int] = {}  # where an image is listed
    for line, row in rows:
        cells = [cell.strip() for cell in row]
        if not 2 <= len(cells) <= 4 or not cells[0] or not cells[1]:
            raise UserError(f"{path}, line {line}: found {row}, expected path,id[,camera[,split]]")
        name, identity, camera, split = cells + [""] * (4 - len(cells))
        if split and split not in SPLITS:
            raise UserError(
                f"{path}, line {line}: found split {split!r}, expected one of "
                f"{', '.join(SPLITS)}, or nothing"
            )
        image = path.parent / name
        if not os.path.isfile(image):  # pathlib's method raises where a name is too long
            raise UserError(f"{path}, line {line}: {image} is not there, expected an image")
        first = lines.setdefault(os.path.normpath(image), line)
        if first != line:
            raise UserError(
                f"{path}, line {line}: {name}: found twice, first in line {first}, expected every "
                "image once"
            )
        labels.append(_Label(image, name, identity, camera or None, split or None))
    found = {label.split for label in labels}
    if found != {None} and found != set(SPLITS):
        names = ", ".join(sorted(split or "none" for split in found))
        raise UserError(
            f"{path}: found splits {names}, expected all of {', '.join(SPLITS)}, or none"
        )
    return labels


def _numbered(labels: list[_Label]) -> list[Crop]:
    """Gives identities (from 1) and cameras (from 0) numbers in the order of their names."""
    without = [label for label in labels if label.camera is None]
    if without and len(without) < len(labels):
        raise UserError(
            f"{without[0].path}: found no camera, expected one as "
            f"{len(labels) - len(without)} other images have one"
        )
    pids = {name: n for n, name in enumerate(sorted({label.identity for label in labels}), 1)}
    cameras = {name: n for n, name in enumerate(sorted({label.camera or "" for label in labels}))}
    return [
        Crop(
            path=label.path,
            name=label.name,
            pid=pids[label.identity],
            camid=None if label.camera is None else cameras[label.camera],
            split=label.split,
        )
        for label in labels
    ]


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.is_dir()]
