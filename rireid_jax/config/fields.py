"""Config sections from declared fields: their defaults, and the problems of their values."""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ml_collections import ConfigDict

from rireid_jax.components import Field, Fields, Slot
from rireid_jax.config.renamed import new_name


def defaults(fields: Fields, small: bool = False) -> ConfigDict:
    """Returns a section of the config in which every field has its default.

    Args:
      fields: fields of the section.
      small: True for the two-core size, False for the paper's.
    """
    return ConfigDict({name: _default(field, small) for name, field in fields.items()})


def _default(field: Any, small: bool) -> Any:
    if isinstance(field, Field):
        return field.value(small)
    return defaults(field.fields() if isinstance(field, Slot) else field, small)


def completed(values: ConfigDict, template: ConfigDict) -> ConfigDict:
    """Returns a copy of a section, with the template's values for the fields that it lacks."""
    whole = ConfigDict(dict(values.items()))
    for name, value in template.items():
        if name not in values:
            whole[name] = value
        elif isinstance(value, ConfigDict) and isinstance(values[name], ConfigDict):
            whole[name] = completed(values[name], value)
    return whole


def plain(name: str) -> str:
    """Returns the letters and digits of a name, in lower case: `batch-size` and `Batch_Size` are `batch_size`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns which of the known names a mistyped one most likely is; "" if it is like none."""
    names = {plain(other): other for other in known}
    close = difflib.get_close_matches(plain(name), names, 1, cutoff=0.65)
    return names[close[0]] if close else ""


def structure_problems(fields: Fields, values: ConfigDict, path: str) -> Iterator[str]:
    """Yields the unknown and missing fields of a section, and the values whose type is not that of the default."""
    for name in sorted({*fields, *values}):
        field, place = fields.get(name), f"{path}.{name}"
        if field is None:
            new = new_name(place.removeprefix("config."))
            close = nearest(name, fields)
            expected = f"{path}.{close}" if close else f"one of {', '.join(fields)}"
            expected = f"its new name config.{new}" if new else expected
            yield f"{place}: found an unknown field, expected {expected}"
        elif name not in values:
            yield f"{place}: found no such field, expected it as in base_config"
        elif not isinstance(field, Field):
            inner = field.fields() if isinstance(field, Slot) else field
            if isinstance(values[name], ConfigDict):
                yield from structure_problems(inner, values[name], place)
            else:
                yield f"{place}: found {values[name]!r}, expected a value of type ConfigDict"
        elif type(values[name]) is not type(field.default):
            kind = type(field.default).__name__
            if (type(values[name]), kind) != (int, "float"):
                yield f"{place}: found {values[name]!r}, expected a value of type {kind}"


def value_problems(fields: Fields, values: ConfigDict, path: str) -> Iterator[str]:
    """Yields the values of a section that fail the checks of their fields. The structure must already be valid."""
    for name, field in fields.items():
        place = f"{path}.{name}"
        if isinstance(field, Field):
            expected = field.check.problem(values[name])
            if expected:
                yield f"{place}: found {values[name]!r}, expected {expected}"
        else:
            inner = field.fields() if isinstance(field, Slot) else field
            yield from value_problems(inner, values[name], place)
