"""What lies in a folder, counted without opening or measuring a file."""

import heapq
import os
import textwrap
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rireid_jax.data.files import IMAGE_SUFFIXES, counted

WIDTH = 100  # columns of a terminal that text is made for
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".rar", ".7z")
_MOST_ENTRIES = 3_000_000  # of files and folders: a few seconds, more than twice ImageNet
_EXAMPLES = 6  # names of other files; more are counted
_MOST_FOLDERS = (12, 3, 3)  # shown in a folder, by level
_INDENT = "  "


@dataclass
class Folder:
    """A folder and what is directly in it; names are in order.

    Attributes:
      path: of the folder.
      images: files with an image's suffix.
      others: all other files.
      image_example: the first name of an image.
      other_examples: the first names of other files.
      archives: files to unpack.
      folders: those in it.
      error: why it could not be listed; "" where it could.
    """

    path: Path
    images: int = 0
    others: int = 0
    image_example: str = ""
    other_examples: Sequence[str] = ()
    archives: Sequence[Path] = ()
    folders: Sequence["Folder"] = ()
    error: str = ""

    def walk(self, levels: int) -> Iterator["Folder"]:
        """The folder and those below, level by level, so many levels down."""
        level: Sequence[Folder] = [self]
        for _ in range(levels + 1):
            yield from level
            level = [inner for folder in level for inner in folder.folders]

    def below(self) -> tuple[int, int]:
        """How many images and other files there are in the folders below it."""
        images = others = 0
        folders = list(self.folders)
        while folders:
            folder = folders.pop()
            images, others = images + folder.images, others + folder.others
            folders += folder.folders
        return images, others


@dataclass
class Tree:
    """A folder with all that is below.

    Attributes:
      root: the folder.
      whole: False: there is so much in it that counting was given up.
    """

    root: Folder
    whole: bool = True
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def lines(self) -> list[str]:
        """The folders, three levels down at most, with their counts and a few names, in 100 columns."""
        rows = list(_rows(self.root, 0))
        # The root's name, a whole path, may be longer.
        column = min(44, max((len(name) for name, what in rows[1:] if what), default=0))
        lines = [shortened(f"{name:<{column}}  {what}".rstrip()) for name, what in rows]
        if not self.whole:
            lines.append(f"... and more: the count ended at {_MOST_ENTRIES:,} files and folders")
        return lines


def read_tree(path: Path) -> Tree:
    """Lists a folder and all below, level by level. Links are followed, each folder is listed once."""
    tree = Tree(Folder(path))
    waiting = deque([tree.root])
    entries = 0
    while waiting:
        if entries > _MOST_ENTRIES:
            tree.whole = False
            break
        folder = waiting.popleft()
        entries += _list(folder, tree._seen)
        waiting += folder.folders
    return tree


def printable(text: str) -> str:
    """Text that any terminal takes: file names may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shortened(text: str, width: int = WIDTH - len(_INDENT)) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def wrapped(text: str, start: str = "") -> list[str]:
    """Lines of prose, the first after `start`; paths and flags are not broken."""
    return textwrap.wrap(
        text,
        WIDTH - len(_INDENT),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _list(folder: Folder, seen: set[tuple[int, int]]) -> int:
    """Fills in a folder; returns the number of its entries."""
    images, others, archives, folders = [], [], [], []
    try:
        status = os.stat(folder.path)
        if (status.st_dev, status.st_ino) in seen:
            folder.error = "listed elsewhere, by way of a link"
            return 0
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder.path) as entries:
            for entry in entries:
                # The kind of an entry comes with the list; only links cost a look.
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.startswith("."):
                    others.append(entry.name)
                elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                    images.append(entry.name)
                else:
                    others.append(entry.name)
                    if entry.name.lower().endswith(ARCHIVE_SUFFIXES):
                        archives.append(entry.name)
    except OSError as error:
        folder.error = error.strerror or str(error)
    folder.images, folder.others = len(images), len(others)
    folder.image_example = min(images, default="")
    folder.other_examples = heapq.nsmallest(_EXAMPLES, others)
    folder.archives = [folder.path / name for name in sorted(archives)]
    folder.folders = [Folder(folder.path / name) for name in sorted(folders)]
    return len(images) + len(others) + len(folders)


def _rows(folder: Folder, level: int) -> Iterator[tuple[str, str]]:
    name = str(folder.path) if level == 0 else folder.path.name
    yield f"{_INDENT * level}{printable(name).rstrip('/')}/", _contents(folder)
    most = _MOST_FOLDERS[level] if level < len(_MOST_FOLDERS) else 0
    for inner in folder.folders[:most]:
        yield from _rows(inner, level + 1)
    if most and len(folder.folders) > most:
        yield f"{_INDENT * (level + 1)}... {counted(len(folder.folders) - most, 'more folder')}", ""
    if most and folder.others:
        names = ", ".join(map(printable, folder.other_examples))
        more = ", ..." if folder.others > len(folder.other_examples) else ""
        yield f"{_INDENT * (level + 1)}{names}{more}", ""


def _contents(folder: Folder) -> str:
    parts = []
    if folder.error:
        parts.append(folder.error)
    if folder.images:
        more = ", ..." if folder.images > 1 else ""
        parts.append(f"{counted(folder.images, 'image')}: {printable(folder.image_example)}{more}")
    if folder.folders:
        images, others = folder.below()
        inner = [counted(images, "image")] if images else []
        inner += [counted(others, "other file")] if others else []
        holding = " and ".join(inner) or "nothing"
        parts.append(f"{counted(len(folder.folders), 'folder')} with {holding}")
    if folder.others:
        parts.append(counted(folder.others, "other file"))
    return "; ".join(parts) or "empty"
