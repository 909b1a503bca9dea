"""VR-MSMT17: every image of MSMT17 (Wei et al., CVPR 2018) at a random width."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.components import ANYTHING, DATASETS, POSITIVE, Field
from rireid_jax.data.dataset import Advice, Count, Item, RawImage
from rireid_jax.data.kinds.varying import VARYING, VaryingResolution
from rireid_jax.data.layouts.base import Layout, find_root
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


class MSMT17(Layout):
    """Four lists of the images in two folders, in version 1 or 2 of the data set.

    Test identities are shifted by `TEST_PID_OFFSET`.

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

    @classmethod
    def advice(cls, path: Path, recipe: Mapping[str, Any]) -> Iterator[Advice]:
        for root in (path, path / "MSMT17_V1", path / "MSMT17_V2"):
            there = {
                version: [name for name in names if (root / name).is_dir()]
                for version, names in FOLDERS.items()
            }
            if all(there.values()):
                named = " and ".join(f"{' and '.join(there[key])} of {key}" for key in there)
                yield Advice(
                    f"{root} mixes two versions of MSMT17, {named}; keep the two folders of one "
                    "version, with its lists"
                )

    def notes(self, images: Sequence[RawImage]) -> Iterator[str]:
        faces = {"V1": "faces as they are", "V2": "faces blurred"}[self.version]
        yield f"this is version {self.version} of MSMT17 ({faces})"

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
    """Where below `raw_dir` there are images of a version, though perhaps not all of it."""
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


@DATASETS.register("vr_msmt17")
class VRMSMT17(VaryingResolution):
    """MSMT17 down-sampled; `val_in_training` says whether list_val is trained on."""

    name = "vr_msmt17"
    layout = MSMT17
    image_size = (384, 128)  # paper, section 5.2
    raw = "the folder MSMT17_V1 or MSMT17_V2 with list_train.txt and its like"
    recipe: ClassVar[Mapping[str, Field]] = {
        "min_width": Field(
            32,
            "pixels; the width is uniform in [`min_width`, `max_width`), whole numbers; paper, section 5.1",
            POSITIVE,
        ),
        "max_width": Field(
            128,
            "pixels, exclusive, or the image's own width if that is less; r = width / `max_width`",
            POSITIVE,
        ),
        "val_in_training": Field(
            True,
            "trains on list_val too, as the paper's number of images demands; most libraries leave it out",
            ANYTHING,
        ),
        **VARYING,
    }
    example = "/data/MSMT17_V1"
    page = """\
## VR-MSMT17 (`vr_msmt17`)

The paper's other own: every image of MSMT17 at a random width. Wei, Zhang, Gao and Tian, *Person Transfer GAN to
Bridge Domain Gap for Person Re-identification*, CVPR 2018. Distributed by its authors at Peking University, on
request by e-mail; libraries decline to pass it on. In version 2 faces are blurred; both versions will do, and have
different protocol hashes. The paper does not say which it used.

<!-- layout -->

<!-- recipe -->

There are no presets. Tables 1 and 2 of the paper, its ablations, are on this data set, with ResNet50 behind each
super-resolution method, and bilinear images before each extractor.

<!-- commands -->
"""

    def source(self) -> str:
        # Version 1 lies where builds of both versions did when their place did not tell them apart.
        try:
            download = self.download if self.raw_dir else None
        except UserError:  # whose build says what is wrong with the files
            return ""
        return "V2" if isinstance(download, MSMT17) and download.version == "V2" else ""

    def list_items(self) -> dict[str, list[Item]]:
        splits = super().list_items()
        if not self.values["val_in_training"]:
            val = {image.name for image in self.images if image.role == "val"}
            splits["train"] = [item for item in splits["train"] if item.name not in val]
        return splits

    def published_splits(self) -> Mapping[str, Count]:
        counts = dict(self.published)
        val = counts.pop("val").images or 0
        if self.values["val_in_training"]:
            train = counts["train"]
            counts["train"] = Count((train.images or 0) + val, train.identities)
        return counts
