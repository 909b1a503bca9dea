"""How people lay out their own crops: folders, names as in Market-1501, or a CSV file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rireid_jax.data.files import OF_SYSTEMS, Ignored, count_images, image_files, visible
from rireid_jax.data.layouts.crop_list import SPLITS, read_crop_list
from rireid_jax.data.layouts.labels import (
    HINT,
    Crop,
    Label,
    check_camera_folders,
    check_names_of_levels,
    numbered,
)
from rireid_jax.data.layouts.market1501 import DISTRACTOR, FOLDERS, JUNK, parse_name
from rireid_jax.errors import UserError

TREE = """\
<identity>/<image>              a folder for every identity, of any name
<identity>/<camera>/<image>     and in it one for every camera; or _c<number> in the image's name
or
0002_c1s1_000451_03.jpg ...     names as in Market-1501: identity, camera
both as they are, or below the folders train, query and gallery if you have divided them
or
crops.csv                       rows path,id[,camera[,split]], or any order under a header,
                                given in place of the folder
or
sets.txt                        several such folders or CSV files, a line each, to train on all"""
_CAMERA = re.compile(r"_c(\d+)(?!\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Crops:
    """What was found.

    Attributes:
      crops: at least one.
      ignored: what lies there too.
    """

    crops: Sequence[Crop]
    ignored: Ignored


def find_crops(raw: Path) -> Crops:
    """Lists the crops in a folder or a CSV file.

    Folders: `[train|query|gallery/]<identity>/[<camera>/]<image>` or, where files are named as in
    Market-1501, `[train|query|gallery/]<image>`; Market-1501's own names of the three folders
    will do too, and so will capitals. A camera may also stand in the image's name as `_c<number>`. Identities
    and cameras may have any name that is not one of a split, and identities any that is not one of a camera. As in
    Market-1501, -1 is junk, which is left out, and 0000 is nobody, who stays in the gallery. CSV:
    `path,id[,camera[,split]]`, or a header that names these columns in any order; paths relative to the CSV file.

    Raises:
      UserError: there are no images, they are laid out in another way, or only some have a camera.
    """
    ignored = Ignored()
    listed = read_crop_list(raw, ignored) if raw.is_file() else None
    crops = _find_in_folder(raw, ignored) if listed is None else numbered(listed, ignored)
    if not crops:
        raise UserError(
            f"--config.data.raw_dir: found no images but junk (identity {JUNK}) in {raw}, {HINT}"
        )
    return Crops(crops, ignored)


def _find_in_folder(raw: Path, ignored: Ignored) -> list[Crop]:
    crops: list[Crop] = []
    labels: list[Label] = []
    for folder, split in _split_folders(raw, ignored).items():
        identities = _subfolders(folder)
        files = _files(folder, identities, ignored)
        if files and identities:
            raise UserError(f"{folder}: found both images and folders, {HINT}")
        if not files and not identities:
            raise _no_images(folder, ignored)
        for path in files:
            pid, camid = parse_name(path)
            if pid == DISTRACTOR and split in ("train", "query"):
                raise UserError(
                    f"{path}: found a distractor (identity 0) in {split}, expected it in gallery, or another "
                    "number if it is somebody"
                )
            if pid == JUNK:
                ignored.junk += 1
            else:
                crops.append(Crop(path, path.relative_to(raw).as_posix(), pid, camid, split))
        for identity in identities:
            labels.extend(_identity(raw, identity, split, ignored))
    if crops and labels:
        raise UserError(f"{raw}: found identities as folders and as names of images, {HINT}")
    if not crops and not labels and not ignored.junk:
        raise _no_images(raw, ignored)
    check_names_of_levels(raw, labels)
    check_camera_folders(raw, labels)
    return crops or numbered(labels, ignored)


def _split_folders(raw: Path, ignored: Ignored) -> Mapping[Path, str | None]:
    """The folders to look into; the raw folder itself where there are no splits."""
    folders: dict[str, list[Path]] = {}
    for path in _subfolders(raw):
        folders.setdefault(path.name.lower(), []).append(path)
    own = {split: split for split in SPLITS}
    names = FOLDERS if any(FOLDERS[s] in folders for s in ("train", "gallery")) else own
    missing = [name for name in names.values() if name not in folders]
    if len(missing) == len(names):
        return {raw: None}
    if missing:
        raise UserError(
            f"--config.data.raw_dir: {raw} has no {' and no '.join(missing)}, expected all of "
            f"{', '.join(names.values())}, or none"
        )
    for name in names.values():
        if len(folders[name]) > 1:
            both = " and ".join(path.name for path in folders[name])
            raise UserError(f"{raw}: found {both}, expected one of them")
    for name in folders.keys() - set(names.values()):
        ignored.unread |= {path.name: count_images(path) for path in folders[name]}
    ignored.loose += len(image_files(raw, ignored))
    return {folders[name][0]: split for split, name in names.items()}


def _identity(raw: Path, folder: Path, split: str | None, ignored: Ignored) -> Iterable[Label]:
    cameras = _subfolders(folder)
    files = _files(folder, cameras, ignored)
    if not files and not cameras:
        ignored.empty.append(folder.relative_to(raw).as_posix())
    for path in files:
        match = _CAMERA.search(path.stem)
        camera = match[1] if match else None
        yield Label(path, path.relative_to(raw).as_posix(), folder.name, camera, split)
    for camera_folder in cameras:
        deeper = _subfolders(camera_folder)
        if deeper:
            raise UserError(f"{deeper[0]}: found a folder below <identity>/<camera>, {HINT}")
        files = image_files(camera_folder, ignored)
        if not files:
            ignored.empty.append(camera_folder.relative_to(raw).as_posix())
        for path in files:
            name = path.relative_to(raw).as_posix()
            yield Label(path, name, folder.name, camera_folder.name, split)


def _files(folder: Path, subfolders: Iterable[Path], ignored: Ignored) -> list[Path]:
    """The images in a folder; a subfolder may be called as an image is."""
    known = set(subfolders)
    return [path for path in image_files(folder, ignored) if path not in known]


def _subfolders(folder: Path) -> list[Path]:
    return [p for p in visible(folder) if p.name not in OF_SYSTEMS and p.is_dir()]


def _no_images(folder: Path, ignored: Ignored) -> UserError:
    others = "; ".join(ignored.lines())
    found = f"no images in {folder}{f' ({others})' if others else ''}"
    return UserError(f"--config.data.raw_dir: found {found}, {HINT}")
