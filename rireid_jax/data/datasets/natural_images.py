"""Images of anything, for the first part of FFSR's training (section 5.2 of the paper)."""

import logging
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
from PIL import Image

from rireid_jax.components import (
    AT_LEAST_ZERO,
    DATASETS,
    IMAGE_SIZE,
    POSITIVE,
    Field,
)
from rireid_jax.data.dataset import Dataset, Item
from rireid_jax.data.dead_leaves import dead_leaves
from rireid_jax.data.files import IMAGE_SUFFIXES, Ignored, file_size, read_bytes
from rireid_jax.data.keyed_random import keyed_order, keyed_rng
from rireid_jax.data.records import Record, decode_image, encode_png
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)

_CHUNK = 256  # images whose sizes are read at a time
_DRAWN_FOR_EACH, _LEAST = 10, 1000  # images


@DATASETS.register("natural_images")
class NaturalImages(Dataset):
    """Crops of a fixed size from a folder of images, or dead leaves where there is no folder.

    The only split is `train`. A record is its own original, and its low-resolution twin is made as it is
    read. Images smaller than a crop are passed over, and nothing is enlarged. At the size of ImageNet only
    names are held in memory.
    """

    name = "natural_images"
    image_size = (256, 128)
    has_identities = False
    version = "2.0.0"  # version 1 had no targets
    recipe: ClassVar[Mapping[str, Field]] = {
        "count": Field(
            20_000,
            "greatest number of images; of drawn ones, no more than some ten for each training image of the data set: "
            "1,000, 2,000, 4,000 and so on",
            POSITIVE,
            small=1500,
        ),
        "size": Field(
            (256, 128),
            "(height, width) of a crop; smaller images are passed over, nothing is enlarged",
            IMAGE_SIZE,
            small=(64, 32),
        ),
        "seed": Field(
            0, "random seed of drawing, of choosing images and of cropping them", AT_LEAST_ZERO
        ),
    }
    raw = "a folder of images, searched with its subfolders; empty draws dead leaves instead"
    page = """\
## Natural images (`natural_images`)

Not a benchmark: FFSR is pre-trained on them before it sees people (section 5.2). The paper takes ImageNet's training
images (Russakovsky et al., IJCV 2015), which are given on agreement to non-commercial research and education. DIV2K
(Agustsson and Timofte, CVPR workshops 2017) is smaller, of larger images, and for academic research only. Without a
folder, dead leaves are drawn: discs that overlap as leaves on the ground do. The options are in
`config.natural_images`; with `small`, as for `pedestrians`. So is `raw_dir`, a folder of images that is searched with
its subfolders.

<!-- recipe -->

```sh
python -m rireid_jax.main --config configs/ffsr.py:vr_market1501 --config.natural_images.raw_dir=/data/imagenet/train
```
"""

    def __init__(self, recipe: Mapping[str, Any], raw_dir: str = "", threads: int = 0):
        self.draws = not raw_dir
        self._ignored = Ignored()
        super().__init__(recipe, raw_dir, threads)

    @classmethod
    def recipe_for(cls, recipe: Mapping[str, Any], raw_dir: str, num_images: int) -> dict[str, Any]:
        # 20,000 take ten minutes to draw, too long for a few people.
        # Coarse steps, so that trials with a few images more or less train on the same ones.
        steps = math.ceil(math.log2(max(1.0, _DRAWN_FOR_EACH * num_images / _LEAST)))
        called_for = _LEAST * 2**steps
        count = recipe["count"] if raw_dir else min(recipe["count"], called_for)
        return {**recipe, "count": count}

    def hashed_recipe(self) -> dict[str, Any]:
        # Drawn and photographed images must not share a folder.
        source = "folder" if self.raw_dir else "dead_leaves"
        return super().hashed_recipe() | {"source": source}

    def list_items(self) -> dict[str, list[Item]]:
        if not self.raw_dir:
            indices = range(self.values["count"])
            return {"train": [Item(f"{index:06d}.png", 0, 0, (index,)) for index in indices]}
        if not os.path.isdir(self._raw):
            raise UserError(
                f"--config.natural_images.raw_dir: {self._raw} is not there, expected a folder of "
                "images"
            )
        names = list(self._choose())
        if not names:
            raise UserError(
                f"--config.natural_images.raw_dir: found no images of at least "
                f"{self.values['size']} (height, width) in {self._raw}, expected some"
            )
        return {"train": [Item(name, 0, 0, ()) for name in names]}

    def greatest_width(self) -> int:
        return self.values["size"][1]

    def make(self, item: Item) -> Record | None:
        size = tuple(self.values["size"])
        if isinstance(item.origin, tuple) and item.origin:
            pixels = dead_leaves(self.values["seed"], item.origin[0], size)
        else:
            path = self._raw / item.name
            whole = np.asarray(decode_image(read_bytes(path), str(path)))
            if whole.shape[0] < size[0] or whole.shape[1] < size[1]:
                return None
            pixels = self._crop(whole, item.name)
        image = encode_png(pixels)
        return Record(
            image=image,
            target=image,
            mask=b"",
            pid=item.pid,
            camid=item.camid,
            resolution=1.0,
            name=item.name,
        )

    def source(self) -> str:
        return os.path.realpath(self._raw) if self.raw_dir else ""

    def ignored(self) -> Iterator[str]:
        _ = self.items
        return self._ignored.lines()

    def raw_size(self, item: Item) -> int:
        return file_size(self._raw / item.name)

    @property
    def _raw(self) -> Path:
        return Path(os.path.expanduser(self.raw_dir))

    def _choose(self) -> Iterator[str]:
        """Yields the names of `count` images of sufficient size in an order drawn from their names.

        Where all files are asked for, their sizes are left to `make`, which has to open them anyway.
        """
        count = self.values["count"]
        names = []
        for folder, files in _walk(self._raw):
            for name in files:
                path = os.path.join(folder, name)
                if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                    names.append(os.path.relpath(path, self._raw).replace(os.sep, "/"))
                else:
                    self._ignored.count(Path(path))
        ordered = keyed_order(self.values["seed"], "choose", names)
        if count >= len(names):
            if count > len(names):
                logger.warning(
                    "natural_images: found %d of the %d images asked for", len(names), count
                )
            yield from ordered
            return
        chosen = small = 0
        for start in range(0, len(ordered), _CHUNK):
            chunk = ordered[start : start + _CHUNK]
            sizes = self.in_threads(self._too_small, chunk)
            for name, too_small in zip(chunk, sizes, strict=True):
                small += too_small
                if not too_small and chosen < count:
                    chosen += 1
                    yield name
            if chosen == count:
                break
        if chosen < count:
            logger.warning(
                "natural_images: %d of the %d images asked for, %d passed over as smaller than %s",
                *(chosen, count, small, self.values["size"]),
            )

    def _too_small(self, name: str) -> bool:
        try:
            with Image.open(self._raw / name) as image:
                return image.height < self.values["size"][0] or image.width < self.values["size"][1]
        except Exception:  # a broken file; `make` complains of it
            return False

    def _crop(self, pixels: np.ndarray, name: str) -> np.ndarray:
        height, width = self.values["size"]
        rng = keyed_rng(self.values["seed"], "crop", name)
        top = int(rng.integers(pixels.shape[0] - height + 1))
        left = int(rng.integers(pixels.shape[1] - width + 1))
        return pixels[top : top + height, left : left + width]


def _walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders and the files in them, also behind links.

    Raises:
      UserError: a folder cannot be read, or a link leads round in a circle.
    """

    def refuse(error: OSError) -> NoReturn:
        raise UserError(f"{error.filename}: {error.strerror}, expected a readable folder")

    for folder, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        for path in filter(os.path.islink, (os.path.join(folder, name) for name in folders)):
            target = os.path.realpath(path)
            if Path(os.path.realpath(folder)).is_relative_to(target):
                raise UserError(
                    f"{path}: found a link to {target}, which it lies in, expected every image once"
                )
        yield folder, files
