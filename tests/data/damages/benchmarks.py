"""Damages to the downloads of benchmarks whose images are files; cuhk-03.mat has a module of its own."""

import json
import re
from pathlib import Path

from damages import changes as do
from damages.changes import Damage


def wrong_names(name: str, names: str, problem: str) -> list[Damage]:
    """A file under other names, which are parts of a text."""
    folder = Path(name).parent
    return [
        (do.renamed(name, f"{folder}/{new}"), f"{re.escape(new)}: {problem}")
        for new in names.split("|")
    ]


def wrong_folder(root: str, name: str, file: str) -> list[Damage]:
    """A folder of a download has another name, is empty, or is a file, which is called `file`."""
    folder = f"{root}/{name}"
    return [
        (do.renamed(folder, folder.upper()), f"has no {name}, expected the folder {root}"),
        (do.emptied(folder), f"found no images in .*{name}, expected"),
        (do.written(folder, b"x"), f"{name}: {file}, expected a folder"),
    ]


def market() -> list[Damage]:
    root = "Market-1501-v15.09.15"
    train = f"{root}/bounding_box_train/0007_c1s1_000000_00.jpg"
    query = f"{root}/query/0009_c1s1_000001_00.jpg"
    gallery = f"{root}/bounding_box_test/0009_c2s1_000000_00.jpg"
    names = (
        "person7.jpg|0001.jpg|0001_c0s1_000001_00.jpg|0001_s1_000001_00.jpg|_c1s1_000001_00.jpg|"
        "-2_c1s1_000001_00.jpg|0001_C1s1_000001_00.jpg|0001-c1s1_000001_00.jpg| 0001_c1s1_1.jpg|"
        "20260101123456_c1s1_000001_00.jpg|0001_c20260101123456s1_1.jpg|٠٠٠١_c1s1_000001_00.jpg"
    )
    both = "found the identity of .*bounding_box_train/.* too, expected every identity"
    twice = "found the same .*, expected each image once"
    gone = "has no bounding_box_train and no query and no"

    def one_camera(folder: Path) -> None:
        (folder / gallery).unlink()
        (folder / query.replace("_c1", "_c2")).unlink()

    damages = [
        *wrong_names(query, names, "found a name of another form"),
        (do.folder_instead(train), rf"{train}\b.*, expected a readable image"),
        (do.link_instead(train, Path(train).name), rf"{train}\b.*, expected a"),
        (do.copied(query, query.replace("jpg", "JPG")), twice),
        (do.copied(train, f"{root}/bounding_box_test/0007_c2s1_000009_00.jpg"), both),
        (do.copied(query, f"{root}/bounding_box_train/0009_c1s1_000009_00.jpg"), both),
        (do.copied(gallery, f"{root}/query/0000_c2s1.jpg"), "found a distractor .*, expected"),
        (one_camera, "query: 1 of 1 identities .*0009_c1"),
        (do.emptied(root), gone),
        (do.without(root), f"{root} is not there, expected the folder"),
        (do.written(root, b"PK\3\4"), gone),
    ]
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        damages += wrong_folder(root, name, "Not a directory")
    return damages


