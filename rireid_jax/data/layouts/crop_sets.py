"""A text file that names several sets of a user's crops, to train on all of them at once."""

import dataclasses
import os
from pathlib import Path

from rireid_jax.data.files import Ignored
from rireid_jax.data.layouts.crops import Crops, find_crops
from rireid_jax.data.layouts.labels import Crop
from rireid_jax.data.layouts.market1501 import DISTRACTOR
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

SUFFIX = ".txt"


def find_crop_sets(path: Path) -> Crops:
    """Lists the crops of all sets that a file names: a folder or CSV file a line, as `find_crops` takes it.

    Relative paths begin at the file; empty lines and those that begin with # are passed over. People and cameras of two
    sets are never the same, whatever they are called. Where one set is divided into train, query and gallery, those
    that are not are for training. If one has no cameras, none has.

    Raises:
      UserError: the file names fewer than two sets, one twice, or one that is not there; or as `find_crops`.
    """
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}, expected a text file with a folder a line") from error
    places = [line for line in lines if line and not line.startswith("#")]
    real = [os.path.realpath(path.parent / expanded(place, str(path))) for place in places]
    twice = [place for place, one in zip(places, real, strict=True) if real.count(one) > 1]
    if len(places) < 2 or twice:
        found = f"{twice[0]} twice" if twice else f"{len(places)} of them"
        raise UserError(
            f"{path}: found {found}, expected at least two folders or CSV files of crops, a line each"
        )
    sets = {}
    for place in places:
        raw = path.parent / expanded(place, str(path))
        if not raw.exists():
            raise UserError(f"{path}: {raw} is not there, expected a folder or CSV file of crops")
        sets[place] = find_crops(raw)
    return Crops(_merged(sets), _all_ignored(sets))


def _merged(sets: dict[str, Crops]) -> list[Crop]:
    crops = [(place, crop) for place, found in sets.items() for crop in found.crops]
    divided = any(crop.split for _, crop in crops)
    with_cameras = all(crop.camid is not None for _, crop in crops)
    people: dict[tuple[str, int], int] = {}
    cameras: dict[tuple[str, int], int] = {}
    merged = []
    for place, crop in crops:
        pid = DISTRACTOR
        if crop.pid != DISTRACTOR:
            pid = people.setdefault((place, crop.pid), len(people) + 1)
        camid = None
        if with_cameras and crop.camid is not None:
            camid = cameras.setdefault((place, crop.camid), len(cameras))
        split = crop.split or ("train" if divided else None)
        if split == "train" and pid == DISTRACTOR:  # of a set that is not divided
            split = "gallery"
        merged.append(Crop(crop.path, f"{place}/{crop.name}", pid, camid, split))
    return merged


def _all_ignored(sets: dict[str, Crops]) -> Ignored:
    """What the sets ignore together."""
    total = Ignored()
    for place, found in sets.items():
        for field in dataclasses.fields(Ignored):
            old, new = getattr(total, field.name), getattr(found.ignored, field.name)
            if field.name == "unread":
                new = {f"{place}/{folder}": number for folder, number in new.items()}
            value = old | new if field.name == "unread" else old + new
            setattr(total, field.name, value)
    return total
