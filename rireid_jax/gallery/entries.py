"""Rows of a gallery, and what Milvus stores of them."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from rireid_jax.errors import UserError

Value = str | int | float | bool

# Bytes of UTF-8, which is what a server counts.
LONGEST = {"name": 4096, "person": 1024, "camera": 1024, "time": 64, "content": 64}
KEY = "key"
FEATURE = "feature"


@dataclass(frozen=True)
class Entry:
    """What a gallery stores of an image as well as its feature.

    Attributes:
      name: of the image; a second entry of the same name replaces the first one.
      person: who it shows; "" if unknown.
      camera: which took it; "" if unknown.
      time: when, in ISO 8601; "" if unknown. It is stored with milliseconds, and in UTC where it has an offset, so
        that the order of the texts is that of the times.
      native_width: pixels of the image as it came.
      resolution: r = native width / the model's `width_max`, at most 1.
      content: hash of the image file, to tell whether it has changed; "" if unknown.
      fields: the user's own, by name.

    Raises:
      UserError: a text is too long or no text, the time is none, or an own field cannot be stored.
    """

    name: str
    person: str = ""
    camera: str = ""
    time: str = ""
    native_width: int = 0
    resolution: float = 0.0
    content: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.time:
            object.__setattr__(self, "time", _sortable(self.time))
        for column, longest in LONGEST.items():
            _check_text(column, getattr(self, column), longest)
        if not self.name:
            raise UserError("name: found '', expected the name of an image")
        for key, value in self.fields.items():
            _check_field(key, value)

    @property
    def key(self) -> str:
        """The primary key: a hash of the name, since pymilvus pages by keys that it does not escape."""
        return key_of(self.name)

    def same_labels(self, other: "Entry") -> bool:
        """Whether all that does not come from the network is the same."""
        return _labels(self) == _labels(other)

    def row(self) -> dict[str, Any]:
        """What Milvus stores, without the feature."""
        row = {column: getattr(self, column) for column in COLUMNS}
        return {KEY: self.key, **row, "fields": dict(self.fields)}


@dataclass(frozen=True)
class Hit:
    """An entry that a search found.

    Attributes:
      entry: the row.
      distance: Euclidean, between the features of the query and of the row.
    """

    entry: Entry
    distance: float


COLUMNS = tuple(column.name for column in fields(Entry))


def key_of(name: str) -> str:
    """The primary key of a name."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def entry_of(row: Mapping[str, Any]) -> Entry:
    """The entry of a row as Milvus returns it."""
    return Entry(**{column: row[column] for column in COLUMNS})


def _labels(entry: Entry) -> tuple[Any, ...]:
    own = sorted((key, type(value).__name__, value) for key, value in entry.fields.items())
    return entry.name, entry.person, entry.camera, entry.time, entry.content, own


def _sortable(time: str) -> str:
    try:
        when = datetime.fromisoformat(time)
    except (ValueError, TypeError):
        raise UserError(
            f"time: found {time!r}, expected ISO 8601 such as 2026-03-01T14:30:00"
        ) from None
    if when.tzinfo is not None:
        when = when.astimezone(UTC)
    return when.isoformat(timespec="milliseconds")


def _check_text(column: str, text: Any, longest: int) -> None:
    if not isinstance(text, str):
        raise UserError(f"{column}: found {text!r}, expected a text")
    try:
        length = len(text.encode())
    except UnicodeEncodeError:  # a file name in another encoding
        raise UserError(f"{column}: found {text!r}, expected a text in UTF-8") from None
    if length > longest or "\0" in text:
        raise UserError(
            f"{column}: found {text[:40]!r}... of {length} bytes, expected at most {longest}, none 0"
        )


def _check_field(key: Any, value: Any) -> None:
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z_]\w{0,99}", key, re.ASCII):
        raise UserError(
            f"field: found the name {key!r}, expected a letter, then letters, digits, _"
        )
    finite = isinstance(value, str | int | float) and (
        not isinstance(value, float) or math.isfinite(value)
    )
    if not finite or (isinstance(value, int) and abs(value) >= 2**63):
        raise UserError(f"field {key}: found {value!r}, expected a text, a number, True or False")
    if isinstance(value, str):
        _check_text(f"field {key}", value, 4096)