def msmt17() -> list[Damage]:
    root = "MSMT17_V1"
    first = "0000/0000_000_01_0303morning_0000_0.jpg"
    lists = {name: f"{root}/list_{name}.txt" for name in ("train", "val", "query", "gallery")}
    turns = list(lists.values())
    lines = {
        "expected an image and its label": (first, f"{first} 0 1", f"{first},0"),
        "expected the same identity": (
            *(f"{first} 1", f"{first} one", f"{first} -0"),
            first.replace("/0000", "/0001") + " 0",
        ),
        "expected <identity>/<identity>_<image>": (
            *("0000_000_01_0303morning_0000_0.jpg 0", f"train/{first} 0", f"../{first} 0"),
            *(first.replace("_01_", other) + " 0" for other in ("_00_", "_c1_")),
            first.replace("jpg", "txt") + " 0",
            first.replace("/", "\\") + " 0",
            first.replace("0000", "٠٠٠٠") + " 0",
        ),
        "is not there, expected an image": (
            first.replace("_0.jpg", "_9.jpg") + " 0",
            "0777/0777_000_01_x_0.jpg 777",
        ),
    }
    damages: list[Damage] = []
    for problem, wrong in lines.items():
        for number, line in enumerate(wrong):
            name = turns[number % 4]
            added = do.edited(name, lambda text, line=line: f"{line}\n{text}")
            damages.append((added, f"{name}, line 1: .*{problem}"))
    for part, name in lists.items():
        other = lists[{"train": "val", "val": "train"}.get(part, "query")]
        in_utf8 = f"{name}: .*, expected a list of images in UTF-8"
        damages += [
            (do.without(name), f"has no list_{part}.txt, expected"),
            (do.written(name, b" \n\f\n"), f"{name}: found no images, expected"),
            (
                do.edited(name, lambda text: text + text.splitlines()[0]),
                f"{name}, line .* again after .*, line 1, expected each image once",
            ),
            (
                lambda folder, name=name, other=other: (folder / name).write_text(
                    (folder / name).read_text() + (folder / other).read_text()
                ),
                r"found .* again after .*, line \d, expected each image once",
            ),
            (do.changed(name, lambda data: data.decode().encode("utf-16")), in_utf8),
            (do.folder_instead(name), in_utf8),
            (do.changed(name, lambda data: data[:-20]), rf"{name}, line \d: found .*, expected"),
            (do.changed(name, lambda data: data[:20] + bytes(9) + data[20:]), f"{name}, line 1: "),
        ]
    for folder in ("train", "test"):
        damages += [
            (do.without(f"{root}/{folder}"), f"has no {folder}, expected the folder MSMT17_V1"),
            (do.written(f"{root}/{folder}", b"x"), f"line 1: .*{folder}/0000/.* is not there"),
            (do.without(f"{root}/{folder}/0000"), f"line 1: .*{folder}/0000/.* is not there"),
            (
                do.renamed(f"{root}/{folder}", f"{root}/mask_{folder}_v2"),
                "expected the folder of one version of MSMT17",
            ),
        ]
    return [
        *damages,
        (
            do.edited(lists["gallery"], lambda text: text.splitlines()[0]),
            "query: 1 of 1 identities .*never be matched",
        ),
        (do.without(root), f"{root} is not there, expected the folder"),
        (do.emptied(root), f"{root} has no train and no test and no list_train"),
    ]


def caviar() -> list[Damage]:
    root = "CAVIAR4REID"
    first, query = f"{root}/0001001.jpg", f"{root}/0003011.jpg"
    names = "1001|00010011|0001_001|000100a|copy of 0001001|0001001 (1)|٠٠٠١٠٠١"
    nothing = "found no images in .*CAVIAR4REID, expected the folder CAVIARa"
    gone = "CAVIAR4REID is not there, expected the folder CAVIAR4REID"
    form = "found a name of another form, expected 4 digits .*such as 0001001"
    number = "found image number .*, expected 001 to 010"

    def one_camera(folder: Path) -> None:
        for path in (folder / root).glob("????011.jpg"):
            path.unlink()

    return [
        *wrong_names(first, names.replace("|", ".jpg|") + ".jpg", form),
        *wrong_names(first, "0001000.jpg|0001021.jpg|0001999.jpg", number),
        (do.copied(query, f"{root}/0003011.png"), "0003011.* found the same .*, expected each"),
        (do.without(query), "train_identities: found 3, expected less than the 3 identities"),
        (one_camera, "found 0 identities before both cameras in .*at least 2"),
        (do.emptied(root), nothing),
        (do.written(root, b"x"), nothing),
        (do.renamed(root, "caviar4reid"), gone),
    ]


