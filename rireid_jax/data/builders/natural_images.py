"""Images of anything, for the first part of FFSR's training (section 5.2 of the paper)."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rireid_jax.data.builders.base import (
    IMAGE_SUFFIXES,
    Item,
    RecordBuilder,
    keyed_order,
    read_bytes,
)
from rireid_jax.data.dead_leaves import dead_leaves
from rireid_jax.data.keyed_random import keyed_rng
from rireid_jax.data.records import Record, decode_image, encode_png
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)


class NaturalImagesBuilder(RecordBuilder):
    """Crops of a fixed size from a folder of images, or dead leaves where there is no folder.

    The recipe has `count`, `size` (height, width) and `seed`. The only split is `train`. A record
    is its own original: it has no target, and its low-resolution twin is made as it is read. Images
    smaller than a crop are passed over, nothing is enlarged.
    """

    name = "natural_images"

    def __init__(self, recipe: Mapping[str, Any], *, raw_dir: str, **options: Any):
        # Drawn and photographed images must not share a folder.
        source = "folder" if raw_dir else "dead_leaves"
        self.threads = RecordBuilder.threads if raw_dir else 1
        super().__init__({**recipe, "source": source}, raw_dir=raw_dir, **options)

    def list_items(self) -> dict[str, list[Item]]:
        self.width_max = self.recipe["size"][1]
        if not self.raw_dir:
            indices = range(self.recipe["count"])
            return {"train": [Item(f"{index:06d}.png", 0, 0, (index,)) for index in indices]}
        raw = Path(self.raw_dir).expanduser()
        if not raw.is_dir():
            raise UserError(
                f"--config.natural_images.raw_dir: {raw} is not there, expected a folder of images"
            )
        items = list(self._choose(raw))
        if not items:
            raise UserError(
                f"--config.natural_images.raw_dir: found no images of at least "
                f"{self.recipe['size']} (height, width) in {raw}"
            )
        return {"train": items}

    def make(self, item: Item) -> Record:
        if isinstance(item.origin, Path):
            image = decode_image(read_bytes(item.origin), str(item.origin))
            pixels = self._crop(np.asarray(image), item.name)
        else:
            size = tuple(self.recipe["size"])
            pixels = dead_leaves(self.recipe["seed"], item.origin[0], size)
        return Record(
            image=encode_png(pixels),
            target=b"",
            mask=b"",
            pid=item.pid,
            camid=item.camid,
            resolution=1.0,
            name=item.name,
        )

    def _choose(self, raw: Path) -> Iterator[Item]:
        """Yields `count` images of sufficient size in an order drawn from their names."""
        paths = {
            path.relative_to(raw).as_posix(): path
            for path in raw.rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        }
        small = chosen = 0
        for name in keyed_order(self.recipe["seed"], "choose", paths):
            if chosen == self.recipe["count"]:
                break
            if self._too_small(paths[name]):
                small += 1
                continue
            chosen += 1
            yield Item(name, 0, 0, paths[name])
        if small or chosen < self.recipe["count"]:
            logger.warning(
                "natural_images: %d of the %d images asked for, %d passed over as smaller than %s",
                *(chosen, self.recipe["count"], small, self.recipe["size"]),
            )

    def _too_small(self, path: Path) -> bool:
        try:
            with Image.open(path) as image:
                return image.height < self.recipe["size"][0] or image.width < self.recipe["size"][1]
        except Exception:  # a broken file; `make` complains of it
            return False

    def _crop(self, pixels: np.ndarray, name: str) -> np.ndarray:
        height, width = self.recipe["size"]
        rng = keyed_rng(self.recipe["seed"], "crop", name)
        top = int(rng.integers(pixels.shape[0] - height + 1))
        left = int(rng.integers(pixels.shape[1] - width + 1))
        return pixels[top : top + height, left : left + width]
