"""VR-Market1501: Market-1501 with every image at a random low resolution."""

import logging
import re
from pathlib import Path

from rireid_jax.config import DATASETS
from rireid_jax.data.builders.base import Item, RecordBuilder, image_files, raw_folder
from rireid_jax.data.builders.crops import varying_resolution
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
JUNK = -1  # a bad detection of somebody; the benchmark ignores it
_PARENTS = ("", "Market-1501-v15.09.15", "market1501/Market-1501-v15.09.15")
_NAME = re.compile(r"(-1|\d+)_c(\d+)(?!\d)")
_IMAGES = {"train": 12_936, "query": 3_368, "gallery": 15_913}
_IDENTITIES = {"train": 751, "query": 750}


def parse_name(path: Path) -> tuple[int, int]:
    """Identity and 0-based camera of a file named as in Market-1501, ``0002_c1s1_000451_03.jpg``.

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


class VRMarket1501Builder(RecordBuilder):
    """Market-1501 down-sampled: every image of every split, section 5.1 of the paper.

    Junk (-1) is left out, distractors (0) stay in the gallery.
    """

    name = "vr_market1501"

    def list_items(self) -> dict[str, list[Item]]:
        self.width_max = self.recipe["max_width"]
        root = self._root()
        splits: dict[str, list[Item]] = {}
        for split, folder in FOLDERS.items():
            items = []
            for path in image_files(root / folder):
                pid, camid = parse_name(path)
                if pid != JUNK:
                    items.append(Item(f"{folder}/{path.name}", pid, camid, path))
            if not items:
                raise UserError(f"--config.data.raw_dir: found no images in {root / folder}")
            splits[split] = items
        return splits

    def make(self, item: Item) -> Record:
        return varying_resolution(item, self.recipe)

    def prepare(self) -> None:
        for split, items in self.items.items():
            identities = len({item.pid for item in items})
            if len(items) != _IMAGES[split] or identities != _IDENTITIES.get(split, identities):
                logger.warning(
                    "vr_market1501: %s has %d images of %d identities, the full benchmark has %d "
                    "images%s; results on a part of it are not comparable with published ones",
                    *(split, len(items), identities, _IMAGES[split]),
                    f" of {_IDENTITIES[split]}" if split in _IDENTITIES else "",
                )
        super().prepare()

    def _root(self) -> Path:
        given = raw_folder(self.name, self.raw_dir)
        for parent in _PARENTS:
            root = given / parent
            missing = [name for name in FOLDERS.values() if not (root / name).is_dir()]
            if not missing:
                return root
            if len(missing) < len(FOLDERS):
                break
        else:
            root, missing = given, list(FOLDERS.values())
        raise UserError(
            f"--config.data.raw_dir: {root} has no {' and no '.join(missing)}, expected "
            f"{DATASETS[self.name].raw}"
        )
