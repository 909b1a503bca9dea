"""Damages to cuhk-03.mat and all that is in it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from damages import changes as do
from damages.changes import Change, Damage

Mat = Callable[[h5py.File], None]

NOWHERE: tuple[object, ...] = ((), "gone", None)  # no reference, a dangling one, a group


def in_mat(name: str, change: Mat) -> Change:
    def do(folder: Path) -> None:
        with h5py.File(folder / name, "r+") as file:
            change(file)

    return do


def field(name: str, value: object) -> Mat:
    """Anything in the place of a field. None is a group, () nothing at all."""

    def change(file: h5py.File) -> None:
        del file[name]
        if value is None:
            file.create_group(name)
        elif not isinstance(value, tuple):
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


MAT = "cuhk03_release/cuhk-03.mat"


def mat() -> list[Damage]:
    """The file as a whole, its fields, its images and its trials."""
    return [*_whole_mat(MAT), *_inside_mat(MAT)]


def _whole_mat(name: str) -> list[Damage]:
    no_hdf5 = r"cuhk-03\.mat: found .*, expected cuhk-03\.mat as it is distributed, a MATLAB 7\.3"
    no_file = "cuhk03_release has no cuhk-03.mat and no images_detected, expected the folder"
    damages = [
        (do.without(name), no_file),
        (do.renamed(name, "cuhk03_release/cuhk03.mat"), no_file),
        (do.folder_instead(name), no_file),
        (do.link_instead(name, "nowhere"), no_file),
        (do.without("cuhk03_release"), "cuhk03_release is not there, expected"),
        (do.changed(name, lambda data: b"\n" + data), no_hdf5),
        (do.changed(name, lambda data: bytes(len(data))), no_hdf5),
        (do.changed(name, lambda data: data[:-1]), no_hdf5),
    ]
    for part in (0, 1 / 8, 1 / 2, 7 / 8):
        damages.append((do.changed(name, lambda data, p=part: data[: int(p * len(data))]), no_hdf5))
    for count in (1, 512, 600, 1024):
        damages.append((do.changed(name, lambda data, n=count: data[:n]), no_hdf5))
    for place in (512, 520, 521, 525):
        flip = lambda d, n=place: d[:n] + bytes([d[n] ^ 0xFF]) + d[n + 1 :]  # noqa: E731
        damages.append((do.changed(name, flip), no_hdf5))
    for content in (
        b"<!DOCTYPE html>\n<html>\n</html>",
        b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\1IM" + bytes(400),
        b"PK\3\4" + bytes(4096),
    ):
        damages.append((do.written(name, content), no_hdf5))
    return damages


def _inside_mat(name: str) -> list[Damage]:
    damages: list[Damage] = []

    def inside(change: Mat, found: str) -> Damage:
        return in_mat(name, change), rf"cuhk-03\.mat: found {found}.*, expected"

    for of, size in (("detected", 5), ("testsets", 20)):
        as_cells = f".*expected {of} as {size} x 1 cells"
        for value in (None, np.zeros((1, size)), "cells", 3.0, np.zeros((3, 4, 5), np.uint8)):
            damages.append((in_mat(name, field(of, value)), as_cells))
        for order in (range(size - 1), [*range(size), 0]):
            damages.append((in_mat(name, cells(of, order)), as_cells))
        for reference in NOWHERE:
            damages.append(inside(cell(of, 2, reference), ""))
        damages.append(inside(field(of, ()), f"no field {of}"))
    for rows, shape in (
        (lambda found: found[:9], r".*\(9, 1\)"),
        (lambda found: np.concatenate([found, found[:1]]), r".*\(11, 1\)"),
        (lambda found: found.T, r".*\(1, 10\)"),
        (lambda found: found[:, 0], r".*\(10,\)"),
    ):
        damages.append(inside(pair_of_cameras(2, rows), f"{shape}.* as pair 3 of detected"))
    numbers = cell("detected", 2, np.zeros((10, 1)))
    damages.append(inside(numbers, "float64.* as pair 3 of detected"))
    pixels = np.zeros((3, 9, 20), np.uint8)
    for value, found in (
        (pixels / 2, "float64"),
        (pixels.astype(np.uint16), "uint16"),
        (pixels > 0, "bool"),
        (pixels[0], "uint8"),
        (np.zeros((4, 9, 20), np.uint8), "uint8"),
        (pixels.T, "uint8"),
        (pixels[None], "uint8"),
        (pixels[0, 0] + 1, "uint8"),
        (pixels[:, :0], "uint8"),
        ("image", "object"),
    ):
        damages.append(inside(image(value), f"{found}.* as image 1 of person 1 of pair 3 of det"))
    damages.append(inside(huge_image, ".*100000.* as image 1 of person 1 of pair 3 of detected"))
    damages += [inside(image(value), "") for value in NOWHERE]
    for value in (b"\0", b"\xff"):
        damages.append((broken_pixels(name, value), r"(1|cuhk-03\.mat): found .*, expected"))
    for rows in (
        [[1.0, 1.0, 1.0]],
        [[1.0]],
        [1.0, 1.0],
        [[0.0, 1.0]],
        [[6.0, 1.0]],
        [[1.0, 0.0]],
        [[1.0, 1.0], [1.0, 3.0]],  # pair 1 has two persons
        [[1.0, 1.5]],
        [[1.0, np.nan]],
        [[np.inf, 1.0]],
    ):
        damages.append(inside(cell("testsets", 7, np.array(rows).T), ".* as trial 8 of testsets"))
    everybody = np.array([[1, 1], [1, 2], [2, 1], [3, 1], [4, 1], [5, 1]], float).T
    do = in_mat(name, cell("testsets", 0, everybody))
    nobody = r"trial_source: trial 0 of .* tests on 6 and trains on 0 identities, expected some"
    return [*damages, (do, nobody)]
