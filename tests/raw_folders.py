"""Miniatures of the original downloads in their own formats, with drawn people.

Every writer makes the folder `path`, which stands for the download's own, and returns it.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from rireid_jax.data.pedestrians import render

BOXES = ("detected", "labeled")
PAIRS = (2, 3, 1, 1, 1)  # persons of CUHK03 by pair of cameras; 843, 440, 77, 58 and 49 in the real
_ROW = 5  # images of a person of CUHK03 by one camera, or empty cells


def write_viper(path: Path, ids: Sequence[int], size: tuple[int, int] = (128, 48)) -> Path:
    """BMP files named as in VIPeR, one of every identity in each of two folders; `size` is (height, width)."""
    for camera, folder in enumerate(("cam_a", "cam_b")):
        (path / folder).mkdir(parents=True, exist_ok=True)
        for pid in ids:
            file = path / folder / f"{pid:03d}_{45 * (pid % 3 + 2 * camera)}.bmp"
            _draw(pid, camera, 0, size).save(file)
    return path


def write_caviar(
    path: Path,
    ids: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8),
    single_ids: Sequence[int] = (9,),
    *,
    shots: int = 2,
) -> Path:
    """JPEG files named as in CAVIAR4REID, 40 to 72 pixels wide by the first camera, 17 to 30 by the second.

    Args:
      path: of the download.
      ids: identities before both cameras.
      single_ids: identities before the first camera only.
      shots: images of an identity by one camera, up to 10.
    """
    path.mkdir(parents=True, exist_ok=True)
    for pid in (*ids, *single_ids):
        for camera, (narrow, wide) in enumerate(((40, 72), (17, 30))):
            if camera == 1 and pid in single_ids:
                continue
            for shot in range(shots):
                width = narrow + (7 * pid + 5 * shot) % (wide - narrow + 1)
                file = path / f"{pid:04d}{10 * camera + shot + 1:03d}.jpg"
                _draw(pid, camera, shot, (2 * width, width)).save(file, quality=95)
    return path


def write_cuhk03_mat(
    path: Path,
    persons: Sequence[int] = PAIRS,
    *,
    shots: int = 2,
    one_view: Sequence[tuple[int, int]] = (),
    test_persons: int = 4,
) -> Path:
    """cuhk-03.mat as MATLAB 7.3 writes it: HDF5 with a header, references, transposed arrays.

    Args:
      path: of the download.
      persons: of each of the five pairs of cameras.
      shots: images of a person by one camera, up to 5; the other cells are empty.
      one_view: (pair, person) of people, numbered from 1, whom the second camera never saw.
      test_persons: of each of the 20 trials.
    """
    path.mkdir(parents=True, exist_ok=True)
    file_path = path / "cuhk-03.mat"
    with h5py.File(file_path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")

        def store(value: np.ndarray) -> h5py.Reference:
            """Writes the value of a cell, given as MATLAB sees it."""
            name = f"#refs#/{len(references)}"
            if value.size == 0:
                dataset = file.create_dataset(name, data=np.array(value.shape, np.uint64))
                dataset.attrs["MATLAB_empty"] = np.uint8(1)
            else:
                dataset = file.create_dataset(name, data=value.T, compression="gzip")
            dataset.attrs["MATLAB_class"] = np.bytes_(value.dtype.name)
            return dataset.ref

        def store_cells(name: str, cells: np.ndarray) -> h5py.Dataset:
            dataset = file.create_dataset(name, data=cells.T, dtype=h5py.ref_dtype)
            dataset.attrs["MATLAB_class"] = np.bytes_("cell")
            return dataset

        for boxes in BOXES:
            pairs = np.empty((len(persons), 1), object)
            for pair, count in enumerate(persons, 1):
                cells = np.empty((count, 2 * _ROW), object)
                for place in np.ndindex(cells.shape):
                    cells[place] = store(np.zeros((0, 0)))
                for _, person, image, pixels in _cuhk03(boxes, pair, count, shots, one_view):
                    cells[person - 1, image - 1] = store(pixels)
                pairs[pair - 1, 0] = store_cells(f"#refs#/{len(references)}", cells).ref
            store_cells(boxes, pairs)
        testsets = np.empty((20, 1), object)
        for n, testset in enumerate(_cuhk03_testsets(persons, test_persons)):
            testsets[n, 0] = store(np.array(testset, float))
        store_cells("testsets", testsets)
    with file_path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(124) + b"\x00\x02IM")
    return path


def write_cuhk03_extracted(
    path: Path,
    persons: Sequence[int] = PAIRS,
    *,
    shots: int = 2,
    one_view: Sequence[tuple[int, int]] = (),
    test_persons: int = 4,
) -> Path:
    """What torchreid extracts from the file that `write_cuhk03_mat` writes; lists have another machine's paths."""
    testsets = _cuhk03_testsets(persons, test_persons)
    for boxes in BOXES:
        folder = path / f"images_{boxes}"
        folder.mkdir(parents=True, exist_ok=True)
        names: dict[tuple[int, int], list[str]] = {}
        for pair, count in enumerate(persons, 1):
            for _, person, image, pixels in _cuhk03(boxes, pair, count, shots, one_view):
                name = f"{pair}_{person:03d}_{1 if image <= _ROW else 2}_{image:02d}.png"
                Image.fromarray(pixels).save(folder / name)
                names.setdefault((pair, person), []).append(name)
        rows = []
        for testset in testsets:
            train = _rows(boxes, [names[person] for person in names if person not in testset])
            test = _rows(boxes, [names[person] for person in names if person in testset])
            rows.append({"train": train, "query": test, "gallery": test})
        (path / f"splits_classic_{boxes}.json").write_text(json.dumps(rows))
    return path


