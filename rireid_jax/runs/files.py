"""Files that are written whole or not at all, and values as JSON can hold them."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etils import epath


def write_whole(path: epath.Path, content: str | bytes) -> None:
    """Replaces a file in one go, so that a killed process leaves the old one or the new one."""
    temporary = path.parent / (path.name + ".tmp")
    if isinstance(content, bytes):
        temporary.write_bytes(content)
    else:
        temporary.write_text(content)
    temporary.replace(path)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """As `write_whole`, of a file too large to be held: gives where to write it; an error leaves the old one."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def jsonable(value: Any) -> Any:
    """The value as strict JSON can hold it: what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
