"""Damages to CUHK03: to cuhk-03.mat and all that is in it, and to the images that are extracted of it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from damages.changes import (
    Change,
    Damage,
    bad_images,
    changed,
    emptied,
    folder_instead,
    link_instead,
    no_files,
    no_json,
    renamed,
    without,
    written,
    wrong_json,
    wrong_names,
)

Mat = Callable[[h5py.File], None]


def in_mat(name: str, change: Mat) -> Change:
    def do(folder: Path) -> None:
        with h5py.File(folder / name, "r+") as file:
            change(file)

    return do


def no_field(field: str) -> Mat:
    def change(file: h5py.File) -> None:
        del file[field]

    return change


def field(name: str, value: object) -> Mat:
    """Anything in the place of a field; None is a group."""

    def change(file: h5py.File) -> None:
        del file[name]
        if value is None:
            file.create_group(name)
        else:
            file[name] = value

    return change


def cells(name: str, order: Sequence[int]) -> Mat:
    """A field with other cells of its own, by their numbers."""

    def change(file: h5py.File) -> None:
        found = file[name][()][:, list(order)]
        del file[name]
        file.create_dataset(name, data=found, dtype=h5py.ref_dtype)

    return change


def cell(name: str, number: int, value: object) -> Mat:
    """Anything in a cell of a field. None is a group, () no reference, "gone" a dangling one."""
    return lambda file: file[name].__setitem__((0, number), _reference(file, value))


def pair_of_cameras(number: int, rows: Callable[[np.ndarray], np.ndarray]) -> Mat:
    """A pair of cameras whose cells lie otherwise, [10, persons] in the file."""

    def change(file: h5py.File) -> None:
        found = rows(file[file["detected"][0, number]][()])
        other = file.create_dataset("other", data=found, dtype=h5py.ref_dtype)
        file["detected"][0, number] = other.ref

    return change


def image(value: object) -> Mat:
    """Anything in the place of the first image of the first person of the third pair."""

    def change(file: h5py.File) -> None:
        file[file["detected"][0, 2]][0, 0] = _reference(file, value)

    return change


def huge_image(file: h5py.File) -> None:
    """A header alone: pixels that were never written take no room."""
    shape = (3, 100_000, 100_000)
    huge = file.create_dataset("huge", shape, np.uint8, chunks=(1, 1000, 1000))
    file[file["detected"][0, 2]][0, 0] = huge.ref


def _reference(file: h5py.File, value: object) -> h5py.Reference:
    if isinstance(value, tuple):
        return h5py.Reference()
    if value is None:
        return file.create_group("other").ref
    if isinstance(value, str) and value == "gone":
        reference = file.create_dataset("other", data=np.zeros(3)).ref
        del file["other"]
        return reference
    return file.create_dataset("other", data=value).ref


def broken_pixels(name: str, value: bytes) -> Change:
    """Overwrites the compressed pixels of an image."""

    def do(folder: Path) -> None:
        with h5py.File(folder / name, "r") as file:
            chunk = file[file[file["detected"][0, 2]][0, 0]].id.get_chunk_info(0)
        with (folder / name).open("r+b") as raw:
            raw.seek(chunk.byte_offset)
            raw.write(value * (chunk.size // len(value)))

    return do


def mat() -> Iterator[Damage]:
    """The file as a whole, its fields, its images and its splits."""
    name = "cuhk03_release/cuhk-03.mat"
    no_hdf5 = r"cuhk-03\.mat: found .*, expected cuhk-03\.mat as it is distributed, a MATLAB 7\.3"
    # The file as a whole.
    for eighths in range(8):
        do = changed(name, lambda data, n=eighths: data[: len(data) * n // 8])
        yield Damage(f"{eighths} eighths", do, no_hdf5)
    for count in (1, 100, 512, 600, 1024):
        yield Damage(f"{count} bytes", changed(name, lambda data, n=count: data[:n]), no_hdf5)
    yield Damage("last byte missing", changed(name, lambda data: data[:-1]), no_hdf5)
    yield Damage("zero bytes", changed(name, lambda data: bytes(len(data))), no_hdf5)
    for place in (512, 520, 521, 525):
        do = changed(name, lambda d, n=place: d[:n] + bytes([d[n] ^ 0xFF]) + d[n + 1 :])
        yield Damage(f"byte {place} flipped", do, no_hdf5)
    for what, content in {
        "HTML page": b"<!DOCTYPE html>\n<html>\n</html>",
        "pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
        "MATLAB 5": b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\1IM" + bytes(400),
        "zip": b"PK\3\4" + bytes(4096),
        "a byte in front": None,
    }.items():
        do = changed(name, lambda data, c=content: b"\n" + data if c is None else c)
        yield Damage(what, do, no_hdf5)
    no_file = "cuhk03_release has no cuhk-03.mat and no images_detected, expected the folder"
    yield Damage("gone", without(name), no_file)
    yield Damage("another name", renamed(name, "cuhk03_release/cuhk03.mat"), no_file)
    yield Damage("a folder", folder_instead(name), no_file)
    yield Damage("a broken link", link_instead(name, "nowhere"), no_file)
    yield Damage("no folder", without("cuhk03_release"), "cuhk03_release is not there, expected")

    # Its fields.
    def inside(what: str, change: Callable[..., None], message: str) -> Damage:
        return Damage(what, in_mat(name, change), rf"cuhk-03\.mat: found {message}.*, expected")

    for of, size in (("detected", 5), ("testsets", 20)):
        yield inside(f"no {of}", no_field(of), f"no field {of}")
        as_cells = f".*expected {of} as {size} x 1 cells"
        no_cells = {
            "group": None,
            "numbers": np.zeros((1, size)),
            "text": "cells",
            "number": 3.0,
            "bytes": np.zeros((3, 4, 5), np.uint8),
        }
        for what, value in no_cells.items():
            change = in_mat(name, field(of, value))
            yield Damage(f"{of}: {what}", change, rf"cuhk-03\.mat: found {as_cells}")
        for what, order in {"one less": range(size - 1), "one twice": [*range(size), 0]}.items():
            change = in_mat(name, cells(of, order))
            yield Damage(f"{of}: {what}", change, rf"cuhk-03\.mat: found {as_cells}")
        for what, value in {"no reference": (), "dangling": "gone", "group": None}.items():
            yield inside(f"{of}, a cell: {what}", cell(of, 2, value), "")
    as_pair = "{}.* as pair 3 of detected"
    for what, rows, shape in (
        ("nine images", lambda found: found[:9], r".*\(9, 1\)"),
        ("eleven images", lambda found: np.concatenate([found, found[:1]]), r".*\(11, 1\)"),
        ("transposed", lambda found: found.T, r".*\(1, 10\)"),
        ("a list", lambda found: found[:, 0], r".*\(10,\)"),
    ):
        yield inside(what, pair_of_cameras(2, rows), as_pair.format(shape))
    yield inside("numbers", cell("detected", 2, np.zeros((10, 1))), as_pair.format("float64"))
    # Its images.
    as_image = "{}.* as image 1 of person 1 of pair 3 of detected"
    pixels = np.zeros((3, 9, 20), np.uint8)
    for what, value, found in (
        ("floats", pixels / 2, "float64"),
        ("16 bits", pixels.astype(np.uint16), "uint16"),
        ("truths", pixels > 0, "bool"),
        ("grey", pixels[0], "uint8"),
        ("alpha", np.zeros((4, 9, 20), np.uint8), "uint8"),
        ("channels last", pixels.T, "uint8"),
        ("a batch", pixels[None], "uint8"),
        ("a row", pixels[0, 0] + 1, "uint8"),
        ("no width", pixels[:, :0], "uint8"),
        ("no height", pixels[:, :, :0], "uint8"),
        ("text", "image", "object"),
    ):
        yield inside(f"image: {what}", image(value), as_image.format(found))
    yield inside("image: huge", huge_image, as_image.format(".*100000"))
    for what, value in {"no reference": (), "dangling": "gone", "group": None}.items():
        yield inside(f"image: {what}", image(value), "")
    for value in (b"\0", b"\xff"):
        do = broken_pixels(name, value)
        yield Damage(f"image: pixels {value!r}", do, r"(1|cuhk-03\.mat): found .*, expected")
    # Its splits.
    for what, rows in {
        "three columns": [[1.0, 1.0, 1.0]],
        "one column": [[1.0]],
        "a list": [1.0, 1.0],
        "pair 0": [[0.0, 1.0]],
        "pair 6": [[6.0, 1.0]],
        "person 0": [[1.0, 0.0]],
        "person 3": [[1.0, 1.0], [1.0, 3.0]],
        "half a person": [[1.0, 1.5]],
        "no number": [[1.0, np.nan]],
        "infinity": [[np.inf, 1.0]],
    }.items():
        change = cell("testsets", 7, np.array(rows).T)
        yield inside(f"split: {what}", change, ".* as split 8 of testsets")
    nobody = r"split_source: split 0 of .* tests on {} and trains on {} identities, expected some"
    everybody = np.array([[1, 1], [1, 2], [2, 1], [3, 1], [4, 1], [5, 1]], float).T
    do = in_mat(name, cell("testsets", 0, everybody))
    yield Damage("split: everybody", do, nobody.format(6, 0))


def extracted() -> Iterator[Damage]:
    """The images that torchreid extracts, and its list of splits."""
    folder = "cuhk03/images_detected"
    files = [f"{folder}/{name}.png" for name in ("1_001_1_01", "2_001_1_01", "2_001_2_06")]
    yield from bad_images(*files, part=slice(2, None, 6))
    yield from no_files(*files)
    names = ("1_001_1.png", "6_001_1_01.png", "1_01_1_01.png", "1_001_3_01.png", "1_001_1_00.png")
    names += ("1_001_2_11.png", "1_001_1_06.png", "1_001_2_05.png", "1_001_1_01.jpg", "01.png")
    names += ("1_001_1_01.PNG", "1_001_1_01 (1).png", "1_001_1_01.png.png", "1_٠٠١_1_01.png")
    new = [f"{folder}/{name}" for name in names]
    yield from wrong_names(files[0], new, "found a name of another form, expected <pair>_<person>")
    nothing = "found no detected images in .*images_detected, expected"
    yield Damage("no images", emptied(folder), nothing)
    no_folder = "cuhk03 has no cuhk-03.mat and no images_detected, expected"
    yield Damage("no folder of images", without(folder), no_folder)
    yield Damage("file for a folder", written(folder, b"x"), no_folder)
    yield Damage("folder's name", renamed(folder, "cuhk03/detected"), no_folder)
    yield Damage("no folder", without("cuhk03"), "cuhk03 is not there, expected")
    yield Damage(
        "no second camera", without(files[2]), r"query: 1 of 3 identities .*2_001_1_01\.png"
    )
    splits = "cuhk03/splits_classic_detected.json"
    yield from no_json(splits)
    yield Damage("splits: UTF-8 of another", written(splits, b"\xff\xfe["), "detected.json: found")
    one = [["/x/images_detected/1_001_1_01.png", 0, 0]]
    split = {"train": one, "query": one, "gallery": one}
    yield from wrong_json(
        splits,
        {
            "found 0 splits, expected 20": {},
            "found 1 splits, expected 20": [split],
            "found 21 splits, expected 20": [split] * 21,
            "expected the 20 splits": {"train": one},
            "expected the 20 splits of": [[1]],
            "KeyError: 'gallery'": [{"query": one}],
            "KeyError: 'query'": [{"gallery": one}],
            "expected the 20 splits of images": [{"query": [[1, 2, 3]], "gallery": one}],
            "expected the 20 splits of images that": [{"query": [[]], "gallery": one}],
            "expected the 20 splits .* torchreid": [{"query": None, "gallery": one}],
            "found a name of another form": [{**split, "query": [["0002_c1.jpg", 0, 0]]}] * 20,
            "5_009_1_01.png, a person who is not in .*images_detected": [
                {**split, "query": [["/5_009_1_01.png", 0, 0]]}
            ]
            * 20,
            "tests on 0 and trains on 6 identities": [{"query": [], "gallery": []}] * 20,
        },
        place="(splits_classic_detected.json|split_source)",
    )