def write_msmt17(
    path: Path,
    train_ids: Sequence[int] = (0, 1, 2, 3),
    test_ids: Sequence[int] = (0, 1, 2, 3),
    *,
    version: str = "V1",
    cameras: int = 2,
    shots: int = 1,
) -> Path:
    """JPEG files named as in MSMT17, 48 to 176 pixels wide, and the four lists.

    Every identity has `shots` images by each camera in list_train or list_gallery, and one more by each in
    list_val or list_query. Test identities are other people whatever their number.
    """
    folders = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}[version]
    parts = ((train_ids, "train", "val", 0), (test_ids, "gallery", "query", 10_000))
    for folder, (ids, several, single, offset) in zip(folders, parts, strict=True):
        lines: dict[str, list[str]] = {several: [], single: []}
        for pid in ids:
            (path / folder / f"{pid:04d}").mkdir(parents=True, exist_ok=True)
            for n in range(cameras * (shots + 1)):
                camera, shot = divmod(n, shots + 1)
                # Boxes that are a little larger bear the mark "_ex" in the real data set.
                mark = "_ex" if shot % 2 else ""
                name = (
                    f"{pid:04d}/{pid:04d}_{n:03d}_{camera + 1:02d}_0303morning_{n:04d}_0{mark}.jpg"
                )
                width = 48 + (37 * pid + 23 * n) % 129
                image = _draw(pid + offset, camera, shot, (2 * width, width))
                image.save(path / folder / name, quality=95)
                lines[single if shot == shots else several].append(f"{name} {pid}\n")
        for part, listed in lines.items():
            (path / f"list_{part}.txt").write_text("".join(listed))
    return path


def write_market_folder(
    path: Path,
    train_ids: Sequence[int],
    test_ids: Sequence[int],
    *,
    cameras: int = 2,
    shots: int = 1,
    distractors: int = 1,
    junk: int = 1,
    size: tuple[int, int] = (128, 64),
) -> Path:
    """Writes JPEG files named as in Market-1501 into the benchmark's three folders, and returns `path`.

    Every training identity has `shots` images by each camera, every test identity one query and `shots`
    gallery images by each camera. The gallery also has distractors (identity 0000) and junk (-1). `size` is
    (height, width).
    """

    def write(folder: str, name: str, identity: int, camera: int, shot: int) -> None:
        (path / folder).mkdir(parents=True, exist_ok=True)
        file = path / folder / f"{name}_c{camera + 1}s1_{shot:06d}_00.jpg"
        _draw(identity, camera, shot, size).save(file, quality=95)

    for pid in train_ids:
        for camera in range(cameras):
            for shot in range(shots):
                write("bounding_box_train", f"{pid:04d}", pid, camera, shot)
    for pid in test_ids:
        for camera in range(cameras):
            write("query", f"{pid:04d}", pid, camera, shots)
            for shot in range(shots):
                write("bounding_box_test", f"{pid:04d}", pid, camera, shot)
    for n in range(distractors):
        write("bounding_box_test", "0000", 10_000 + n, n % cameras, n)
    for n in range(junk):
        write("bounding_box_test", "-1", 20_000 + n, n % cameras, n)
    return path


def _draw(identity: int, camera: int, shot: int, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(render(0, identity, camera, shot, size=size)[0])


def _cuhk03(
    boxes: str, pair: int, count: int, shots: int, one_view: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """Pair, person, image and pixels [H, W, 3] of a pair of cameras."""
    for person in range(1, count + 1):
        for view in range(1 if (pair, person) in one_view else 2):
            for shot in range(shots):
                width = 36 + (pair + 3 * person + 5 * shot) % 17
                # A machine's boxes differ from a person's.
                height = 2 * width + (9 if boxes == "detected" else 14)
                identity, camera = 1_000 * pair + person, 2 * pair + view
                pixels, _ = render(0, identity, camera, shot, size=(height, width))
                yield pair, person, _ROW * view + shot + 1, pixels


def _cuhk03_testsets(persons: Sequence[int], test_persons: int) -> list[list[tuple[int, int]]]:
    people = [(pair, n) for pair, count in enumerate(persons, 1) for n in range(1, count + 1)]
    draws = np.random.default_rng(0)
    chosen = [draws.permutation(len(people))[:test_persons] for _ in range(20)]
    return [[people[n] for n in sorted(draw)] for draw in chosen]


def _rows(boxes: str, names: Sequence[Sequence[str]]) -> list[tuple[str, int, int]]:
    """Path, new label and camera, as in torchreid's files of splits."""
    folder = f"/home/somebody/reid/cuhk03/images_{boxes}"
    return [
        (f"{folder}/{name}", label, int(name.split("_")[2]) - 1)
        for label, images in enumerate(names)
        for name in images
    ]
