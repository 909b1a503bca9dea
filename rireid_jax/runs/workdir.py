"""The folder of a run: who may use it, and which config it belongs to."""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.components import DATASETS
from rireid_jax.config import with_defaults, with_paths
from rireid_jax.config.imports import import_modules
from rireid_jax.config.renamed import new_name, old_fields
from rireid_jax.errors import UserError
from rireid_jax.runs.files import jsonable, write_whole


def _idle_fields() -> tuple[str, ...]:
    """The fields that no number depends on."""
    data = ("dir", "raw_dir", "workers", "build_threads", "beam")
    anonymous = [name for name in DATASETS if not DATASETS[name].has_identities]
    return (
        *(f"data.{name}" for name in data),
        *(f"{name}.raw_dir" for name in anonymous),
        *("parallel", "checkpoint", "log_every", "profile", "imports"),
    )


def free_fields() -> tuple[str, ...]:
    """The fields that may change between two runs in one folder, because no checkpoint depends on them."""
    return (*_idle_fields(), "data.trials", "eval", "run", "baseline", "others")


@contextmanager
def locked(workdir: str) -> Iterator[None]:
    """Holds a local folder for this run until the first process ends, however it ends.

    Raises:
      UserError: another run holds it, or it cannot be written to.
    """
    with ExitStack() as held:
        if "://" not in workdir:  # object stores have no locks; Orbax's commits are atomic there
            distributed.from_first(lambda: _lock(workdir, held))
        yield


def _lock(workdir: str, held: ExitStack) -> None:
    """Locks a folder until `held` is closed."""
    try:
        os.makedirs(workdir, exist_ok=True)
        lock = open(os.path.join(workdir, ".lock"), "a+")  # noqa: SIM115 closed below
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"--workdir {workdir}: {error.strerror}, expected a folder to write to"
        ) from error
    file = held.enter_context(lock)
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


@distributed.by_first
def claim(workdir: str, config: ConfigDict) -> None:
    """Writes the config into a new folder, or checks that the folder's config is this one.

    Raises:
      UserError: as `check_claim`.
    """
    check_claim(workdir, config)
    path = epath.Path(workdir) / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(jsonable(config.to_dict()), indent=2) + "\n")


@distributed.by_first
def check_claim(workdir: str, config: ConfigDict) -> None:
    """Checks that a folder is new, or that its config is this one.

    A folder in which nothing has been trained yet, in no trial either, counts as new.

    Raises:
      UserError: the folder belongs to another config; the fields that differ are named.
    """
    path = epath.Path(workdir) / "config.json"
    ours = jsonable(config.to_dict())
    if path.exists():
        _refuse_older(workdir, _read_json(path, "a run's config"))
    if path.exists() and any(map(has_checkpoints, (workdir, *trial_folders(workdir)))):
        theirs = with_paths(read_config(workdir)).to_dict()  # older versions kept `~`
        differing = [
            f"config.{field} is {mine!r} here and {other!r} there"
            for field, mine, other in differences(ours, jsonable(theirs), free_fields())
        ]
        if differing:
            shown = "; ".join(differing[:5]) + ("; ..." if len(differing) > 5 else "")
            raise UserError(
                f"--workdir {workdir}: belongs to another config, expected a new one: {shown}"
            )


@distributed.by_first
def has_checkpoints(workdir: str) -> bool:
    """Whether anything has been trained in a folder itself."""
    steps = (epath.Path(workdir) / "checkpoints").glob("*/*")
    return any(step.name.isdigit() for step in steps)


@distributed.by_first
def claim_data(workdir: str, protocols: Mapping[str, str]) -> None:
    """Writes which data a folder's stages train on, or checks that they are these.

    A config only names folders and files, whose content may change.

    Args:
      workdir: of a run.
      protocols: protocol hash by data set; the folder's other data sets stay as they are.

    Raises:
      UserError: the folder was trained on other data of the same name.
    """
    known = read_data(workdir)
    for dataset, protocol in protocols.items():
        if known.get(dataset, protocol) != protocol and has_checkpoints(workdir):
            raise UserError(
                f"--workdir {workdir}: trained on {dataset} of protocol {known[dataset]}, found protocol "
                f"{protocol} in config.data.dir, expected the same data, or a new --workdir"
            )
    if known != {**known, **protocols}:
        path = epath.Path(workdir) / "data.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({**known, **protocols}, indent=2) + "\n")


