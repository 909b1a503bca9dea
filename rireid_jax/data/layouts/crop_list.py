"""A CSV file that lists a user's crops."""

import csv
import os
from pathlib import Path

from rireid_jax.data.files import IMAGE_SUFFIXES, Ignored, counted, some_of
from rireid_jax.data.layouts.labels import Label, check_names_of_levels
from rireid_jax.errors import UserError

SPLITS = ("train", "query", "gallery")
_COLUMNS = ("path", "id", "camera", "split")


def read_crop_list(path: Path, ignored: Ignored) -> list[Label]:
    """Reads rows `path,id[,camera[,split]]`, with or without a header; paths are relative to the file.

    Args:
      path: of the file.
      ignored: where to count images next to the listed ones that no row names.

    Raises:
      UserError: it is no CSV file, a row is wrong, images are not there, one is listed twice, or, without a header,
        the columns seem to be in another order.
    """
    rows = _rows(path)
    columns = tuple(cell.strip().lower() for cell in rows[0][1]) if rows else ()
    with_header = columns in (_COLUMNS[:n] for n in (2, 3, 4))
    rows = rows[with_header:]
    if not rows:
        raise UserError(f"{path}: found no rows, expected {','.join(_COLUMNS[:2])} and so on")
    labels = []
    lines: dict[str, int] = {}  # where an image is listed
    for line, row in rows:
        label = _label(path, line, row)
        first = lines.setdefault(os.path.normpath(label.path), line)
        if first != line:
            raise UserError(
                f"{path}, line {line}: {label.name}: found twice, first in line {first}, expected every "
                "image once"
            )
        labels.append(label)
    # A pathlib method would raise where a name is too long.
    gone = [label for label in labels if not os.path.isfile(label.path)]
    if gone:
        named = [f"line {lines[os.path.normpath(label.path)]} {label.path}" for label in gone]
        raise UserError(
            f"{path}: found no file for {counted(len(gone), 'row')} of {len(labels):,} ({some_of(named, 3)}), expected "
            "one for each, or the file without these rows"
        )
    found = {label.split for label in labels}
    if found != {None} and found != set(SPLITS):
        names = ", ".join(sorted(split or "none" for split in found))
        raise UserError(
            f"{path}: found splits {names}, expected all of {', '.join(SPLITS)}, or none"
        )
    if not with_header:
        expected = "expected the columns path,id[,camera[,split]], or a header that says so"
        check_names_of_levels(path, labels, expected)
    ignored.unlisted += _unlisted(lines)
    return labels


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [(n, row) for n, row in enumerate(csv.reader(file), 1) if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: {error}, expected a CSV file in UTF-8") from error


def _label(path: Path, line: int, row: list[str]) -> Label:
    cells = [cell.strip() for cell in row]
    if not 2 <= len(cells) <= 4 or not cells[0] or not cells[1]:
        raise UserError(f"{path}, line {line}: found {row}, expected path,id[,camera[,split]]")
    name, identity, camera, split = cells + [""] * (4 - len(cells))
    if split and split not in SPLITS:
        raise UserError(
            f"{path}, line {line}: found split {split!r}, expected one of "
            f"{', '.join(SPLITS)}, or nothing"
        )
    return Label(path.parent / name, name, identity, camera or None, split or None)


def _unlisted(listed: dict[str, int]) -> int:
    """How many images lie in the folders of listed ones without being listed."""
    number = 0
    for folder in {os.path.dirname(name) for name in listed}:
        try:
            names = os.listdir(folder or ".")
        except OSError:  # what is listed can be read all the same
            continue
        number += sum(
            name.lower().endswith(IMAGE_SUFFIXES)
            and not name.startswith(".")
            and os.path.join(folder, name) not in listed
            for name in names
        )
    return number
