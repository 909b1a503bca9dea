"""What to do about files that cannot be read: the usual ways in which a download is nearly right."""

import difflib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rireid_jax.config import recipe_of
from rireid_jax.data.build.benchmark import BenchmarkBuilder
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.build.dataset import BUILDERS
from rireid_jax.data.raw.base import RawDataset
from rireid_jax.data.raw.crops import find_crops
from rireid_jax.data.raw.cuhk03 import CUHK03
from rireid_jax.data.raw.msmt17 import FOLDERS, MSMT17
from rireid_jax.doctor.folders import ARCHIVE_SUFFIXES, Tree, counted
from rireid_jax.errors import UserError

_RAW_DIR = "config.data.raw_dir"
_LEVELS_UP = 2
_LEVELS_DOWN = 3
_MOST_FOLDERS = 300  # that are tried
_HTML = re.compile(rb"\s*<(!doctype|html|\?xml)", re.IGNORECASE)


@dataclass(frozen=True)
class Advice:
    """What is there, and what to do.

    Attributes:
      text: a sentence.
      command: to run for it; "" if there is none.
      flags: to give instead of the user's of those names.
    """

    text: str
    command: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)


def advise(builder: RecordBuilder, tree: Tree | None) -> Iterator[Advice]:
    """What to do about files that the builder's reader cannot read, the most promising first.

    Args:
      builder: whose `raw_dir` is at fault.
      tree: what is there; None if it is no folder.
    """
    path = Path(os.path.expanduser(builder.raw_dir))
    if not builder.raw_dir:
        yield Advice(f"say where the files lie: --{_RAW_DIR}=DIR")
    elif not os.path.exists(path):
        yield _missing(path)
    elif isinstance(builder, BenchmarkBuilder):
        yield from _download(builder, path, tree)
    elif tree is not None:
        found = list(other_benchmarks(builder, tree)) or list(_crops_below(tree))
        yield from found or _no_images(tree)


def other_benchmarks(builder: RecordBuilder, tree: Tree) -> Iterator[Advice]:
    """The folder is the download of another benchmark than the builder's."""
    own = builder.raw_class if isinstance(builder, BenchmarkBuilder) else None
    names: dict[type[RawDataset], list[str]] = {}
    for name, kind in BUILDERS.items():
        if issubclass(kind, BenchmarkBuilder) and kind.raw_class is not own:
            names.setdefault(kind.raw_class, []).append(name)
    for raw_class, datasets in names.items():
        reader = _first_reader(raw_class, recipe_of(datasets[0]), tree)
        if reader is not None:
            yield Advice(
                f"{reader.root} is {raw_class.title}, the download of {' and '.join(datasets)}; choose "
                f"that behind the config file, as in --config configs/joint.py:{datasets[0]}"
            )


