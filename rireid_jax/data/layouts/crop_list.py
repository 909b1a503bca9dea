"""A CSV file that lists a user's crops."""

import os
from pathlib import Path

from rireid_jax.data.csv_rows import Row, read_rows
from rireid_jax.data.files import IMAGE_SUFFIXES, Ignored, counted, some_of
from rireid_jax.data.layouts.labels import Label, check_names_of_levels
from rireid_jax.errors import UserError

SPLITS = ("train", "query", "gallery")
_NEEDED = ("path", "id")


def read_crop_list(path: Path, ignored: Ignored) -> list[Label]:
    """Reads a CSV file of images with their identities, and cameras and splits if it has them.

    A header names the columns path, id, camera and split in any order; without one, they are
    `path,id[,camera[,split]]`. Paths are relative to the file.

    Args:
      path: of the file.
      ignored: where to count images next to the listed ones that no row names, and columns of other names.

    Raises:
      UserError: it is no CSV file, a row is wrong, images are not there, one is listed twice, or, without a header,
        the columns seem to be in another order.
    """
    found = read_rows(path, _NEEDED)
    if not found.rows:
        raise UserError(f"{path}: found no rows, expected {','.join(_NEEDED)} and so on")
    expected = ",".join(found.columns) if found.with_header else "path,id[,camera[,split]]"
    labels = []
    lines: dict[str, int] = {}  # where an image is listed
    for row in found.rows:
        label = _label(path, row, expected)
        first = lines.setdefault(os.path.normpath(label.path), row.line)
        if first != row.line:
            raise UserError(
                f"{path}, line {row.line}: {label.name}: found twice, first in line {first}, expected every "
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
    splits = {label.split for label in labels}
    if splits != {None} and splits != set(SPLITS):
        names = ", ".join(sorted(split or "none" for split in splits))
        raise UserError(
            f"{path}: found splits {names}, expected all of {', '.join(SPLITS)}, or none"
        )
    if not found.with_header:
        expected = "expected the columns path,id[,camera[,split]], or a header that says so"
        check_names_of_levels(path, labels, expected)
    ignored.columns += found.others
    ignored.unlisted += _unlisted(lines)
    return labels


def _label(path: Path, row: Row, expected: str) -> Label:
    if not row.id:
        raise UserError(f"{path}, line {row.line}: found {list(row.cells)}, expected {expected}")
    if row.split and row.split not in SPLITS:
        raise UserError(
            f"{path}, line {row.line}: found split {row.split!r}, expected one of "
            f"{', '.join(SPLITS)}, or nothing"
        )
    return Label(path.parent / row.path, row.path, row.id, row.camera or None, row.split or None)


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
