"""Market-1501 (Zheng et al., ICCV 2015)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.data.dataset import Count, RawImage
from rireid_jax.data.files import Ignored, image_files
from rireid_jax.data.layouts.base import Layout, check_divided, find_root
from rireid_jax.errors import UserError

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
JUNK = -1  # a bad detection of somebody, which the benchmark ignores
DISTRACTOR = 0  # a detection of nobody, or of somebody who is no query, which stays in the gallery
_NAME = re.compile(r"(-1|\d{1,9})_c(\d{1,9})(?!\d)", re.ASCII)  # records have 32 bits for each


def parse_name(path: Path) -> tuple[int, int]:
    """Identity and 0-based camera of a file named as in Market-1501, `0002_c1s1_000451_03.jpg`.

    Raises:
      UserError: the name has another form.
    """
    match = _NAME.match(path.name)
    if match is None or int(match[2]) == 0:
        raise UserError(
            f"{path}: found a name of another form, expected <identity>_c<camera>..., such as "
            "0002_c1s1_000451_03.jpg"
        )
    return int(match[1]), int(match[2]) - 1


class Market1501(Layout):
    """Three folders of JPEG files. Junk (-1) is left out, distractors (0) stay in the gallery."""

    title = "Market-1501"
    tree = """\
Market-1501-v15.09.15/
  bounding_box_train/0002_c1s1_000451_03.jpg ...   12,936 images
  query/0001_c1s1_001051_00.jpg ...                 3,368 images
  bounding_box_test/0001_c1s1_001051_03.jpg ...    15,913 images, and junk named -1_..."""
    published: ClassVar = {
        "train": Count(12_936, 751),
        "query": Count(3_368, 750),
        "gallery": Count(15_913),
    }
    cameras = 6
    size = (64, 128)

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        super().__init__(raw_dir, recipe)
        self.root = find_root(
            raw_dir,
            ("", "Market-1501-v15.09.15", "market1501/Market-1501-v15.09.15"),
            tuple(FOLDERS.values()),
            "the folder Market-1501-v15.09.15 with bounding_box_train, query and bounding_box_test",
        )

    def images(self) -> list[RawImage]:
        self.ignored = Ignored()
        found: list[RawImage] = []
        for role, folder in FOLDERS.items():
            stems: dict[str, str] = {}
            for path in image_files(self.root / folder, self.ignored):
                pid, camid = parse_name(path)
                if pid == JUNK:
                    self.ignored.junk += 1
                    continue
                if path.stem in stems:
                    raise UserError(
                        f"{path}: found the same name as {stems[path.stem]}, expected each image "
                        "once"
                    )
                if pid == DISTRACTOR and role != "gallery":
                    raise UserError(
                        f"{path}: found a distractor (identity 0) in {folder}, expected it in "
                        f"{FOLDERS['gallery']}"
                    )
                stems[path.stem] = path.name
                found.append(RawImage(f"{folder}/{path.name}", pid, camid, path, role))
            if not stems:
                raise UserError(
                    f"--config.data.raw_dir: found no images in {self.root / folder}, expected "
                    "0002_c1s1_000451_03.jpg and so on"
                )
        check_divided((image.role, image.pid, self.root / image.name) for image in found)
        return found

    def notes(self, images: Sequence[RawImage]) -> Iterator[str]:
        if "_f" in images[0].name:
            yield "the names are those of DukeMTMC-reID, which has the same folders, not Market-1501's"