@distributed.by_first
def read_data(workdir: str) -> dict[str, str]:
    """The protocol hashes by data set that `claim_data` wrote; empty where it wrote none.

    Raises:
      UserError: they cannot be read.
    """
    path = epath.Path(workdir) / "data.json"
    return _read_json(path, "what the run trains on") if path.exists() else {}


@distributed.by_first
def write_width_max(workdir: str, width_max: int) -> None:
    """Writes the width in pixels at which r = 1, which the data set of a run has and its model needs for new images."""
    write_whole(epath.Path(workdir) / "model.json", json.dumps({"width_max": width_max}) + "\n")


@distributed.by_first
def read_width_max(workdir: str) -> int:
    """What `write_width_max` wrote; 0 in a folder of an older version.

    Raises:
      UserError: it cannot be read.
    """
    path = epath.Path(workdir) / "model.json"
    return int(_read_json(path, "a run's model").get("width_max", 0)) if path.exists() else 0


def trial_folder(workdir: str, trial: int) -> str:
    """The work directory of one trial of a run over several."""
    return os.path.join(workdir, f"trial{trial}")


@distributed.by_first
def trial_folders(workdir: str) -> list[str]:
    """The folders of a run's trials that exist, by number; none for a run without trials."""
    names = (path.name for path in epath.Path(workdir).glob("trial*"))
    numbers = [int(name[5:]) for name in names if re.fullmatch(r"trial(0|[1-9]\d*)", name)]
    return [trial_folder(workdir, number) for number in sorted(numbers)]


def results_file(config: ConfigDict) -> str:
    """The name, without its ending, of the files with the figures of a run: those of queries are kept apart."""
    return "validation" if config.eval.split == "validation" else "results"


def read_config(workdir: str) -> ConfigDict:
    """The config of a work directory; fields that it lacks, because they came later, have their defaults.

    The modules that `config.imports` names are imported.

    Raises:
      UserError: the folder holds no run, or one of an older version; its config cannot be read, or a module
        cannot be imported.
    """
    path = epath.Path(workdir) / "config.json"
    if not path.exists():
        raise UserError(f"{workdir}: found no config.json, expected the work directory of a run")
    config = _tuples(_read_json(path, "a run's config"))
    _refuse_older(workdir, config)
    import_modules(config.get("imports", ()))
    return _completed(config)


# What versions without these fields did, whatever the defaults are now.
_BEFORE: Mapping[str, Mapping[str, Any]] = {
    "data": {"validation": 0.0},
    "eval": {"normalise": False},
    "model": {"gate_input": "maps", "gate_losses": "all"},
}


def _completed(stored: dict[str, Any]) -> ConfigDict:
    """A config that was read, with the fields that it lacks."""
    for section, fields in _BEFORE.items():
        if isinstance(stored.get(section), dict):
            stored[section] = {**fields, **stored[section]}
    return with_defaults(ConfigDict(stored))


def _refuse_older(workdir: str, config: Mapping[str, Any]) -> None:
    for field in old_fields(config):
        raise UserError(
            f"{workdir}: found the run of an older version (config.{field} is now config.{new_name(field)}), "
            "expected one of this version; train again in a new --workdir, or use version 99a42b3"
        )


@distributed.by_first
def read_results(workdir: str, config: ConfigDict) -> dict[str, Any] | None:
    """The results in a work directory, on the split that the config scores; None unless there are some, of this very
    config.

    The config may differ in what no number depends on.
    """
    path = epath.Path(workdir) / f"{results_file(config)}.json"
    if not path.exists():
        return None
    try:
        results = _read_json(path, "a run's results")
    except UserError:
        return None
    ours, theirs = jsonable(config.to_dict()), results.get("config")
    if not isinstance(theirs, dict):
        return None
    # It may be of a version, or of a process, with fewer fields.
    theirs = jsonable(with_paths(_completed(_tuples(theirs))).to_dict())
    return None if any(differences(ours, theirs, _idle_fields())) else results


def _read_json(path: epath.Path, expected: str) -> dict[str, Any]:
    """An object of a JSON file; UserError, with what was expected, where there is none in it."""
    try:
        value = json.loads(path.read_text())
    except ValueError as error:  # no JSON, or no text at all
        raise UserError(f"{path}: found no JSON ({error}), expected {expected}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: found {type(value).__name__}, expected {expected}")
    return value


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def differences(
    ours: Any, theirs: Any, ignored: Sequence[str], field: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(field, our value, their value) where two configs differ; fields below an ignored one are ignored."""
    if field in ignored:
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            path = f"{field}.{key}" if field else key
            yield from differences(ours.get(key), theirs.get(key), ignored, path)
    elif ours != theirs:
        yield field, ours, theirs