def viper() -> list[Damage]:
    first, other = "VIPeR/cam_a/000_0.bmp", "VIPeR/cam_b/003_90.bmp"
    names = "45|0003_45|003|003_45_1|a03_45|003_|003_45 (1)|٠٠٣_45|003-45"
    alone = r"found {} by one camera alone \({}.bmp\), expected"
    form = "found a name of another form, expected <identity>_<angle>.*such as 000_45"
    damages = [
        *wrong_names(other, names.replace("|", ".bmp|") + ".bmp", form),
        (do.without(other), alone.format("1 identity", "cam_a/003_0")),
        (do.without(first), alone.format("1 identity", "cam_b/000_90")),
        (do.renamed(first, first[:-4]), alone.format("1 identity", "cam_b/000_90")),
        (
            do.renamed(first, "VIPeR/cam_b/901_0.bmp"),
            alone.format("2 identities", ".*, cam_b/901_0"),
        ),
        (do.emptied("VIPeR"), "has no cam_a and no cam_b, expected"),
        (do.without("VIPeR"), "VIPeR is not there, expected"),
    ]
    for new in ("003_91.bmp", "003_90.BMP", "003_90.png"):
        damages.append((do.copied(other, f"VIPeR/cam_b/{new}"), "a second image of identity 003"))
    for camera in ("cam_a", "cam_b"):
        damages += wrong_folder("VIPeR", camera, "found a file")
    return damages


def extracted() -> list[Damage]:
    """The images that torchreid extracts from cuhk-03.mat, and its lists of trials."""
    folder = "cuhk03/images_detected"
    files = [f"{folder}/{name}.png" for name in ("1_001_1_01", "2_001_1_01", "2_001_2_06")]
    names = (
        "1_001_1.png|6_001_1_01.png|1_01_1_01.png|1_001_3_01.png|1_001_1_00.png|1_001_2_11.png|"
        "1_001_1_06.png|1_001_2_05.png|1_001_1_01.jpg|01.png|1_001_1_01.PNG|1_001_1_01 (1).png|"
        "1_001_1_01.png.png|1_٠٠١_1_01.png"
    )
    form = "found a name of another form, expected <pair>_<person>.*such as 1_001_1_01"
    no_folder = "cuhk03 has no cuhk-03.mat and no images_detected, expected"
    trials = "cuhk03/splits_classic_detected.json"
    damages = [
        *wrong_names(files[0], names, form),
        (do.emptied(folder), "found no detected images in .*images_detected, expected"),
        (do.written(folder, b"x"), no_folder),
        (do.renamed(folder, "cuhk03/detected"), no_folder),
        (do.without("cuhk03"), "cuhk03 is not there, expected"),
        (do.without(files[2]), r"query: 1 of 3 identities .*2_001_1_01\.png"),
        (do.without(trials), "trial_source: .*splits_classic_detected.json .*'random'"),
        (do.folder_instead(trials), "splits_classic_detected.*, expected"),
        (do.written(trials, b"\xff\xfe["), "detected.json: found .*, expected the 20 trials"),
        (do.written(trials, b"[" * 100_000), "detected.json: found .*, expected the 20 trials"),
        (do.written(trials, b""), "detected.json: found .*, expected the 20 trials"),
    ]
    one = [["/x/images_detected/1_001_1_01.png", 0, 0]]
    trial = {"train": one, "query": one, "gallery": one}
    for problem, content in {
        "found 0 trials, expected 20": {},
        "found 1 trials, expected 20": [trial],
        "found 21 trials, expected 20": [trial] * 21,
        "expected the 20 trials": {"train": one},
        "expected the 20 trials of": [[1]],
        "KeyError: 'gallery'": [{"query": one}],
        "expected the 20 trials of images": [{"query": [[1, 2, 3]], "gallery": one}],
        "expected the 20 trials of images that": [{"query": [[]], "gallery": one}],
        "expected the 20 trials .* torchreid": [{"query": None, "gallery": one}],
        "found a name of another form": [{**trial, "query": [["0002_c1.jpg", 0, 0]]}] * 20,
        "5_009_1_01.png, a person who is not in .*images_detected": [
            {**trial, "query": [["/5_009_1_01.png", 0, 0]]}
        ]
        * 20,
        "tests on 0 and trains on 6 identities": [{"query": [], "gallery": []}] * 20,
    }.items():
        place = "(splits_classic_detected.json|trial_source).*"
        damages.append((do.written(trials, json.dumps(content)), place + problem))
    return damages
