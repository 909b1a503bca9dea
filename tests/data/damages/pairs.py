"""Damages to CAVIAR4REID and VIPeR, people before two cameras, and to files of their splits."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raw_folders import write_caviar, write_viper

from damages.changes import (
    Damage,
    bad_images,
    copied,
    emptied,
    no_files,
    no_json,
    renamed,
    without,
    written,
    wrong_json,
    wrong_names,
)

SPLITS = "Aufteilung für später.json"


def write_caviar_and_splits(folder: Path) -> None:
    write_caviar(folder / "CAVIAR4REID", ids=(1, 2, 3, 4), single_ids=(9,), shots=1)
    (folder / SPLITS).write_text(json.dumps(CAVIAR_SPLITS))


def write_viper_and_splits(folder: Path) -> None:
    write_viper(folder / "VIPeR", ids=(0, 3, 11, 873), size=(64, 24))
    (folder / SPLITS).write_text(json.dumps(VIPER_SPLITS))


def _entries(*names: str) -> list[list[Any]]:
    return [[f"/home/somebody/reid data/caviar/{name}.jpg", 0, 0] for name in names]


CAVIAR_SPLITS = [
    {"train": _entries("0001001"), "query": _entries("0002011"), "gallery": _entries("0003001")},
    {
        "train": _entries("0001001", "0002001", "0001011"),
        "query": _entries("0003011", "0004011"),
        "gallery": _entries("0003001", "0004001"),
    },
]
VIPER_SPLITS = [
    {"trainval": [0], "test_probe": [1], "test_gallery": [1]},
    {"trainval": [0, 2], "test_probe": [1, 3], "test_gallery": [1, 3]},
]


def caviar() -> Iterator[Damage]:
    """Names say who and by which camera; the file of splits has paths."""
    first, query, gallery = (f"CAVIAR4REID/{n}.jpg" for n in ("0001001", "0003011", "0004001"))
    yield from bad_images(first, query, gallery, part=slice(0, None, 6))
    yield from no_files(first, query, gallery)
    names = ("1001", "00010011", "0001_001", "000100a", "copy of 0001001", "0001001 (1)", "٠٠٠١٠٠١")
    new = [f"CAVIAR4REID/{name}.jpg" for name in names]
    yield from wrong_names(first, new, "found a name of another form, expected 4 digits")
    new = [f"CAVIAR4REID/0001{number}.jpg" for number in ("000", "021", "999")]
    yield from wrong_names(first, new, "found image number .*, expected 001 to 010")
    for suffix in ("png", "JPG"):
        do = copied(query, f"CAVIAR4REID/0003011.{suffix}")
        yield Damage(f"twice, as {suffix}", do, r"0003011\.\w+: found the same .*, expected each")
    for number, problem in {"0003011": "identity 3", "0004001": "identity 4"}.items():
        do = without(f"CAVIAR4REID/{number}.jpg")
        yield Damage(f"{problem} before one camera", do, f"{SPLITS}.*{number[:4]}.*of nobody in")
    nothing = "found no images in .*CAVIAR4REID, expected the folder CAVIARa"
    yield Damage("no images", emptied("CAVIAR4REID"), nothing)
    yield Damage("file for a folder", written("CAVIAR4REID", b"x"), nothing)
    gone = "CAVIAR4REID is not there, expected the folder CAVIAR4REID"
    yield Damage("no folder", without("CAVIAR4REID"), gone)
    yield Damage("folder's name", renamed("CAVIAR4REID", "caviar4reid"), gone)
    yield from no_json(SPLITS)
    one, other = _entries("0001001"), _entries("0002001")
    yield from wrong_json(
        SPLITS,
        {
            "found no list of splits": [],
            "found no list of splits,": [1, 2],
            "split 0: found nothing, expected": [{}],
            "split 0: found train, expected": [{"train": one}],
            "split 0: found query, gallery, expected": [{"query": one, "gallery": one}],
            "split 0: found train, query, expected": [{"train": "all", "query": one}],
            "split 0: found nobody": [{"train": [], "query": one}],
            "split 1: found nobody": [CAVIAR_SPLITS[0], {"train": one, "query": []}],
            "identity 2 .*both in training": [{"train": one + other, "query": other}],
            "'/home/.*0005001.jpg' of nobody in": [{"train": _entries("0005001"), "query": one}],
            "found image '' of nobody in": [{"train": [[""]], "query": one}],
            "found an entry \\[\\]": [{"train": [[]], "query": one}],
            "found an entry None": [{"train": [None], "query": one}],
            "found 1, expected less than 1": CAVIAR_SPLITS[:1],
        },
        place="(Aufteilung|config.data.splits)",
    )


def viper() -> Iterator[Damage]:
    """Everybody once before each camera; the file of splits has numbers of identities."""
    first, other, last = "VIPeR/cam_a/000_0.bmp", "VIPeR/cam_b/003_90.bmp", "VIPeR/cam_a/011_90.bmp"
    yield from bad_images(first, other, last, part=slice(1, None, 6))
    yield from no_files(first, other, last)
    names = ("45", "0003_45", "003", "003_45_1", "a03_45", "003_", "003_45 (1)", "٠٠٣_45", "003-45")
    new = [f"VIPeR/cam_b/{name}.bmp" for name in names]
    yield from wrong_names(other, new, "found a name of another form, expected <identity>_<angle>")
    for new_name in ("003_91.bmp", "003_90.BMP", "003_90.png"):
        do = copied(other, f"VIPeR/cam_b/{new_name}")
        yield Damage(
            f"twice, as {new_name}", do, r"003_9\d\.\w+: found a second image of identity 003"
        )
    alone = "found no image of identity {} in cam_{}, expected one in each camera"
    yield Damage("no second camera", without(other), "cam_a/003_0.bmp: " + alone.format("003", "b"))
    yield Damage("no first camera", without(first), "cam_b/000_90.bmp: " + alone.format("000", "a"))
    yield Damage("no suffix", renamed(first, first[:-4]), alone.format("000", "a"))
    do = renamed(first, "VIPeR/cam_a/001_0.bmp")
    yield Damage("another identity", do, alone.format("00[01]", "[ab]"))
    do = renamed(first, "VIPeR/cam_b/001_0.bmp")
    yield Damage("another camera", do, alone.format("00[01]", "[ab]"))
    for camera in ("cam_a", "cam_b"):
        yield Damage(f"no {camera}", without(f"VIPeR/{camera}"), f"has no {camera}, expected")
        yield Damage(
            f"{camera} in capitals",
            renamed(f"VIPeR/{camera}", f"VIPeR/{camera.upper()}"),
            f"has no {camera}, expected",
        )
        do = emptied(f"VIPeR/{camera}")
        yield Damage(f"nothing in {camera}", do, f"found no images in .*{camera}, expected")
        do = written(f"VIPeR/{camera}", b"x")
        yield Damage(f"{camera} is a file", do, f"{camera}: found a file, expected a folder")
    yield Damage("nothing", emptied("VIPeR"), "has no cam_a and no cam_b, expected")
    yield Damage("no folder", without("VIPeR"), "VIPeR is not there, expected")
    yield from no_json(SPLITS)
    one = {"train": [0], "query": [1]}
    yield from wrong_json(
        SPLITS,
        {
            "found no list of splits": "all",
            "found train, test, expected": [{"train": [0], "test": [1]}],
            "split 1: found train, query": [one, {"train": {"0": 1}, "query": [1]}],
            "split 0: found nobody": [{"train": [0], "query": [], "gallery": []}],
            "identity 3 .*both in training": [{"train": [0, 1], "query": [1], "gallery": [2]}],
            "found identity number 4, expected 0 to 3": [{"train": [0], "query": [4]}],
            "found identity number -1, expected": [{"train": [0], "query": [-1]}],
            "found an entry True": [{"train": [True], "query": [2]}],
            "found an entry 1.0": [{"train": [1.0], "query": [2]}],
            "found an entry '1'": [{"train": ["1"], "query": [2]}],
            "found 1, expected less than 1": [one],
            "tests on 4 of 4 identities|found nobody": [one, {"train": [], "query": [0, 1, 2, 3]}],
        },
        place="(Aufteilung|config.data.splits)",
    )
