"""VIPeR (Gray, Brennan and Tao, PETS 2007)."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.data.raw.base import Count, RawDataset, RawImage, find_root, image_files
from rireid_jax.errors import UserError

FOLDERS = ("cam_a", "cam_b")  # cameras 0 and 1
_NAME = re.compile(r"(\d{3})_\d{1,3}", re.ASCII)


def parse_name(path: Path) -> int:
    """Identity in a file name of VIPeR, ``000_45.bmp``; what follows is the angle in degrees.

    Raises:
      UserError: the name has another form.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise UserError(
            f"{path}: found a name of another form, expected <identity>_<angle>.bmp, such as "
            "000_45.bmp"
        )
    return int(match[1])


class VIPeR(RawDataset):
    """A folder per camera; every identity has one image in each."""

    title = "VIPeR"
    tree = """\
VIPeR/
  cam_a/000_45.bmp ...   632 images
  cam_b/000_45.bmp ...   632 images of the same identities"""
    published: ClassVar[Mapping[str, Count]] = {"": Count(1_264, 632)}
    cameras = 2
    size = (48, 128)

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        super().__init__(raw_dir, recipe)
        self.root = find_root(
            raw_dir,
            ("", "VIPeR", "viper/VIPeR", "VIPeR.v1.0", "viper"),
            FOLDERS,
            "the folder VIPeR with cam_a and cam_b",
        )

    def images(self) -> list[RawImage]:
        seen: tuple[dict[int, Path], ...] = tuple(self._camera(name) for name in FOLDERS)
        for camid, files in enumerate(seen):
            alone = files.keys() - seen[1 - camid].keys()
            if alone:
                pid = min(alone)
                raise UserError(
                    f"{files[pid]}: found no image of identity {pid:03d} in {FOLDERS[1 - camid]}, "
                    "expected one in each camera"
                )
        return [
            RawImage(f"{FOLDERS[camid]}/{path.name}", pid, camid, path)
            for camid, files in enumerate(seen)
            for pid, path in files.items()
        ]

    def _camera(self, name: str) -> dict[int, Path]:
        folder = self.root / name
        if not folder.is_dir():
            raise UserError(f"{folder}: found a file, expected a folder of images")
        files: dict[int, Path] = {}
        for path in image_files(folder):
            pid = parse_name(path)
            if pid in files:
                raise UserError(
                    f"{path}: found a second image of identity {pid:03d} beside "
                    f"{files[pid].name}, expected one in each camera"
                )
            files[pid] = path
        if not files:
            raise UserError(
                f"--config.data.raw_dir: found no images in {folder}, expected 000_45.bmp and so on"
            )
        return files