def advise_on_division(builder: RecordBuilder) -> Iterator[Advice]:
    """What to do about images that can be read, but not divided."""
    if not isinstance(builder, BenchmarkBuilder) or not isinstance(builder.raw, CUHK03):
        return
    if builder.recipe["split_source"] == "official" and not builder.raw.sources():
        yield Advice(
            "these are extracted images without their splits: put splits_classic_"
            f"{builder.recipe['boxes']}.json beside their folder, or divide at random",
            flags={"config.data.recipe.split_source": "random"},
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


def _download(builder: BenchmarkBuilder, path: Path, tree: Tree | None) -> Iterator[Advice]:
    """Advice on a download, given as a file or folder that is there."""
    if tree is None:
        if path.name.lower().endswith(ARCHIVE_SUFFIXES):
            yield _unpack(path)
        elif builder.raw_class is CUHK03 and path.suffix == ".mat":
            yield from _matlab_file(builder, path)
        else:
            yield Advice(
                f"{path.name} is a file; give the folder of the download: --{_RAW_DIR}=DIR"
            )
    elif below := _below(builder, tree):
        yield from below
    elif (root := _above(builder, path)) and root in path.absolute().parents:
        levels = len(path.absolute().parts) - len(root.parts)
        higher = "one level" if levels == 1 else f"{levels} levels"
        yield _other_folder(f"{builder.raw_class.title} lies {higher} higher, in {root}", root)
    else:
        found = [
            *_mixed_versions(builder, path),
            *_matlab_file(builder, path),
            *_other_boxes(builder, path),
            *other_benchmarks(builder, tree),
            *_packed(tree),
        ]
        yield from found or _no_images(tree)
        if root is not None:
            yield _other_folder(f"{builder.raw_class.title} lies nearby, in {root}", root)


def _below(builder: BenchmarkBuilder, tree: Tree) -> list[Advice]:
    roots: list[Path] = []
    for folder in islice(tree.root.walk(_LEVELS_DOWN), 1, _MOST_FOLDERS):
        if any(root == folder.path or root in folder.path.parents for root in roots):
            continue
        reader = _read(builder.raw_class, folder.path, builder.recipe)
        if reader is not None:
            roots.append(reader.root)
    title = builder.raw_class.title
    return [_other_folder(f"{title} lies deeper, in {root}", root) for root in roots[:3]]


def _above(builder: BenchmarkBuilder, path: Path) -> Path | None:
    for parent in islice(path.absolute().parents, _LEVELS_UP):
        reader = _read(builder.raw_class, parent, builder.recipe)
        if reader is not None:
            return reader.root
    return None


def _other_folder(text: str, root: Path) -> Advice:
    return Advice(f"{text}; give that folder", flags={_RAW_DIR: str(root)})


def _crops_below(tree: Tree) -> Iterator[Advice]:
    for folder in islice(tree.root.walk(_LEVELS_DOWN), 1, _MOST_FOLDERS):
        try:
            number = len(find_crops(folder.path))
        except (UserError, OSError):
            continue
        yield _other_folder(f"{counted(number, 'image')} can be read in {folder.path}", folder.path)
        return


def _mixed_versions(builder: BenchmarkBuilder, path: Path) -> Iterator[Advice]:
    if builder.raw_class is not MSMT17:
        return
    for root in (path, path / "MSMT17_V1", path / "MSMT17_V2"):
        there = {
            version: [name for name in names if (root / name).is_dir()]
            for version, names in FOLDERS.items()
        }
        if all(there.values()):
            named = " and ".join(f"{' and '.join(there[key])} of {key}" for key in there)
            yield Advice(
                f"{root} mixes two versions of MSMT17, {named}; keep the two folders of one version, "
                "with its lists"
            )


def _other_boxes(builder: BenchmarkBuilder, path: Path) -> Iterator[Advice]:
    if builder.raw_class is not CUHK03:
        return
    boxes = {"detected": "labeled", "labeled": "detected"}[builder.recipe["boxes"]]
    if _read(CUHK03, path, {**builder.recipe, "boxes": boxes}) is not None:
        yield Advice(
            f"only the {boxes} images are there; take them, which is another benchmark",
            flags={"config.data.recipe.boxes": boxes},
        )


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


def _matlab_file(builder: BenchmarkBuilder, path: Path) -> Iterator[Advice]:
    """cuhk-03.mat is there, but another file has its name."""
    if builder.raw_class is not CUHK03:
        return
    try:
        files = CUHK03(path, builder.recipe).sources()
    except UserError:
        return
    for file in files:
        if file.suffix == ".mat":
            with file.open("rb") as opened:
                what = _kind(opened.read(128))
            yield Advice(
                f"{file.name} (a file of {file.stat().st_size:,} bytes) {what}; get it again from "
                "the original download"
            )


def _kind(head: bytes) -> str:
    """What a file is that should be MATLAB 7.3, by its first bytes."""
    if not head:
        return "is empty"
    if _HTML.match(head):
        return "is a web page, perhaps one that asks to log in"
    if head.startswith(b"MATLAB 5.0"):
        return "was saved as MATLAB 5 by another program, while the original is MATLAB 7.3 (HDF5)"
    if head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        return "is HDF5 as it should be, but damaged, cut off, or of other content"
    return "is no MATLAB file"


def _first_reader(
    raw_class: type[RawDataset], recipe: Mapping[str, Any], tree: Tree
) -> RawDataset | None:
    for folder in islice(tree.root.walk(_LEVELS_DOWN), _MOST_FOLDERS):
        reader = _read(raw_class, folder.path, recipe)
        if reader is not None:
            return reader
    return None


def _read(raw_class: type[RawDataset], path: Path, recipe: Mapping[str, Any]) -> RawDataset | None:
    """The reader of a folder, if it is such a download, with images of the right names."""
    try:
        reader = raw_class(path, recipe)
        reader.images()
    except (UserError, OSError):
        return None
    return reader
