"""CAVIAR4REID: two cameras of a shopping centre, one of them of low resolution by nature."""

import functools
import logging

from rireid_jax.data.build.benchmark import DividedBuilder
from rireid_jax.data.build.crops import as_it_is
from rireid_jax.data.build.shards import Item
from rireid_jax.data.keyed_random import keyed_order
from rireid_jax.data.raw.base import RawImage
from rireid_jax.data.raw.caviar import CAVIAR4REID
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)


class CAVIARBuilder(DividedBuilder):
    """Nothing is down-sampled: low images have no original, high images are their own.

    Only the identities that both cameras see are in the benchmark (section 5.1 of the paper).
    """

    name = "caviar"
    raw_class = CAVIAR4REID

    def list_items(self) -> dict[str, list[Item]]:
        recipe = self.recipe
        both = self.identities()
        if len(both) < 2:
            raise UserError(
                f"--config.data.raw_dir: found {len(both)} identities before both cameras in "
                f"{self.raw_dir}, expected at least 2, one to train on and one to test on"
            )
        low = self._low_camera()
        train, test = self.division()
        query_camera = low if recipe["query"] == "low" else 1 - low
        splits: dict[str, list[Item]] = {"train": [], "query": [], "gallery": []}
        candidates: dict[int, list[RawImage]] = {}
        for image in self.images:
            if image.pid in test and image.camid == query_camera:
                candidates.setdefault(image.pid, []).append(image)
            elif image.pid in test:
                splits["gallery"].append(self._item(image, low))
            elif image.pid in train:
                splits["train"].append(self._item(image, low))
        for group in candidates.values():
            by_name = {image.name: image for image in group}
            order = keyed_order(recipe["seed"], f"query{recipe['split']}", by_name)
            count = recipe["queries_per_identity"] or len(order)
            splits["query"] += [self._item(by_name[name], low) for name in order[:count]]
            if recipe["gallery"] == "all":
                splits["gallery"] += [self._item(by_name[name], low) for name in order[count:]]
        return splits

    def identities(self) -> set[int]:
        cameras: dict[int, set[int]] = {}
        for image in self.images:
            cameras.setdefault(image.pid, set()).add(image.camid)
        return {pid for pid, seen in cameras.items() if len(seen) > 1}

    def make(self, item: Item) -> Record:
        return as_it_is(item, self.raw.read(item.origin), self.width_max, original=item.ratio == 1)

    def greatest_width(self) -> int:
        return max(width for widths in self._widths for width in widths)

    @functools.cached_property
    def _widths(self) -> tuple[list[int], list[int]]:
        """Of the images by either camera, in pixels."""
        both = self.identities()
        images = [image for image in self.images if image.pid in both]
        found: tuple[list[int], list[int]] = ([], [])
        widths = self.in_threads(self.raw.width, (image.origin for image in images))
        for image, width in zip(images, widths, strict=True):
            found[image.camid].append(width)
        return found

    def _low_camera(self) -> int:
        """0 or 1; by default the camera whose images are narrower on average."""
        camera = self.recipe["low_camera"]
        if camera == "narrower":
            means = [sum(widths) / len(widths) for widths in self._widths]
            logger.info("caviar: images are %.0f and %.0f pixels wide on average", *means)
            return int(means[1] < means[0])
        if camera not in ("0", "1"):
            raise UserError(
                f"config.data.recipe.low_camera: found {camera!r}, expected 0 or 1, CAVIAR4REID's "
                "two cameras, or 'narrower'"
            )
        return int(camera)

    @staticmethod
    def _item(image: RawImage, low: int) -> Item:
        ratio = 0 if image.camid == low else 1
        return Item(image.name, image.pid, image.camid, image.origin, ratio)
