"""Damages to a user's own images: a folder per identity, a CSV file, photographs of anything."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from damages.changes import (
    Damage,
    bad_images,
    copied,
    edited,
    emptied,
    link_instead,
    no_files,
    without,
    written,
)
from rireid_jax.data.pedestrians import render

CSV = """\
path,id,camera,split
Bilder ß/0 a.jpg,Jürgen,Tür 1,train
Bilder ß/1.jpg,Jürgen,Tür 2,train
Bilder ß/雷.jpg,李 雷,Tür 1,query
Bilder ß/3.JPG,李 雷,Tür 2,gallery
Bilder ß/4.png,o'Brien,Tür 1,gallery
"""
PEOPLE = [
    f"Leute ü/{person}/{camera}/0 ß.jpg"
    for person in ("Jürgen Ä", "o'Brien", "李 雷")
    for camera in ("Tür 1", "Tür 2")
]
PHOTOS = ["Photos ü/0 ä.jpg", "Photos ü/海/1.png", "Photos ü/海/2.JPEG", "Photos ü/b c/3.jpg"]


def write_people(folder: Path, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels, _ = render(0, number, 0, 0, size=(48, 24))
        Image.fromarray(pixels).save(folder / name)


def write_list(folder: Path) -> None:
    rows = [line.split(",") for line in CSV.splitlines()[1:]]
    write_people(folder, [row[0] for row in rows])
    (folder / "Liste ü.csv").write_text(CSV, encoding="utf-8")


def folder() -> Iterator[Damage]:
    """A folder per identity, and in it one per camera."""
    yield from bad_images(*PEOPLE, part=slice(0, None, 2))
    yield from no_files(*PEOPLE)
    root, person, file = "Leute ü", "Leute ü/李 雷", PEOPLE[-1]
    hint = "expected a folder per identity"
    yield Damage("nothing", emptied(root), f"found no images in .*{root}, {hint}")
    yield Damage("no folder", without(root), f"{root} is not there, expected a folder per identity")
    do = copied(file, f"{root}/0.jpg")
    yield Damage("image beside identities", do, f"{root}: found both images and folders, {hint}")
    do = copied(file, f"{person}/Tür 1/tief/0.jpg")
    yield Damage("too deep", do, f"Tür 1/tief: found a folder below <identity>/<camera>, {hint}")
    do = copied(file, f"{person}/0.jpg")
    yield Damage("no camera", do, "雷/0.jpg: found no camera, expected one as 6 other images")
    for split in ("train", "query", "gallery"):
        do = copied(file, f"{root}/{split}/a/Tür 1/0.jpg")
        yield Damage(
            f"{split} alone", do, f"{root} has no .*, expected all of train, query, gallery"
        )
    do = copied(file, f"{root}/bounding_box_train/0001_c1.jpg")
    yield Damage("Market-1501 alone", do, "has no query and no bounding_box_test, expected all of")

    def divided(**names: str) -> Callable[[Path], None]:
        """Images below the folders of splits, by split and in order."""

        def do(folder: Path) -> None:
            data = (folder / file).read_bytes()
            shutil.rmtree(folder / root)
            for split, paths in names.items():
                (folder / root / split).mkdir(parents=True)
                for path in filter(None, paths.split(";")):
                    (folder / root / split / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / root / split / path).write_bytes(data)

        return do

    for what, names, message in (
        (
            "no training",
            dict(train="", query="b/0.jpg", gallery="b/1.jpg"),
            "images in .*train, exp",
        ),
        (
            "no queries",
            dict(train="a/0.jpg", query="", gallery="b/1.jpg"),
            "images in .*query, exp",
        ),
        (
            "junk",
            dict(train="a/0.jpg", query="b/0.txt", gallery="b/0.jpg"),
            "no images for query in .*, e",
        ),
        (
            "in training and test",
            dict(train="a/0.jpg;b/1.jpg", query="b/2.jpg", gallery="b/3.jpg"),
            "query/b/2.jpg: found the identity of .*train/b/1.jpg in query too, expected every",
        ),
        (
            "unmatched",
            dict(train="a/1/0.jpg", query="b/1/0.jpg", gallery="b/1/1.jpg"),
            "query: 1 of 1 identities .*query/b/1/0.jpg",
        ),
        (
            "two ways",
            dict(train="a/0.jpg", query="0001_c1.jpg", gallery="0001_c2.jpg"),
            "found identities as folders and as names of images, expected",
        ),
        (
            "wrong names",
            dict(train="0001_c1.jpg", query="0002_c1.jpg", gallery="2.jpg"),
            "gallery/2.jpg: found a name of another form, expected <identity>_c<camera>",
        ),
        (
            "too great a number",
            dict(train="1_c1.jpg", query="2_c1.jpg", gallery="2_c2.jpg;20260101123456_c2.jpg"),
            "20260101123456_c2.jpg: found a name of another form, expected",
        ),
        (
            "in training and test, by name",
            dict(train="0002_c1.jpg", query="0002_c2.jpg", gallery="0002_c3.jpg"),
            "query/0002_c2.jpg: found the identity of .*train/0002_c1.jpg in query too, expected",
        ),
    ):
        yield Damage(what, divided(**names), message)

    def one_person(folder: Path) -> None:
        for path in PEOPLE[:4]:
            (folder / path).unlink()

    yield Damage("one person", one_person, "found 1 identities and no split, expected at least 2")


def csv() -> Iterator[Damage]:
    """A list of images beside it."""
    name = "Liste ü.csv"
    images = [line.split(",")[0] for line in CSV.splitlines()[1:]]
    yield from bad_images(*images, part=slice(0, None, 5))
    yield from no_files(*images)
    yield Damage("no list", without(name), f"{name} is not there, expected")
    yield Damage(
        "no images", without("Bilder ß"), f"{name}, line 2: .*0 a.jpg is not there, expected"
    )
    for image_name in images:
        do = without(image_name)
        yield Damage(f"no {image_name}", do, rf"{name}, line \d: .*{image_name} is not there, exp")
    for what, content in {
        "UTF-16": CSV.encode("utf-16"),
        "Latin-1": CSV.replace("李 雷", "Li").replace("雷", "Lei").encode("latin-1"),
        "UTF-16 without a mark": CSV.encode("utf-16-le"),
        "binary": bytes(range(256)),
        "spreadsheet": b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0" + bytes(range(128, 200)),
        "empty": b"",
        "blank": b"\n\n\r\n",
        "header alone": b"path,id\n",
        "commas": b",,,\n,,\n",
        "a field without an end": CSV.replace("o'Brien", '"o').encode() + b"x" * 200_000,
    }.items():
        yield Damage(what, written(name, content), rf"{name}(:|, line \d:) .*, expected")
    row = "Bilder ß/1.jpg,Jürgen,Tür 2,train"
    for what, new, message in (
        ("one column", "Bilder ß/1.jpg", "line 3: found .*, expected path,id"),
        ("no identity", "Bilder ß/1.jpg,,Tür 2,train", "line 3: found .*, expected path,id"),
        ("no path", ",Jürgen,Tür 2,train", "line 3: found .*, expected path,id"),
        ("five columns", row + ",x", "line 3: found .*, expected path,id"),
        ("semicolons", row.replace(",", ";"), "line 3: found .*, expected path,id"),
        ("tabs", row.replace(",", "\t"), "line 3: found .*, expected path,id"),
        ("another split", row.replace("train", "test"), "line 3: found split 'test', expected one"),
        ("split in capitals", row.replace("train", "Train"), "line 3: found split 'Train', expec"),
        ("no split", row.replace("train", ""), "found splits .*none.*, expected all of train"),
        ("no camera", row.replace("Tür 2", ""), "1.jpg: found no camera, expected one as 4 other"),
        ("twice", f"{row}\n{row}", "line 4: .*1.jpg.*line 3, expected every image once"),
        ("twice, spelt otherwise", f"{row}\n./{row}", "line 4: .*1.jpg.*line 3, expected every"),
        (
            "twice, by way of a folder",
            f"{row}\nBilder ß/../{row}",
            "line 4: .*line 3, expected every",
        ),
        ("two people", f"{row}\n{row.replace('Jürgen', 'J')}", "line 4: .*line 3, expected every"),
        (
            "in training and test",
            row.replace("Jürgen", "李 雷"),
            "雷.jpg: found the identity of .*1.jpg in query too, exp",
        ),
        ("another case", row.replace("1.jpg", "1.Jpg"), "line 3: .*1.Jpg is not there, expected"),
        ("backslash", row.replace("/", "\\"), "line 3: .* is not there, expected an image"),
        ("a folder", row.replace("/1.jpg", ""), "line 3: .* is not there, expected an image"),
        ("a very long name", row.replace("1", "1" * 300), "line 3: .* is not there, expected an"),
        ("a zero byte", row.replace("1.", "1\0."), "line 3: .* is not there, expected an image"),
    ):
        do = edited(name, lambda text, new=new: text.replace(row, new))
        yield Damage(what, do, message)
    for split in ("query", "gallery"):
        do = edited(name, lambda text, split=split: re.sub(rf".*,{split}\n", "", text))
        yield Damage(f"no {split}", do, f"{name}: found splits .*, expected all of train, query")
    do = edited(name, lambda text: text.replace("3.JPG,李 雷,Tür 2", "3.JPG,李 雷,Tür 1"))
    yield Damage("one camera", do, "query: 1 of 1 identities .*雷.jpg")


def natural_images() -> Iterator[Damage]:
    """Images in folders of any depth."""
    root = "Photos ü"
    yield from bad_images(*PHOTOS)
    for photo in PHOTOS[:2]:
        for target in ("nowhere", Path(photo).name):
            do = link_instead(photo, target)
            message = f"{re.escape(photo)}: .*, expected a readable image"
            yield Damage(f"{photo} a link to {target}", do, message)
    nothing = f"found no images of at least .* in .*{root}, expected"
    yield Damage("nothing", emptied(root), nothing)
    yield Damage("no folder", without(root), f"{root} is not there, expected a folder of images")
    yield Damage("a file", written(root, b"x"), f"{root} is no.*, expected a folder of images")
    do = link_instead(f"{root}/b c/hinauf", "..")
    yield Damage("a link to above", do, "b c/hinauf: found a link .*, expected")
    do = link_instead(f"{root}/hier", ".")
    yield Damage("a link to itself", do, "hier: found a link .*, expected")

    def shrink(folder: Path) -> None:
        for photo in PHOTOS:
            Image.new("RGB", (7, 99)).save(folder / photo)

    too_small = f"found no image of use for train in .*{root}, expected .* large enough"
    yield Damage("too small", shrink, too_small)

    def hide(folder: Path) -> None:
        for photo in PHOTOS:
            (folder / photo).rename((folder / photo).with_name("." + Path(photo).name))

    yield Damage("hidden", hide, nothing)
