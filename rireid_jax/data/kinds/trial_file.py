"""Trials made by others, in the forms in which re-identification code writes them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from rireid_jax.data.dataset import RawImage
from rireid_jax.errors import UserError

_EXPECTED = (
    "expected a list of trials, each with train, query and gallery (or trainval, test_probe and "
    "test_gallery): [path, pid, camid] of images, or numbers of identities"
)
_TRAIN = ("train", "trainval")
_TEST = ("query", "gallery", "test_probe", "test_gallery")


class Trial(NamedTuple):
    """The identities to train on and those to test on; others may be in neither."""

    train: frozenset[int]
    test: frozenset[int]


def read_trial_file(path: Path, images: Sequence[RawImage]) -> list[Trial]:
    """Reads which identities every trial trains and tests on.

    Two forms are known. torchreid's `splits.json` and `splits_classic_*.json` list
    `[path, pid, camid]`; an image is found by the end of its path, since folders and numbers of
    identities are those of another machine. open-reid's `splits.json` and SING's list numbers of
    identities, from 0 on in the order of the identities here. Which image has which role is up to the
    recipe.

    Args:
      path: a JSON file of one trial, or of a list of them.
      images: of the identities that are in the benchmark.

    Returns:
      The trials.

    Raises:
      UserError: the file has another form, names what is not there, or has an identity both in
        training and in test.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # not there, not text, not JSON
        raise UserError(f"{path}: {error}, {_EXPECTED}") from error
    trials = content if isinstance(content, list) else [content]
    if not trials or not all(isinstance(trial, dict) for trial in trials):
        raise UserError(f"{path}: found no list of trials, {_EXPECTED}")
    identities = _Identities(path, images)
    return [_read_trial(f"{path}, trial {n}", trial, identities) for n, trial in enumerate(trials)]


def _read_trial(place: str, lists: Mapping[str, Any], identities: "_Identities") -> Trial:
    parts = {name: lists[name] for name in (*_TRAIN, *_TEST) if name in lists}
    train = {name: part for name, part in parts.items() if name in _TRAIN}
    test = {name: part for name, part in parts.items() if name in _TEST}
    if not train or not test or not all(isinstance(part, list) for part in parts.values()):
        raise UserError(f"{place}: found {', '.join(lists) or 'nothing'}, {_EXPECTED}")
    trained = {identities[entry] for part in train.values() for entry in part}
    tested = {identities[entry] for part in test.values() for entry in part}
    if not trained or not tested:
        raise UserError(f"{place}: found nobody to train or to test on, {_EXPECTED}")
    if both := trained & tested:
        raise UserError(
            f"{place}: found identity {min(both)} and {len(both) - 1} others both in training and "
            "in test, expected every identity in one of them"
        )
    return Trial(frozenset(trained), frozenset(tested))


class _Identities:
    """Finds the identity that an entry of a trial file means."""

    def __init__(self, path: Path, images: Iterable[RawImage]):
        self._path = path
        self._by_ending: dict[str, set[int]] = {}
        pids = set()
        for image in images:
            pids.add(image.pid)
            for ending in (image.name, PurePosixPath(image.name).name):
                self._by_ending.setdefault(ending, set()).add(image.pid)
        self._by_number = sorted(pids)

    def __getitem__(self, entry: Any) -> int:
        if isinstance(entry, list) and entry and isinstance(entry[0], str):
            return self._of_image(entry[0])
        if type(entry) is int:
            if not 0 <= entry < len(self._by_number):
                raise UserError(
                    f"{self._path}: found identity number {entry}, expected 0 to "
                    f"{len(self._by_number) - 1}"
                )
            return self._by_number[entry]
        raise UserError(f"{self._path}: found an entry {entry!r}, {_EXPECTED}")

    def _of_image(self, name: str) -> int:
        # A Windows path has slashes of both kinds.
        parts = PureWindowsPath(name).parts if "\\" in name else PurePosixPath(name).parts
        for count in (2, 1):
            found = self._by_ending.get("/".join(parts[-count:]), set())
            if len(found) == 1:
                return next(iter(found))
        raise UserError(
            f"{self._path}: found image {name!r} of nobody in the benchmark, expected the file names "
            "of its images"
        )
