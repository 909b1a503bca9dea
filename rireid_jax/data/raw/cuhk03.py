"""CUHK03 (Li et al., CVPR 2014), from its MATLAB file or from images extracted of it."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from rireid_jax.data.raw.base import Count, Origin, RawDataset, RawImage, image_files, read_bytes
from rireid_jax.data.raw.cuhk03_mat import SHOTS, SPLITS, CUHK03Mat
from rireid_jax.data.records import decode_image, encode_png
from rireid_jax.errors import UserError

_MAT = "cuhk-03.mat"
_PARENTS = ("", "cuhk03_release", "cuhk03/cuhk03_release", "cuhk03")
_NAME = re.compile(r"([1-5])_(\d{3})_([12])_(0[1-9]|10)\.png", re.ASCII)


def person_pid(pair: int, person: int) -> int:
    """The identity of a person, who is numbered from 1 within a pair of cameras."""
    return 10_000 * pair + person


def parse_name(name: str, place: str) -> tuple[int, int, int]:
    """Pair, person and image, each from 1, in a name such as ``1_001_1_01.png``.

    Args:
      name: of a file.
      place: where the name stands, for the error.

    Raises:
      UserError: the name has another form, or the view is not the image's.
    """
    match = _NAME.fullmatch(name)
    if match is None or int(match[3]) != _camid(int(match[4])) + 1:
        raise UserError(
            f"{place}: found a name of another form, expected <pair>_<person>_<view>_<image>.png "
            "with view 1 for images 01 to 05 and view 2 for 06 to 10, such as 1_001_1_01.png"
        )
    return int(match[1]), int(match[2]), int(match[4])


def _camid(image: int) -> int:
    return (image - 1) // (SHOTS // 2)


def _raw_image(pair: int, person: int, image: int, origin: Origin) -> RawImage:
    camid = _camid(image)
    name = f"{pair}_{person:03d}_{camid + 1}_{image:02d}.png"
    return RawImage(name, person_pid(pair, person), camid, origin)


class CUHK03(RawDataset):
    """Five pairs of cameras, with up to five images of a person by each camera.

    ``recipe["boxes"]`` says whose boxes the images are: "detected" by a machine, or "labeled" by
    hand. Names, identities, cameras, encoded images and splits are the same whether they come from
    cuhk-03.mat or from the PNG files that torchreid extracts of it. Where both are there,
    cuhk-03.mat is read.
    """

    title = "CUHK03"
    tree = """\
cuhk03_release/
  cuhk-03.mat                        1,467 identities, 14,097 detected or 14,096 labeled images
or, as torchreid extracts them,
cuhk03/
  images_detected/1_001_1_01.png ... or images_labeled
  splits_classic_detected.json       or splits_classic_labeled.json"""
    cameras = 2  # views; which pair of cameras they are is not told apart

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        super().__init__(raw_dir, recipe)
        self.boxes: str = recipe["boxes"]
        folder = f"images_{self.boxes}"
        mats = [raw_dir, *(raw_dir / parent / _MAT for parent in _PARENTS)]
        folders = [raw_dir / parent / folder for parent in _PARENTS]
        if raw_dir.name == folder:
            folders.append(raw_dir)
        self._mat = next((CUHK03Mat(path) for path in mats if path.is_file()), None)
        self._folder = next((path for path in folders if path.is_dir()), None)
        place = self._folder if self._mat is None else self._mat.path
        if place is None:
            raise UserError(
                f"--config.data.raw_dir: {raw_dir} has no {_MAT} and no {folder}, expected the "
                "folder cuhk03_release, or cuhk03 with the images that torchreid extracts"
            )
        self.root = place.parent

    @property
    def published(self) -> Mapping[str, Count]:  # type: ignore[override]
        return {"": Count(14_097 if self.boxes == "detected" else 14_096, 1_467)}

    def sources(self) -> Sequence[Path]:
        if self._mat is not None:
            return [self._mat.path]
        return [self._splits_file] if self._splits_file.is_file() else []

    def images(self) -> list[RawImage]:
        if self._mat is not None:
            places = self._mat.list_images(self.boxes)
            found = [_raw_image(*place, origin=place) for place in places]
        else:
            assert self._folder is not None
            files = image_files(self._folder)
            found = [_raw_image(*parse_name(path.name, str(path)), origin=path) for path in files]
        if not found:
            raise UserError(
                f"--config.data.raw_dir: found no {self.boxes} images in "
                f"{self._folder if self._mat is None else self._mat.path}, expected 1_001_1_01.png "
                "and so on"
            )
        return found

    def official_splits(self) -> list[Collection[int]]:
        if self._mat is not None:
            testsets = self._mat.testsets(self.boxes)
            return [{person_pid(*person) for person in testset} for testset in testsets]
        path = self._splits_file
        if not path.is_file():
            raise UserError(
                f"config.data.recipe.split_source: found 'official', but neither {_MAT} nor {path} "
                "is there, expected one of them, or split_source='random' or a split file"
            )
        try:
            # The paths are of the machine that extracted the images, perhaps of Windows.
            tests = [
                {PureWindowsPath(row[0]).name for row in (*split["query"], *split["gallery"])}
                for split in json.loads(path.read_bytes())
            ]
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path}: found {type(error).__name__}: {error}, expected the {SPLITS} splits of "
                "images that torchreid writes"
            ) from error
        if len(tests) != SPLITS:
            raise UserError(f"{path}: found {len(tests)} splits, expected {SPLITS}")
        known = {image.pid for image in self.images()}
        splits: list[Collection[int]] = []
        for names in tests:
            pids = {person_pid(*parse_name(name, f"{path}, {name}")[:2]): name for name in names}
            for pid in sorted(pids.keys() - known):
                raise UserError(
                    f"{path}: found {pids[pid]}, a person who is not in {self._folder}, expected "
                    "the splits of its images"
                )
            splits.append(pids.keys())
        return splits

    @property
    def _splits_file(self) -> Path:
        assert self._folder is not None
        return self._folder.parent / f"splits_classic_{self.boxes}.json"

    def read(self, origin: Origin) -> bytes:
        if isinstance(origin, Path):
            # By way of an array, as a PNG file's colour profile would be written again.
            return encode_png(np.asarray(decode_image(read_bytes(origin), str(origin))))
        assert self._mat is not None
        return encode_png(self._mat.read(self.boxes, *origin))

    def close(self) -> None:
        if self._mat is not None:
            self._mat.close()

    def width(self, origin: Origin) -> int:
        if isinstance(origin, Path):
            return super().width(origin)
        assert self._mat is not None
        return self._mat.width(self.boxes, *origin)
