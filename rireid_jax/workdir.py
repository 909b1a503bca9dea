"""The folder of a run: who may use it, and which config it belongs to."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rireid_jax.errors import UserError
from rireid_jax.report.writer import jsonable, write_whole

# What may change between two runs in one folder, because the numbers do not depend on it.
FREE_FIELDS = (
    "data.dir",
    "data.raw_dir",
    "data.workers",
    "natural_images.raw_dir",
    "parallel",
    "eval",
    "checkpoint",
    "log_every",
    "run",
    "baseline",
)


@contextmanager
def locked(workdir: str) -> Iterator[None]:
    """Holds a local folder for this process; it is free again when the process ends, however it does.

    Raises:
      UserError: another run holds it, or it cannot be written to.
    """
    if "://" in workdir:  # object stores have no locks; Orbax's commits are atomic there
        yield
        return
    try:
        os.makedirs(workdir, exist_ok=True)
        lock = open(os.path.join(workdir, ".lock"), "a+")  # noqa: SIM115 closed below
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"--workdir {workdir}: {error.strerror}, expected a folder to write to"
        ) from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UserError(
                f"--workdir {workdir}: in use by process {holder}, expected a folder that no other run uses"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def claim(workdir: str, config: ConfigDict) -> None:
    """Writes the config into a new folder, or checks that the folder's config is this one.

    A folder in which nothing has been trained yet counts as new.

    Raises:
      UserError: the folder belongs to another config; the fields that differ are named.
    """
    path = epath.Path(workdir) / "config.json"
    ours = jsonable(config.to_dict())
    if path.exists() and _has_checkpoints(workdir):
        theirs = read_config(workdir).to_dict()
        differing = [
            f"config.{field} is {mine!r} here and {other!r} there"
            for field, mine, other in _differences(ours, jsonable(theirs))
            if not any(field == free or field.startswith(free + ".") for free in FREE_FIELDS)
        ]
        if differing:
            shown = "; ".join(differing[:5]) + ("; ..." if len(differing) > 5 else "")
            raise UserError(
                f"--workdir {workdir}: belongs to another config, expected a new one: {shown}"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(ours, indent=2) + "\n")


def _has_checkpoints(workdir: str) -> bool:
    folder = epath.Path(workdir) / "checkpoints"
    return folder.exists() and any(
        step.name.isdigit() for stage in folder.iterdir() for step in stage.iterdir()
    )


def read_config(workdir: str) -> ConfigDict:
    """The config of a work directory.

    Raises:
      UserError: the folder holds no run, or its config cannot be read.
    """
    path = epath.Path(workdir) / "config.json"
    if not path.exists():
        raise UserError(f"{workdir}: found no config.json, expected the work directory of a run")
    try:
        return ConfigDict(_tuples(json.loads(path.read_text())))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: found no JSON ({error}), expected a run's config") from error


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _differences(ours: Any, theirs: Any, field: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            path = f"{field}.{key}" if field else key
            yield from _differences(ours.get(key), theirs.get(key), path)
    elif ours != theirs:
        yield field, ours, theirs
