"""What happens to downloads: files and folders lost, renamed or exchanged, files of splits gone wrong."""

import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from damages.images import BAD_IMAGES

Change = Callable[[Path], None]  # of what lies in a folder


class Damage(NamedTuple):
    """A damage to a download, and a pattern of the line that the user is told."""

    name: str
    do: Change
    message: str


def without(name: str) -> Change:
    return lambda folder: _remove(folder / name)


def renamed(name: str, new: str) -> Change:
    def do(folder: Path) -> None:
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(folder / new)

    return do


def copied(name: str, new: str) -> Change:
    def do(folder: Path) -> None:
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, folder / new)

    return do


def emptied(name: str) -> Change:
    def do(folder: Path) -> None:
        shutil.rmtree(folder / name)
        (folder / name).mkdir()

    return do


def written(name: str, content: bytes | str) -> Change:
    """Writes another file in the place of what is there."""

    def do(folder: Path) -> None:
        _remove(folder / name)
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)

    return do


def edited(name: str, edit: Callable[[str], str]) -> Change:
    def do(folder: Path) -> None:
        before = (folder / name).read_text(encoding="utf-8")
        after = edit(before)
        assert after != before
        (folder / name).write_bytes(after.encode())

    return do


def changed(name: str, change: Callable[[bytes], bytes]) -> Change:
    def do(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return do


def folder_instead(name: str) -> Change:
    def do(folder: Path) -> None:
        _remove(folder / name)
        (folder / name).mkdir()

    return do


def link_instead(name: str, target: str) -> Change:
    def do(folder: Path) -> None:
        _remove(folder / name)
        (folder / name).symlink_to(target)

    return do


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def bad_images(*names: str, part: slice = slice(None)) -> Iterator[Damage]:
    """Damages to an image, all or a part of those that there are, done to the given files in turn."""
    turns = itertools.cycle(names)
    for kind, (change, problem) in [*BAD_IMAGES.items()][part]:
        name = next(turns)
        yield Damage(f"image: {kind}", changed(name, change), f"{re.escape(name)}: {problem}")


def no_files(*names: str) -> Iterator[Damage]:
    """What is no file, in the place of an image; the same pattern for all ways to say it."""
    turns = itertools.cycle(names)
    ways = {
        "folder": folder_instead,
        "broken link": lambda name: link_instead(name, "nowhere"),
        "link to itself": lambda name: link_instead(name, Path(name).name),
    }
    for kind, way in ways.items():
        name = next(turns)
        yield Damage(f"image: {kind}", way(name), rf"{re.escape(name)}\b.*, expected a")


def wrong_names(name: str, new: Sequence[str], problem: str) -> Iterator[Damage]:
    """A file under other names."""
    for other in new:
        place = re.escape(other)
        yield Damage(f"name: {other}", renamed(name, other), f"{place}: {problem}")


_NO_JSON: dict[str, bytes] = {
    "empty": b"",
    "zero bytes": bytes(400),
    "no JSON": b"train: 1, 2\n",
    "cut off": b'[{"train": [0, 1], "query": [2',
    "Latin-1": '[{"train": ["für"]}]'.encode("latin-1"),
    "pickled": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94.",
    "nested too deeply": b"[" * 100_000,
    "HTML page": b"<!DOCTYPE html>\n<html>\n</html>\n",
    "two values": b"[] []",
    "number of too many digits": b"[" + b"9" * 5_000 + b"]",
}


def no_json(name: str) -> Iterator[Damage]:
    """Files that hold no JSON; none of them is readable in any of its forms."""
    for kind, content in _NO_JSON.items():
        message = f"{re.escape(name)}: .*, expected .* splits"
        yield Damage(f"splits: {kind}", written(name, content), message)
    yield Damage(
        "splits: folder", folder_instead(name), f"{re.escape(Path(name).stem)}.*, expected"
    )
    yield Damage("splits: gone", without(name), f"{re.escape(Path(name).stem)}.*, expected")
    yield Damage(
        "splits: link", link_instead(name, "no"), f"{re.escape(Path(name).stem)}.*, expected"
    )


def wrong_json(name: str, contents: dict[str, object], place: str = "") -> Iterator[Damage]:
    """JSON of another content: by what the message says of it."""
    for number, (problem, content) in enumerate(contents.items()):
        message = f"{place or re.escape(name)}.*{problem}"
        yield Damage(f"splits: content {number}", written(name, json.dumps(content)), message)
