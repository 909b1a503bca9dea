"""Damages to a user's own images: a folder per identity, a CSV file, photographs of anything."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from damages import changes as do
from damages.changes import Change, Damage
from rireid_jax.data.pedestrians import render

CSV = """\
path,id,camera,split
Bilder ß/0 a.jpg,Jürgen,Tür 1,train
Bilder ß/1.jpg,Jürgen,Tür 2,train
Bilder ß/雷.jpg,李 雷,Tür 1,query
Bilder ß/3.JPG,李 雷,Tür 2,gallery
Bilder ß/4.png,o'Brien,Tür 1,gallery
Bilder ß/5.png,Zoë,Tür 1,train
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


def files(names: str) -> Change:
    """Images at these paths alone, below the folder of people; a path that ends in a slash is a folder."""

    def do(folder: Path) -> None:
        data = (folder / PEOPLE[0]).read_bytes()
        shutil.rmtree(folder / "Leute ü")
        for name in names.split(";"):
            path = folder / "Leute ü" / name
            (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                path.write_bytes(data)

    return do


def folder() -> list[Damage]:
    root, file, hint = "Leute ü", PEOPLE[-1], "expected a folder per identity"
    missing = f"{root} has no .*, expected all of train, query, gallery"
    twice = "found the identity of .* in query too, expected every identity"
    form = "found a name of another form, expected <identity>_c<camera>"
    deep = "found a folder below <identity>/<camera>"
    lone = "found no camera, expected one as 6 other"
    return [
        (do.folder_instead(file), f"{file}: .*, expected a folder per identity"),
        (do.emptied(root), f"found no images in .*{root}, {hint}"),
        (do.without(root), f"{root} is not there, {hint}"),
        (files("a/1.txt"), "found no images in"),
        (do.copied(file, f"{root}/0.jpg"), f"{root}: found both images and folders, {hint}"),
        (files("b.jpg"), form),
        (do.copied(file, f"{root}/a/b/tief/0.jpg"), f"tief: {deep}"),
        (do.copied(file, f"{root}/李 雷/0.jpg"), f"雷/0.jpg: {lone}"),
        (do.copied(file, f"{root}/train/a/Tür 1/0.jpg"), missing),
        (do.copied(file, f"{root}/query/a/Tür 1/0.jpg"), missing),
        (files("train/a/1.jpg;query/b/1.jpg"), missing),
        (
            do.copied(file, f"{root}/bounding_box_train/0001_c1.jpg"),
            "has no query and no bounding_box",
        ),
        (files("train/;query/b/0.jpg;gallery/b/1.jpg"), "no images in .*train, exp"),
        (files("train/a/0.jpg;query/;gallery/b/1.jpg"), "no images in .*query, exp"),
        (files("train/a/0.jpg;query/b/0.txt;gallery/b/0.jpg"), "no images for query in .*, exp"),
        (files("train/a/0.jpg;train/b/1.jpg;query/b/2.jpg;gallery/b/3.jpg"), twice),
        (files("train/0002_c1.jpg;query/0002_c2.jpg;gallery/0002_c3.jpg"), twice),
        (files("train/a/1/0.jpg;query/b/1/0.jpg;gallery/b/1/1.jpg"), "query: 1 of 1 .*query/b/1/0"),
        (
            files("train/a/0.jpg;query/0001_c1.jpg;gallery/0001_c2.jpg"),
            "found identities as folders and as names of images, expected",
        ),
        (files("train/0001_c1.jpg;query/0002_c1.jpg;gallery/2.jpg"), f"gallery/2.jpg: {form}"),
        (
            files("train/1_c1.jpg;query/2_c1.jpg;gallery/20260101123456_c2.jpg"),
            f"20260101123456_c2.jpg: {form}",
        ),
        (files("a/1/0.jpg;a/2/0.jpg"), r"found 2 cameras \(1, 2\) for 1 identity \(a\), expected"),
        (files("a/0.jpg;a/1.jpg"), "found 1 identity and no split, expected at least 3"),
        (files("a/1.jpg;b/1.jpg;c/1.jpg"), "found no images for query"),
    ]


def csv() -> list[Damage]:
    name, row = "Liste ü.csv", "Bilder ß/1.jpg,Jürgen,Tür 2,train"
    gone = r"found no file for 1 row of \d+ \(line 3 .*\), expected one for each"
    form = "line 3: found .*, expected path,id"
    again = "line 4: .*1.jpg.*line 3, expected every image once"
    split = "line 3: found split '[tT].*', expected one of"
    rows = (
        ("Bilder ß/1.jpg", form),
        ("Bilder ß/1.jpg,,Tür 2,train", form),
        (",Jürgen,Tür 2,train", form),
        (row + ",x", form),
        (row.replace(",", ";"), form),
        (row.replace(",", "\t"), form),
        (row.replace("train", "test"), split),
        (row.replace("train", "Train"), split),
        (row.replace("train", ""), "found splits .*none.*, expected all of train"),
        (row.replace("Tür 2", ""), "1.jpg: found no camera, expected one as 5 other"),
        (f"{row}\n{row}", again),
        (f"{row}\n./{row}", again),
        (f"{row}\nBilder ß/../{row}", again),
        (f"{row}\n{row.replace('Jürgen', 'J')}", again),
        (row.replace("Jürgen", "李 雷"), "雷.jpg: found the identity of .*1.jpg in query too, exp"),
        (row.replace("1.jpg", "1.Jpg"), gone),
        (row.replace("/", "\\"), gone),
        (row.replace("/1.jpg", ""), gone),
        (row.replace("1", "1" * 300), gone),
        (row.replace("1.", "1\0."), gone),
    )
    contents = (
        CSV.encode("utf-16"),
        CSV.replace("李 雷", "Li").replace("雷", "Lei").encode("latin-1"),
        CSV.encode("utf-16-le"),
        bytes(range(256)),
        b"",
        b"\n\n\r\n",
        b"path,id\n",
        b",,,\n,,\n",
        CSV.replace("o'Brien", '"o').encode() + b"x" * 200_000,  # a field without an end
    )
    without_split = f"{name}: found splits .*, expected all of train, query"
    same_camera = do.edited(
        name, lambda text: text.replace("3.JPG,李 雷,Tür 2", "3.JPG,李 雷,Tür 1")
    )
    return [
        (do.without(name), f"{name} is not there, expected"),
        (
            do.without("Bilder ß"),
            rf"{name}: found no file for \d rows of \d+ \(line 2 .*0 a.jpg, line 3 .*, line 4 .*, \.\.\.\)",
        ),
        (do.without("Bilder ß/4.png"), r"found no file for 1 row of \d+ \(line 6 .*4.png\)"),
        (do.link_instead("Bilder ß/1.jpg", "1.jpg"), r"for 1 row of \d+ \(line 3 .*1.jpg\)"),
        (do.edited(name, lambda text: re.sub(r".*,query\n", "", text)), without_split),
        (do.edited(name, lambda text: re.sub(r".*,gallery\n", "", text)), without_split),
        (same_camera, "query: 1 of 1 identities .*雷.jpg"),
        *((do.written(name, c), rf"{name}(:|, line \d:) .*, expected") for c in contents),
        *((do.edited(name, lambda t, n=new: t.replace(row, n)), message) for new, message in rows),
    ]


def natural_images() -> list[Damage]:
    root, photo = "Photos ü", PHOTOS[1]
    nothing = f"found no images of at least .* in .*{root}, expected"

    def shrink(folder: Path) -> None:
        for photo in PHOTOS:
            Image.new("RGB", (7, 99)).save(folder / photo)

    def hide(folder: Path) -> None:
        for photo in PHOTOS:
            (folder / photo).rename((folder / photo).with_name("." + Path(photo).name))

    return [
        (do.link_instead(photo, Path(photo).name), f"{photo}: .*, expected a readable image"),
        (do.emptied(root), nothing),
        (hide, nothing),
        (do.without(root), f"{root} is not there, expected a folder of images"),
        (do.written(root, b"x"), f"{root} is no.*, expected a folder of images"),
        (do.link_instead(f"{root}/b c/hinauf", ".."), "b c/hinauf: found a link .*, expected"),
        (do.link_instead(f"{root}/hier", "."), "hier: found a link .*, expected"),
        (shrink, f"found no image of use for train in .*{root}, expected .* large enough"),
    ]
