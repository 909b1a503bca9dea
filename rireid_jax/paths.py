"""Paths as people write them: the one place that says what `~` and `$NAME` in a path mean."""

import os
import re
from typing import Any

from rireid_jax.errors import UserError


def expanded(path: Any, name: str) -> str:
    """Returns a path with the user's folder in place of `~` and `~user`, and variables in place of `$NAME`.

    A shell does so in `--workdir ~/x`, but not in `--workdir=~/x`, in quotes, in a file or in Python. A file or folder
    that has such a name is taken as it is. Addresses such as gs://bucket/x are returned unchanged.

    Args:
      path: string or `os.PathLike`, checked here because users give it.
      name: flag, field or argument, for the error.

    Raises:
      UserError: it is no path; or there is no such user or variable, and nothing of this name.
    """
    try:
        written = os.fspath(path)
    except TypeError:
        written = path
    if not isinstance(written, str) or "\0" in written:
        raise UserError(f"{name}: found {written!r}, expected a path")
    if "://" in written:
        return written
    whole = os.path.expanduser(written)
    if "$" in whole and not os.path.lexists(whole):
        whole = os.path.expandvars(whole)
    unknown = re.match(r"~[^/]*|.*?(\$\w+|\$\{\w+\})", whole)
    if unknown and not os.path.lexists(whole):
        kind = f"variable {unknown[1]}" if unknown[1] else f"user's folder {unknown[0]}"
        raise UserError(f"{name}: found {written!r} without a {kind}, expected one that exists")
    return whole
