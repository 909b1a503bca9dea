"""What happens to downloads: files and folders are lost, renamed or exchanged."""

import shutil
from collections.abc import Callable
from pathlib import Path

Change = Callable[[Path], object]  # of what lies in a folder
Damage = tuple[Change, str]  # and a pattern of the line that the user is told


def without(name: str) -> Change:
    return lambda folder: _remove(folder / name)


def renamed(name: str, new: str) -> Change:
    return lambda folder: (folder / name).rename(_place(folder / new))


def copied(name: str, new: str) -> Change:
    return lambda folder: shutil.copy(folder / name, _place(folder / new))


def emptied(name: str) -> Change:
    return lambda folder: (shutil.rmtree(folder / name), (folder / name).mkdir())


def folder_instead(name: str) -> Change:
    return lambda folder: _free(folder / name).mkdir()


def link_instead(name: str, target: str) -> Change:
    return lambda folder: _free(folder / name).symlink_to(target)


def written(name: str, content: bytes | str) -> Change:
    """Writes another file in the place of what is there."""
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: _free(folder / name).write_bytes(data)


def changed(name: str, change: Callable[[bytes], bytes]) -> Change:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def edited(name: str, edit: Callable[[str], str]) -> Change:
    return changed(name, lambda data: edit(data.decode()).encode())


def _place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _free(path: Path) -> Path:
    _remove(path)
    return path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
