"""Damages to Market-1501 and MSMT17, which come divided into training and test."""

import re
from collections.abc import Iterator
from pathlib import Path

from damages.changes import (
    Damage,
    bad_images,
    changed,
    copied,
    edited,
    emptied,
    folder_instead,
    link_instead,
    no_files,
    renamed,
    without,
    written,
    wrong_names,
)


def market(part: slice) -> Iterator[Damage]:
    """Three folders; ``part`` of the damages to images."""
    root = "Market-1501-v15.09.15"
    train = f"{root}/bounding_box_train/0007_c1s1_000000_00.jpg"
    query = f"{root}/query/0009_c1s1_000001_00.jpg"
    gallery = f"{root}/bounding_box_test/0009_c2s1_000000_00.jpg"
    yield from bad_images(train, query, gallery, part=part)
    yield from no_files(train, query, gallery)
    names = ("person7", "0001", "0001_c0s1_000001_00", "0001_s1_000001_00", "_c1s1_000001_00")
    names += ("-2_c1s1_000001_00", "0001_C1s1_000001_00", "0001-c1s1_000001_00", " 0001_c1s1_1")
    names += ("20260101123456_c1s1_000001_00", "0001_c20260101123456s1_1", "٠٠٠١_c1s1_000001_00")
    for name in names:
        yield from wrong_names(query, [f"{root}/query/{name}.jpg"], "found a name of another form")
    for place, new in {train: "png", query: "JPG", gallery: "jpeg"}.items():
        do = copied(place, place.replace("jpg", new))
        yield Damage(
            f"twice, as {new}", do, r"00\.\w+: found the same .*, expected each image once"
        )
    for place, new in {
        train: "bounding_box_test/0007_c2s1_000009_00.jpg",
        query: "bounding_box_train/0009_c1s1_000009_00.jpg",
        gallery: "bounding_box_train/0009_c2s1_000000_00.jpg",
    }.items():
        both = "found the identity of .*bounding_box_train/.* too, expected every identity"
        yield Damage(f"in training and test: {new}", copied(place, f"{root}/{new}"), both)
    for folder in ("query", "bounding_box_train"):
        do = copied(gallery, f"{root}/{folder}/0000_c2s1_000000_00.jpg")
        message = f"{folder}/0000_c2s1_000000_00.jpg: found a distractor .*, expected"
        yield Damage(f"distractor in {folder}", do, message)

    def one_camera(folder: Path) -> None:
        (folder / gallery).unlink()
        (folder / query.replace("_c1", "_c2")).unlink()

    yield Damage("identity before one camera", one_camera, "query: 1 of 1 identities .*0009_c1")
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        name = f"{root}/{folder}"
        yield Damage(f"no {folder}", without(name), f"has no {folder}, expected the folder")
        yield Damage(
            f"{folder}, renamed", renamed(name, name.upper()), f"has no {folder}, expected"
        )
        yield Damage(f"{folder}, a link", link_instead(name, "no"), f"has no {folder}, expected")
        do = emptied(name)
        yield Damage(f"nothing in {folder}", do, f"found no images in .*{folder}, expected")
        do = written(name, b"x")
        yield Damage(f"{folder}, a file", do, f"{folder}: Not a directory, expected a folder of im")
    yield Damage("nothing", emptied(root), "has no bounding_box_train and no query and no")
    yield Damage("no folder", without(root), f"{root} is not there, expected the folder")
    yield Damage("an archive", written(root, b"PK\3\4"), "has no bounding_box_train and no query")


