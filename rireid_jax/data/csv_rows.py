"""The rows of a user's CSV file of images: its columns in any order under a header, or in their usual one."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rireid_jax.errors import UserError

COLUMNS = ("path", "id", "camera", "split")
_SEPARATORS = {";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class Row:
    """A line about an image; what it does not say is "".

    Attributes:
      line: number in the file, for errors.
      cells: as they stand in the line, for errors.
    """

    line: int
    cells: Sequence[str]
    path: str = ""
    id: str = ""
    camera: str = ""
    split: str = ""


@dataclass(frozen=True)
class Rows:
    """What a file lists.

    Attributes:
      rows: those that are not empty, without the header; possibly none.
      columns: in the order of the file; the first of `COLUMNS` where no header names them.
      with_header: whether there is a header.
      others: columns of other names, which are not read.
    """

    rows: Sequence[Row]
    columns: Sequence[str]
    with_header: bool
    others: Sequence[str] = field(default=())


def read_rows(path: Path, needed: Sequence[str] = COLUMNS[:1]) -> Rows:
    """Reads a CSV file in UTF-8, with or without a byte order mark, with the line ends of any system.

    A first row with a cell `path`, in capitals or not, is a header, and names the columns in any order.

    Args:
      path: of the file.
      needed: columns that a header must name.

    Raises:
      UserError: it is no such file; the header lacks a column or has it twice; a row has more cells than there are
        columns, or semicolons or tabs between them.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: {reason}, expected a CSV file in UTF-8") from error
    if not lines:
        return Rows((), COLUMNS, with_header=False)
    number, first = lines[0]
    _check_separator(path, number, first)
    names = [cell.strip().lower() for cell in first]
    with_header = "path" in names
    if with_header:
        _check_header(f"{path}, line {number}", names, needed)
        lines = lines[1:]
    columns = names if with_header else list(COLUMNS)
    rows = [_row(path, line, row, columns) for line, row in lines]
    others = [name for name in columns if name and name not in COLUMNS]
    return Rows(rows, [name for name in columns if name in COLUMNS], with_header, others)


def _check_separator(path: Path, line: int, row: Sequence[str]) -> None:
    if len(row) > 1 or os.path.isfile(path.parent / row[0]):  # which may have such a name
        return
    for separator, name in _SEPARATORS.items():
        if separator in row[0]:
            raise UserError(
                f"{path}, line {line}: found {row}, {name} between the columns, expected "
                f"{','.join(COLUMNS)} with commas"
            )


def _check_header(place: str, names: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        raise UserError(
            f"{place}: found the columns {', '.join(names)}, expected {' and '.join(missing)} too"
        )
    twice = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if twice:
        raise UserError(f"{place}: found the column {twice[0]} twice, expected it once")


def _row(path: Path, line: int, row: Sequence[str], columns: Sequence[str]) -> Row:
    cells = [cell.strip() for cell in row]
    while len(cells) > len(columns) and not cells[-1]:  # commas that a spreadsheet adds
        cells.pop()
    named = dict(zip(columns, cells, strict=False))
    if len(cells) > len(columns) or not named.get("path"):
        expected = ",".join(columns)
        raise UserError(f"{path}, line {line}: found {list(row)}, expected {expected}")
    return Row(line, row, **{name: named[name] for name in COLUMNS if name in named})
