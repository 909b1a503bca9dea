"""What to do about files that cannot be read: the usual ways in which a download is nearly right."""

import difflib
import os
import shlex
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from rireid_jax.components import DATASETS
from rireid_jax.data.dataset import Advice, Dataset
from rireid_jax.data.files import counted
from rireid_jax.data.layouts.base import Layout
from rireid_jax.doctor.folders import ARCHIVE_SUFFIXES, Tree
from rireid_jax.doctor.prepared import prepared_downloads
from rireid_jax.errors import UserError

_RAW_DIR = "config.data.raw_dir"
_LEVELS_UP = 2
_LEVELS_DOWN = 3
_MOST_FOLDERS = 300  # that are tried


def advise(dataset: Dataset, tree: Tree | None) -> Iterator[Advice]:
    """What to do about files that the data set cannot read, the most promising first.

    Args:
      dataset: whose `raw_dir` is at fault.
      tree: what is there; None if it is no folder.
    """
    path = Path(os.path.expanduser(dataset.raw_dir))
    if not dataset.raw_dir:
        yield Advice(f"say where the files lie: --{_RAW_DIR}=DIR")
    elif not os.path.exists(path):
        yield _missing(path)
    elif dataset.layout is not None:
        yield from _download(dataset, path, tree)
    elif tree is not None:
        found = [*other_downloads(dataset, tree), *prepared_downloads(tree)]
        yield from found or list(_images_below(dataset, tree)) or _no_images(tree)


def other_downloads(dataset: Dataset, tree: Tree) -> Iterator[Advice]:
    """The folder is the download of another data set."""
    names: dict[type[Layout], list[str]] = {}
    for name, other in sorted(DATASETS.items()):
        if other.layout not in (None, dataset.layout):
            names.setdefault(other.layout, []).append(name)
    for layout, datasets in names.items():
        reader = _first_reader(layout, DATASETS[datasets[0]].recipe_values(), tree)
        if reader is not None:
            yield Advice(
                f"{reader.root} is {layout.title}, the download of {' and '.join(datasets)}; choose "
                f"that behind the config file, as in --config configs/joint.py:{datasets[0]}"
            )


def _missing(path: Path) -> Advice:
    parent = path.absolute()
    while not os.path.exists(parent):
        path, parent = parent, parent.parent
    if not parent.is_dir():
        return Advice(f"{parent} is a file; give the folder of the download")
    names = sorted(entry.name for entry in parent.iterdir() if not entry.name.startswith("."))
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(path.name.lower(), lower, 1, cutoff=0.5)
    if close:
        similar = lower[close[0]]
        return Advice(
            f"{parent} is there, but no {path.name} in it; is {similar} meant?",
            flags={_RAW_DIR: str(parent / similar)},
        )
    holds = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return Advice(f"{parent} is there, but no {path.name} in it; it holds {holds or 'nothing'}")


def _download(dataset: Dataset, path: Path, tree: Tree | None) -> Iterator[Advice]:
    """Advice on a download, given as a file or folder that is there."""
    layout, recipe = dataset.layout, dataset.values
    if tree is None:
        if path.name.lower().endswith(ARCHIVE_SUFFIXES):
            yield _unpack(path)
        else:
            yield from list(layout.advice(path, recipe)) or [
                Advice(f"{path.name} is a file; give the folder of the download: --{_RAW_DIR}=DIR")
            ]
    elif below := _below(layout, recipe, tree):
        yield from below
    elif (root := _above(layout, recipe, path)) and root in path.absolute().parents:
        levels = len(path.absolute().parts) - len(root.parts)
        higher = "one level" if levels == 1 else f"{levels} levels"
        yield _other_folder(f"{layout.title} lies {higher} higher, in {root}", root)
    else:
        found = [
            *layout.advice(path, recipe),
            *other_downloads(dataset, tree),
            *prepared_downloads(tree),
            *_packed(tree),
        ]
        yield from found or _no_images(tree)
        if root is not None:
            yield _other_folder(f"{layout.title} lies nearby, in {root}", root)


def _below(layout: type[Layout], recipe: Mapping[str, Any], tree: Tree) -> list[Advice]:
    roots: list[Path] = []
    for folder in islice(tree.root.walk(_LEVELS_DOWN), 1, _MOST_FOLDERS):
        if any(root == folder.path or root in folder.path.parents for root in roots):
            continue
        reader = _read(layout, folder.path, recipe)
        if reader is not None:
            roots.append(reader.root)
    return [_other_folder(f"{layout.title} lies deeper, in {root}", root) for root in roots[:3]]


def _above(layout: type[Layout], recipe: Mapping[str, Any], path: Path) -> Path | None:
    for parent in islice(path.absolute().parents, _LEVELS_UP):
        reader = _read(layout, parent, recipe)
        if reader is not None:
            return reader.root
    return None


def _other_folder(text: str, root: Path) -> Advice:
    return Advice(f"{text}; give that folder", flags={_RAW_DIR: str(root)})


def _images_below(dataset: Dataset, tree: Tree) -> Iterator[Advice]:
    for folder in islice(tree.root.walk(_LEVELS_DOWN), 1, _MOST_FOLDERS):
        try:
            number = len(type(dataset)(dataset.values, str(folder.path)).raw_images())
        except (UserError, OSError):
            continue
        yield _other_folder(f"{counted(number, 'image')} can be read in {folder.path}", folder.path)
        return


def _packed(tree: Tree) -> Iterator[Advice]:
    archives = (path for folder in tree.root.walk(2) for path in folder.archives)
    yield from map(_unpack, islice(archives, 3))


def _unpack(path: Path) -> Advice:
    file, folder = shlex.quote(str(path)), shlex.quote(str(path.parent))
    commands = {
        ".zip": f"unzip -q {file} -d {folder}",
        ".7z": f"7z x {file} -o{folder}",
        ".rar": f"unrar x {file} {folder}/",
    }
    command = commands.get(path.suffix.lower(), f"tar -xf {file} -C {folder}")
    return Advice(
        f"{path.name} is packed; unpack it, and give the folder",
        command,
        {_RAW_DIR: str(path.parent)},
    )


def _no_images(tree: Tree) -> Iterator[Advice]:
    below, others = tree.root.below()
    if not tree.root.images + below:
        others += tree.root.others
        only = f", only {counted(others, 'other file')}" if others else ""
        yield Advice(f"{tree.root.path} holds no images{only}; is it the right one, and complete?")


def _first_reader(layout: type[Layout], recipe: Mapping[str, Any], tree: Tree) -> Layout | None:
    for folder in islice(tree.root.walk(_LEVELS_DOWN), _MOST_FOLDERS):
        reader = _read(layout, folder.path, recipe)
        if reader is not None:
            return reader
    return None


def _read(layout: type[Layout], path: Path, recipe: Mapping[str, Any]) -> Layout | None:
    """The reader of a folder, if it is such a download, with images of the right names."""
    try:
        reader = layout(path, recipe)
        reader.images()
    except (UserError, OSError):
        return None
    return reader
