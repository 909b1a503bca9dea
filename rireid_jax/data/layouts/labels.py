"""Labels of a user's crops: from the names of people and cameras to numbers, and names that cannot be meant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rireid_jax.data.files import Ignored, counted, some_of
from rireid_jax.data.layouts.market1501 import DISTRACTOR, JUNK, parse_name
from rireid_jax.errors import UserError

HINT = "expected a folder per identity, names as in Market-1501, or a CSV file"
_LEVELS = "expected <identity>/<image> or <identity>/<camera>/<image>"
# cam1, Camera 2, cam_a, IPCam-3, c03, c1s1, view-1, ch01; but not Cameron or Clive.
_CAMERA = re.compile(
    r"(ip|web)?(cam|camera|kamera)([ _-]\w+|[ _-]?\d.*|[a-d])?|c\d+s\d+"
    r"|(c|ch|channel|cctv|view|device|sensor|lens|gopro)[ _-]?\d+[a-z]?",
    re.IGNORECASE,
)
# Nobody is called so; few may be called as the others.
_NUMBERED_CAMERA = re.compile(r"(ip|web)?(cam|camera|kamera)[ _-]?\d+\w*", re.IGNORECASE)
# train, Test_set, val2, probe, bounding_box_train, mask_test_v2; but not Valerie, Val Jones or Trainor.
_SPLIT = re.compile(
    r"(mask[ _-])?(train|training|trainval|val|valid|validation|test|testing|query|queries|probe|gallery)"
    r"([ _-]?(all|set|data|images|imgs|v?\d+))?|(bounding_box|bbox|gt|multi)[ _-](train|test|bbox|query)",
    re.IGNORECASE,
)
_ZERO = re.compile(r"0+", re.ASCII)


@dataclass(frozen=True)
class Crop:
    """A crop as the user labelled it; camera and split are `None` where the user did not say."""

    path: Path
    name: str
    pid: int
    camid: int | None
    split: str | None


@dataclass(frozen=True)
class Label:
    """Labels as text, before they get numbers."""

    path: Path
    name: str
    identity: str
    camera: str | None
    split: str | None


def numbered(labels: Sequence[Label], ignored: Ignored) -> list[Crop]:
    """Gives identities (from 1) and cameras (from 0) numbers in the order of their names.

    As in Market-1501, identity -1 is junk, which is left out, and 0000 is a distractor (identity 0).

    Args:
      labels: of all crops.
      ignored: where to count junk.

    Raises:
      UserError: only some have a camera.
    """
    without = [label for label in labels if label.camera is None]
    if without and len(without) < len(labels):
        raise UserError(
            f"{without[0].path}: found no camera, expected one as "
            f"{len(labels) - len(without)} other images have one"
        )
    people = [label for label in labels if label.identity != str(JUNK)]
    ignored.junk += len(labels) - len(people)
    nobody = _distractors(people)
    ignored.nobody += sum(label.identity in nobody for label in people)
    named = sorted({label.identity for label in people} - nobody)
    pids = dict.fromkeys(nobody, DISTRACTOR) | {name: n for n, name in enumerate(named, 1)}
    cameras = {name: n for n, name in enumerate(sorted({label.camera or "" for label in people}))}
    return [
        Crop(
            path=label.path,
            name=label.name,
            pid=pids[label.identity],
            camid=None if label.camera is None else cameras[label.camera],
            split=label.split,
        )
        for label in people
    ]


def _distractors(labels: Sequence[Label]) -> set[str]:
    """The identities that are nobody: 0000, or 0 where the names of images say so too.

    Who is trained on or is a query is somebody, though counted from 0.
    """
    zeros: dict[str, list[Label]] = {}
    for label in labels:
        if _ZERO.fullmatch(label.identity):
            zeros.setdefault(label.identity, []).append(label)
    return {
        name
        for name, group in zeros.items()
        if all(label.split in (None, "gallery") for label in group)
        and (name == "0000" or all(_named_nobody(label.path) for label in group))
    }


def _named_nobody(path: Path) -> bool:
    try:
        return parse_name(path)[0] == DISTRACTOR
    except UserError:
        return False


def check_names_of_levels(place: Path, labels: Sequence[Label], expected: str = _LEVELS) -> None:
    """Refuses labels that are those of another level: cameras or splits where identities should be.

    Args:
      place: the folder or file, for the error.
      labels: of all crops.
      expected: the levels or columns in order, for the error.

    Raises:
      UserError: identities or cameras have names of splits, or identities have names of cameras.
    """
    identities = {label.identity for label in labels}
    cameras = {label.camera for label in labels if label.camera is not None}
    for where, names in (("identities", identities), ("cameras", cameras)):
        if found := sorted(filter(_SPLIT.fullmatch, names)):
            raise UserError(
                f"{place}: found {_names_of(found, 'split')}, where {where} should be, {expected}, below train, query "
                "and gallery or without splits"
            )
    found = sorted(filter(_CAMERA.fullmatch, identities))
    if 2 * len(found) > len(identities) or any(map(_NUMBERED_CAMERA.fullmatch, found)):
        raise UserError(
            f"{place}: found {_names_of(found, 'camera')}, where identities should be, {expected}; the names of a CSV "
            "file with a header are taken as they are"
        )


def check_camera_folders(place: Path, labels: Sequence[Label]) -> None:
    """Refuses folders of which more are cameras than identities, as where the levels are the other way round.

    Folders named as cameras, such as c1, are taken at their word, and so are numbers of fewer digits than those of the
    identities, as in 0002/1.

    Raises:
      UserError: they are more.
    """
    identities = {label.identity for label in labels}
    cameras = {label.camera for label in labels if label.path.parent.name == label.camera}
    odd = sorted(name for name in cameras if name and not _CAMERA.fullmatch(name))
    numbers = all(name and name.isdecimal() for name in (*cameras, *identities))
    if numbers and cameras and max(map(len, odd)) < min(map(len, identities)):
        return
    if odd and len(cameras) > len(identities):
        people = counted(len(identities), "identity")
        raise UserError(
            f"{place}: found {counted(len(cameras), 'camera')} ({some_of(odd)}) for {people} "
            f"({some_of(sorted(identities))}), {_LEVELS}: is it one level deeper, or are the levels the other way "
            "round? Cameras named c1, c2, ... or a CSV file with a header are taken as they are"
        )


def _names_of(found: Sequence[str], what: str) -> str:
    names = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
    if len(found) > 6:
        names = some_of(found)
    return f"{names}, {f'a name of a {what}' if len(found) == 1 else f'names of {what}s'}"