def msmt17() -> Iterator[Damage]:
    """Four lists and two folders."""
    root = "MSMT17_V1"
    first = "0000/0000_000_01_0303morning_0000_0.jpg"
    files = f"{root}/train/{first}", f"{root}/test/0000/0000_003_02_0303morning_0003_0_ex.jpg"
    yield from bad_images(*files, part=slice(5, None, 6))
    yield from no_files(*files)
    lists = {name: f"{root}/list_{name}.txt" for name in ("train", "val", "query", "gallery")}
    turns = list(lists.values())
    for number, (line, problem) in enumerate(
        {
            first: "expected an image and its label",
            f"{first} 0 1": "expected an image and its label",
            f"{first},0": "expected an image and its label",
            f"{first} 1": "expected the same identity",
            f"{first} one": "expected the same identity",
            f"{first} -0": "expected the same identity",
            first.replace("/0000", "/0001") + " 0": "expected the same identity",
            "0000_000_01_0303morning_0000_0.jpg 0": "expected <identity>/<identity>_<image>",
            f"train/{first} 0": "expected <identity>/<identity>_<image>",
            first.replace("_01_", "_00_") + " 0": "expected <identity>/<identity>_<image>",
            first.replace("jpg", "txt") + " 0": "expected <identity>/<identity>_<image>",
            first.replace("/", "\\") + " 0": "expected <identity>/<identity>_<image>",
            first.replace("0000/", "../0000/") + " 0": "expected <identity>/<identity>_<image>",
            first.replace("0000", "٠٠٠٠") + " 0": "expected <identity>/<identity>_<image>",
            first.replace("_0.jpg", "_9.jpg") + " 0": "is not there, expected an image",
            "0777/0777_000_01_x_0.jpg 777": "is not there, expected an image",
        }.items()
    ):
        name = turns[number % 4]
        do = edited(name, lambda text, line=line: f"{line}\n{text}")
        yield Damage(f"line: {line}", do, f"{name}, line 1: found .*{problem}|line 1: .*{problem}")
    for part, name in lists.items():
        place = re.escape(name)
        yield Damage(f"no {part}", without(name), f"has no list_{part}.txt, expected")
        yield Damage(f"{part}: empty", written(name, b""), f"{place}: found no images, expected")
        yield Damage(
            f"{part}: blank", written(name, b" \n\n"), f"{place}: found no images, expected"
        )
        do = edited(name, lambda text: text + text.splitlines()[0])
        yield Damage(
            f"{part}: twice", do, f"{place}, line .* again after .*, line 1, expected each"
        )
        do = changed(name, lambda data: data.decode().encode("utf-16"))
        yield Damage(f"{part}: UTF-16", do, f"{place}: .*, expected a list of images in UTF-8")
        do = folder_instead(name)
        yield Damage(f"{part}: a folder", do, f"{place}: .*, expected a list of images in UTF-8")
        do = changed(name, lambda data: data[: len(data) - 20])
        yield Damage(f"{part}: cut off", do, f"{place}, line 2: found .*, expected")
        do = changed(name, lambda data: data[:20] + bytes(9) + data[20:])
        yield Damage(f"{part}: zero bytes", do, f"{place}, line 1: .*, expected")
    yield Damage("gallery: empty pages", written(lists["gallery"], "\f\n"), "found no images")
    do = edited(lists["gallery"], lambda text: text.splitlines()[0])
    yield Damage("one camera in the gallery", do, "query: 1 of 1 identities .*never be matched")
    for folder in ("train", "test"):
        do = without(f"{root}/{folder}")
        yield Damage(f"no folder {folder}", do, f"has no {folder}, expected the folder MSMT17_V1")
        do = written(f"{root}/{folder}", b"x")
        yield Damage(
            f"{folder} is a file", do, f"line 1: .*{folder}/0000/.* is not there, expected"
        )
        do = without(f"{root}/{folder}/0000")
        yield Damage(
            f"nobody in {folder}", do, f"line 1: .*{folder}/0000/.* is not there, expected"
        )
        do = renamed(f"{root}/{folder}", f"{root}/mask_{folder}_v2")
        yield Damage(
            f"{folder} of both versions", do, "expected the folder of one version of MSMT17"
        )
    yield Damage("no folder", without(root), f"{root} is not there, expected the folder")
    yield Damage("nothing", emptied(root), f"{root} has no train and no test and no list_train")
