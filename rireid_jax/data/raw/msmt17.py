"""MSMT17 (Wei et al., CVPR 2018)."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.data.raw.base import Count, RawDataset, RawImage, find_root
from rireid_jax.errors import UserError

# In version 2 faces are blurred; lists and names of files are those of version 1.
FOLDERS = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}
LISTS = {
    "train": "list_train.txt",
    "val": "list_val.txt",
    "query": "list_query.txt",
    "gallery": "list_gallery.txt",
}
# Test identities are numbered from 0 again. A number beyond four digits keeps them apart from the
# training identities whichever lists those are taken from.
TEST_PID_OFFSET = 10_000
_PARENTS = ("", "MSMT17_{0}", "msmt17/MSMT17_{0}", "MSMT17_{0}/MSMT17_{0}", "MSMT17", "msmt17")
_NAME = re.compile(r"(\d{4})/(\d{4})_\d+_(\d{2})_[^/]+\.jpe?g", re.IGNORECASE | re.ASCII)


class MSMT17(RawDataset):
    """Four lists of the images in two folders, in version 1 or 2 of the data set.

    Test identities are shifted by ``TEST_PID_OFFSET``.

    Attributes:
      version: "V1" or "V2".
    """

    title = "MSMT17"
    tree = """\
MSMT17_V1/  (or MSMT17_V2/, with mask_train_v2 and mask_test_v2)
  train/0000/0000_000_01_0303morning_0008_0.jpg ...   32,621 images
  test/0000/0000_000_01_0303morning_0015_0.jpg ...    93,820 images
  list_train.txt    30,248 lines such as 0000/0000_000_01_0303morning_0008_0.jpg 0
  list_val.txt       2,373
  list_query.txt    11,659
  list_gallery.txt  82,161"""
    published: ClassVar[Mapping[str, Count]] = {
        "train": Count(30_248, 1_041),
        "val": Count(2_373),
        "query": Count(11_659, 3_060),
        "gallery": Count(82_161, 3_060),
    }
    cameras = 15

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        super().__init__(raw_dir, recipe)
        there = [version for version in FOLDERS if _roots(raw_dir, version)]
        if len(there) > 1:
            raise UserError(
                f"--config.data.raw_dir: found {_roots(raw_dir, 'V1')[0]} and "
                f"{_roots(raw_dir, 'V2')[0]}, expected the folder of one version of MSMT17"
            )
        self.version = there[0] if there else "V1"
        self.train, self.test = FOLDERS[self.version]
        self.root = find_root(
            raw_dir,
            [parent.format(self.version) for parent in _PARENTS],
            (self.train, self.test, *LISTS.values()),
            "the folder MSMT17_V1 with train, test and four lists, or MSMT17_V2 with mask_train_v2, "
            "mask_test_v2 and four lists",
        )

    def sources(self) -> list[Path]:
        return [self.root / name for name in LISTS.values()]

    def images(self) -> list[RawImage]:
        found: dict[str, RawImage] = {}
        places: dict[str, str] = {}  # where an image is listed, for errors
        for role, list_name in LISTS.items():
            before = len(found)
            for place, path, label in _read_list(self.root / list_name):
                image = self._image(place, path, label, role)
                if image.name in places:
                    raise UserError(
                        f"{place}: found {path} again after {places[image.name]}, expected each "
                        "image once"
                    )
                found[image.name] = image
                places[image.name] = place
            if len(found) == before:
                raise UserError(
                    f"{self.root / list_name}: found no images, expected a list of them"
                )
        # To list 4,101 folders is much faster than to look for 126,441 files.
        on_disk: dict[str, frozenset[str]] = {}
        for name, place in places.items():
            folder, file = name.rsplit("/", 1)
            if folder not in on_disk:
                on_disk[folder] = _file_names(self.root / folder)
            if file not in on_disk[folder]:
                raise UserError(f"{place}: {self.root / name} is not there, expected an image")
        return list(found.values())

    def _image(self, place: str, path: str, label: str, role: str) -> RawImage:
        """The image of one line of a list."""
        match = _NAME.fullmatch(path)
        if match is None or int(match[3]) == 0:
            raise UserError(
                f"{place}: found {path}, expected <identity>/<identity>_<image>_<camera>_..., such "
                "as 0000/0000_000_01_0303morning_0008_0.jpg"
            )
        pid = int(match[1])
        if match[1] != match[2] or not label.isdecimal() or int(label) != pid:
            raise UserError(
                f"{place}: found {path} {label}, expected the same identity as folder, in the file "
                "name and as label"
            )
        if role in ("train", "val"):
            name = f"{self.train}/{path}"
        else:
            name, pid = f"{self.test}/{path}", pid + TEST_PID_OFFSET
        return RawImage(name, pid, int(match[3]) - 1, self.root / name, role)


def _roots(raw_dir: Path, version: str) -> list[Path]:
    """Where below ``raw_dir`` there are images of a version, though perhaps not all of it."""
    roots = (raw_dir / parent.format(version) for parent in _PARENTS)
    return [root for root in roots if any((root / name).exists() for name in FOLDERS[version])]


def _read_list(path: Path) -> Iterator[tuple[str, str, str]]:
    """The lines of a list: where it stands (for errors), path of the image, label."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # line ends of Windows are read as ours
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}, expected a list of images in UTF-8") from error
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if not fields:
            continue
        place = f"{path}, line {number}"
        if len(fields) != 2:
            raise UserError(
                f"{place}: found {line!r}, expected an image and its label, such as "
                "0000/0000_000_01_0303morning_0008_0.jpg 0"
            )
        yield place, fields[0], fields[1]


def _file_names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()  # so its images are not there
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}, expected a readable folder") from error
