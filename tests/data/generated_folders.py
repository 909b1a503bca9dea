"""Folders of crops as people have them: of layouts mixed, misnamed, partly broken; and what to expect of each.

A folder is drawn as a list of crops with their labels, and only then laid out as files. What is to be expected follows
from that list and from what was done to the files, never from the names that a reader sees.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from own_images import write_files

SPLITS = ("train", "query", "gallery")
LAYOUTS = ("folders", "cameras", "cameras", "in names", "market", "csv")
SUFFIXES = (".png", ".jpg", ".jfif", ".PNG", ".gif", ".pgm", ".webp", ".tiff", ".bmp")
NAMES = (
    *(
        "ann",
        "Bo, jr",
        "Čapek",
        "李 雷",
        "o'Brien",
        "p-7",
        "Person 3",
        "17",
        "0004",
        "Cameron",
        "Clive",
        "x.y",
    ),
    *("Dora", "eve", "Valentin", "c", "007", "Ida"),
)
CAMERAS = ("hall", "c2", "Tür 3", "north gate")
# What may be wrong, and what the line says then.
PROBLEMS = {
    "an image is empty": "found an empty file, expected a readable image",
    "too few people": "identit.* and no split, expected at least 3",
    "nobody can be a query": "found no images for query",
    "a single person to train on": "train: found 1 identity, expected at least 2",
    "no train": "has no .*train|found splits",
    "no query": "has no .*query|found splits",
    "no gallery": "has no .*gallery|found splits",
    "no queries": "has no .*query|found splits",
    "a query without a match": "without any gallery image from another camera",
    "more cameras than people": r"found \d+ cameras \(.*\) for \d+ identit",
    "cameras above people": "found cam1.*, where identities should be",
    "one level deeper": "a folder below|for 1 identity|where cameras should|1 identity and no split",
    "images next to folders": "found both images and folders",
    "somebody is in training and in test": "found the identity of .* in .* too",
}


@dataclass
class Shown:
    """A crop, by what it shows.

    Attributes:
      identity: a name; "-1" is junk, "0000" is nobody.
      camera: a position in `CAMERAS`.
      split: "" if the user did not divide.
    """

    identity: str
    camera: int
    split: str


@dataclass
class Generated:
    """A folder, and what to expect of it.

    Attributes:
      raw: what `raw_dir` is.
      layout: one of `LAYOUTS`.
      divided: whether the user divided the people.
      crops: what the files show, by name of the record; junk is no record.
      problems: why it must end in a line; empty where it must build.
      said: what must be told with a number.
    """

    raw: Path
    layout: str
    divided: bool
    crops: dict[str, Shown] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def generate(folder: Path, seed: int) -> Generated:
    """Draws a folder and writes it into `folder`."""
    rng = random.Random(seed)
    found = Generated(folder / "crops", rng.choice(LAYOUTS), rng.random() < 0.5)
    shown = _draw_people(rng, found)
    files = {_name(rng, found, crop, n): crop for n, crop in enumerate(shown)}
    folder.mkdir(parents=True)
    damage = rng.choice([None, None, None, "swapped", *DAMAGES])
    others: list[str] = []
    if damage is not None:
        files, others = DAMAGES[damage](rng, found, files)
    if rng.random() < 0.3:
        others += _harmless(rng, found, files)
    write_files(found.raw, [*files, *others])
    junk = sum(crop.identity == "-1" for crop in files.values())
    if junk:
        found.said.append(f"{junk} image{'s' * (junk > 1)} of junk")
    found.crops = {name: crop for name, crop in files.items() if crop.identity != "-1"}
    if found.layout == "csv":
        _write_list(rng, found, files)
    _problems_of_people(found)
    if damage == "broken":
        (found.raw if found.raw.is_dir() else found.raw.parent).joinpath(
            min(found.crops)
        ).write_bytes(b"")
        found.problems.append("an image is empty")
    return found


def _draw_people(rng: random.Random, found: Generated) -> list[Shown]:
    people = rng.sample(NAMES, rng.choice((1, 2, 3, 4, 6, 8, 10)))
    cameras = range(rng.choice((1, 2, 2, 3)))
    shots = rng.choice((1, 2))
    crops = []
    for n, person in enumerate(people):
        parts: tuple[str, ...] = ("",)
        if found.divided:
            parts = ("train",) if n < (len(people) + 1) // 2 else ("query", "gallery")
        crops += [Shown(person, c, part) for part in parts for c in cameras for _ in range(shots)]
    nobody = "gallery" if found.divided else ""
    crops += [Shown("-1", 0, nobody) for _ in range(rng.choice((0, 0, 1, 3)))]
    crops += [Shown("0000", 0, nobody) for _ in range(rng.choice((0, 0, 2)))]
    return crops


def _name(rng: random.Random, found: Generated, crop: Shown, number: int) -> str:
    split, suffix = f"{crop.split}/" if crop.split else "", rng.choice(SUFFIXES)
    if found.layout == "market":
        code = (
            crop.identity
            if crop.identity in ("-1", "0000")
            else f"{NAMES.index(crop.identity) + 1:04d}"
        )
        return f"{split}{code}_c{crop.camera + 1}s1_{number:06d}_00{suffix}"
    if found.layout == "in names":
        return f"{split}{crop.identity}/{number}_c{crop.camera + 1}{suffix}"
    if found.layout == "cameras":
        return f"{split}{crop.identity}/{CAMERAS[crop.camera]}/{number}{suffix}"
    if found.layout == "csv":
        return f"images/{number}{suffix}"
    return f"{split}{crop.identity}/{number}{suffix}"


def _write_list(rng: random.Random, found: Generated, files: dict[str, Shown]) -> None:
    rows = [["path", "id", "camera", "split"]] if rng.random() < 0.5 else []
    rows += [[name, c.identity, CAMERAS[c.camera], c.split] for name, c in files.items()]
    text = "\n".join(",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows)
    path = found.raw / "crops.csv"
    path.write_text(text, encoding="utf-8")
    found.raw = path


def _problems_of_people(found: Generated) -> None:
    """What people would say is missing for training and scoring."""
    people = {crop.identity for crop in found.crops.values()} - {"0000"}
    if not found.divided:
        if len(people) < 3:
            found.problems.append("too few people")
        shots = Counter(crop.identity for crop in found.crops.values())
        seen = {(crop.identity, crop.camera) for crop in found.crops.values()}
        views = Counter(identity for identity, _ in seen)
        # Without cameras a second image will do; with them it must be another camera's.
        counts = shots if found.layout == "folders" else views
        if all(counts[person] < 2 for person in people):
            found.problems.append("nobody can be a query")
    else:
        trained = {crop.identity for crop in found.crops.values() if crop.split == "train"}
        if len(trained) < 2:
            found.problems.append("a single person to train on")
        queries = {(c.identity, c.camera) for c in found.crops.values() if c.split == "query"}
        if not queries:
            found.problems.append("no queries")
        gallery = {(c.identity, c.camera) for c in found.crops.values() if c.split == "gallery"}
        for person, camera in queries:
            others = {c for p, c in gallery if p == person} - {camera}
            if not (others or (found.layout == "folders" and (person, camera) in gallery)):
                found.problems.append("a query without a match")
                break
    cameras = {crop.camera for crop in found.crops.values()}
    if found.layout == "cameras" and cameras - {1} and len(cameras) > len(people):
        found.problems.append("more cameras than people")


def _harmless(rng: random.Random, found: Generated, files: dict[str, Shown]) -> list[str]:
    """Other files, which are counted where a folder is read; those that systems leave are not worth a word."""
    folder = rng.choice(sorted(files)).rpartition("/")[0]
    place = f"{folder}/" if folder else ""
    others = [f"{place}{name}" for name in rng.sample(("a.txt", "b.mat", "README", "d.heic"), 2)]
    if found.layout != "csv":  # a list says itself what counts
        found.said.append("2 files with other suffixes ignored: ")
    return [*others, f"{place}.DS_Store", f"{place}._1.jpg"]


def _renamed(files: dict[str, Shown], old: str, new: str) -> dict[str, Shown]:
    return {
        (new + name[len(old) :] if name.startswith(old) else name): c for name, c in files.items()
    }


def _swapped(rng, found, files):
    """Folders of people in folders of cameras."""
    if found.layout != "cameras":
        return files, []
    cut = {}
    for name, crop in files.items():
        if crop.identity in ("-1", "0000"):
            continue
        *split, identity, _, file = name.split("/")
        cut["/".join([*split, f"cam{crop.camera + 1}", identity, file])] = crop
    found.problems.append("cameras above people")
    return cut, []


def _capitals(rng, found, files):
    if not found.divided or found.layout == "csv":
        return files, []
    cut = {}
    for name, crop in files.items():
        split, _, rest = name.partition("/")
        cut[f"{split.capitalize()}/{rest}"] = crop
    return cut, []


def _one_split_missing(rng, found, files):
    if not found.divided:
        return files, []
    gone = rng.choice(SPLITS)
    found.problems.append(f"no {gone}")
    return {name: crop for name, crop in files.items() if crop.split != gone}, []


def _deeper(rng, found, files):
    """Another folder around everything."""
    if found.layout == "csv":
        return files, []
    found.problems.append("one level deeper")
    return {f"crops/{name}": crop for name, crop in files.items()}, []


def _loose_image(rng, found, files):
    """An image where folders are, or a folder where images are."""
    if found.layout == "csv":
        found.said.append("1 image next to the listed ones ignored")
        return files, ["images/loose.png"]
    if found.divided:
        found.said.append("1 image ignored, next to the folders")
        return files, ["loose.png"]
    found.problems.append("images next to folders")
    return files, ["loose.png"] if found.layout != "market" else ["sub/0001_c1.png"]


def _beside(rng, found, files):
    """Other folders: empty ones of people, and copies next to the splits."""
    if found.layout == "csv":
        return files, ["elsewhere/1.png"]
    if found.divided:
        found.said.append("1 other folder with 2 images ignored: train_all")
        return files, ["train_all/a/1.png", "train_all/b/2.png"]
    if found.layout == "market":
        return files, []
    found.said.append("1 folder without images ignored: nobody")
    return files, ["nobody/"]


def _both(rng, found, files):
    """Somebody is in training and in test."""
    if not found.divided or found.layout == "csv":
        return files, []
    name, crop = next((n, c) for n, c in files.items() if c.split == "train")
    copy = name.replace("train/", "gallery/", 1)
    found.problems.append("somebody is in training and in test")
    return files | {copy: Shown(crop.identity, crop.camera, "gallery")}, []


DAMAGES = {
    "swapped": _swapped,
    "capitals": _capitals,
    "missing": _one_split_missing,
    "deeper": _deeper,
    "loose": _loose_image,
    "beside": _beside,
    "both": _both,
    "broken": lambda rng, found, files: (files, []),
}
