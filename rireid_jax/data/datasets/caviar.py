"""CAVIAR4REID (Cheng et al., BMVC 2011): two cameras of a shopping centre, one of them low by nature."""

import functools
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.components import AT_LEAST_ZERO, DATASETS, POSITIVE, Field, one_of
from rireid_jax.data.dataset import Count, Item, RawImage, Splits
from rireid_jax.data.files import Ignored, image_files
from rireid_jax.data.keyed_random import keyed_order
from rireid_jax.data.kinds.crops import as_it_is
from rireid_jax.data.kinds.low_camera import ONE_CAMERA_LOW, low_camera_check
from rireid_jax.data.kinds.trials import SCORING, TRIALS, TrialBenchmark
from rireid_jax.data.layouts.base import Layout
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)

_PARENTS = ("", "CAVIARa", "CAVIAR4REID/CAVIARa", "CAVIAR4REID", "CAVIAR", "caviar4reid", "caviar")
_EXPECTED = "the folder CAVIARa with images such as 0001001.jpg"
_SHOTS = 10  # most images of an identity by one camera; the second camera's numbers follow
_NAME = re.compile(r"(\d{4})(\d{3})", re.ASCII)


def parse_name(path: Path) -> tuple[int, int]:
    """Identity and 0-based camera in a file name of CAVIAR4REID, `0001001.jpg`.

    Images 1 to 10 of an identity are by camera 0, images 11 to 20 by camera 1.

    Raises:
      UserError: the name has another form, or another number of the image.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise UserError(
            f"{path}: found a name of another form, expected 4 digits of the identity and 3 of "
            "the image, such as 0001001.jpg"
        )
    number = int(match[2])
    if not 1 <= number <= 2 * _SHOTS:
        raise UserError(
            f"{path}: found image number {match[2]}, expected 001 to 010 of one camera or 011 to "
            "020 of the other"
        )
    return int(match[1]), (number - 1) // _SHOTS


class CAVIAR4REID(Layout):
    """One folder. 50 of the identities are seen by both cameras; the others are kept as well."""

    title = "CAVIAR4REID"
    tree = """\
CAVIARa/
  0001001.jpg ...   1,220 images: 4 digits of the identity, 3 of the image;
                    001 to 010 by one camera, 011 to 020 by the other"""
    published: ClassVar[Mapping[str, Count]] = {"": Count(1_220, 72)}
    cameras = 2
    before_both = 50  # identities

    def __init__(self, raw_dir: Path, recipe: Mapping[str, Any]):
        super().__init__(raw_dir, recipe)
        for parent in _PARENTS:
            self.root = raw_dir / parent
            if self.root.is_dir() and image_files(self.root):
                return
        raise UserError(
            f"--config.data.raw_dir: found no images in {raw_dir}, expected {_EXPECTED}"
        )

    def images(self) -> list[RawImage]:
        self.ignored = Ignored()
        found: dict[str, RawImage] = {}
        for path in image_files(self.root, self.ignored):
            pid, camid = parse_name(path)
            if path.stem in found:
                raise UserError(
                    f"{path}: found the same number as in {found[path.stem].name}, expected each "
                    "image once"
                )
            found[path.stem] = RawImage(path.name, pid, camid, path)
        return list(found.values())

    def mismatches(self, images: Sequence[RawImage]) -> Iterator[str]:
        yield from super().mismatches(images)
        seen = [{image.pid for image in images if image.camid == camid} for camid in (0, 1)]
        both = len(seen[0] & seen[1])
        if both != self.before_both:
            yield (
                f"found {both} identities before both cameras, the full {self.title} has "
                f"{self.before_both}"
            )


@DATASETS.register("caviar")
class Caviar(TrialBenchmark):
    """Nothing is down-sampled: low images have no original, high images are their own.

    Only the identities that both cameras see are in the benchmark (section 5.1 of the paper).
    """

    name = "caviar"
    layout = CAVIAR4REID
    image_size = (384, 128)
    protocol = "single_shot"
    raw = "the folder CAVIAR4REID with images such as 0001001.jpg"
    trials = 10
    num_identities = CAVIAR4REID.before_both
    degrade = 0.5  # low images have no original, so pairs come from the high ones
    recipe: ClassVar[Mapping[str, Field]] = {
        "low_camera": Field(
            "narrower",
            "0 or 1, or `narrower`: the camera whose images are narrower on average, since file names do not "
            "say which is low",
            low_camera_check("narrower"),
        ),
        "query": Field(
            "low",
            "the queries are the `low` camera's images, as in the paper, or the `high` one's",
            one_of("low", "high"),
        ),
        "queries_per_identity": Field(
            0, "images drawn of each identity; 0: all of them", AT_LEAST_ZERO
        ),
        "gallery": Field(
            "other",
            "images by the `other` camera, or `all` test images but the queries",
            one_of("other", "all"),
        ),
        "train_identities": Field(
            25,
            "of those that both cameras see; half, as in later code; the paper does not say",
            POSITIVE,
        ),
        **SCORING,
        **TRIALS,
        "seed": ONE_CAMERA_LOW["seed"],
    }
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "di_reid": dict(protocol="cuhk03", repeats=100),
        "vpfa": dict(
            low_camera="1",
            query="high",
            queries_per_identity=1,
            gallery="all",
            protocol="market",
        ),
    }
    example = "/data/CAVIARa"
    page = """\
## CAVIAR (`caviar`)

The one benchmark whose low resolution is real: two cameras of a shopping centre, one of them far away. Cheng,
Cristani, Stoppa, Bazzani and Murino, *Custom Pictorial Structures for Re-identification*, BMVC 2011, cut it from the
videos of the CAVIAR project and call it CAVIAR4REID. Distributed by its authors; their page was reported dead in
2022. Terms: not stated where we looked.

<!-- layout -->

50 of the identities are seen by both cameras, and only they count. The paper does not say which of them are for
training; half and half, in ten random trials, is what later code does. Nothing is down-sampled: low images have no
high original, so FFSR learns from the high ones, which are degraded on the fly.

<!-- recipe -->

- `caviar/di_reid`: a gallery for each query, a hundred times, as in the code of DIL. Its trials come as files,
  which `trial_source` reads; without them, ours have other people.
- `caviar/vpfa`: as in the code of VPFA (arXiv 2510.00936), one random image of the first ten of each identity is the
  query and all the rest are the gallery. That code calls those ten the high camera's, so **high queries meet low
  images**, the reverse of the paper. Its trials have other seeds than ours.

<!-- commands -->
"""

    def list_items(self) -> dict[str, list[Item]]:
        recipe = self.values
        both = self.identities()
        if len(both) < 2:
            raise UserError(
                f"--config.data.raw_dir: found {len(both)} identities before both cameras in "
                f"{self.raw_dir}, expected at least 2, one to train on and one to test on"
            )
        low = self._low_camera()
        train, test = self.trial()
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
            # The key is older than the word trial, and decides which images are queries.
            order = keyed_order(recipe["seed"], f"query{recipe['trial']}", by_name)
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
        return as_it_is(item, self.read(item.origin), self.width_max, original=item.ratio == 1)

    def greatest_width(self) -> int:
        return max(width for widths in self._widths for width in widths)

    @functools.cached_property
    def _widths(self) -> tuple[list[int], list[int]]:
        """Widths in pixels of the images by either camera."""
        both = self.identities()
        images = [image for image in self.images if image.pid in both]
        found: tuple[list[int], list[int]] = ([], [])
        widths = self.in_threads(self.download.width, (image.origin for image in images))
        for image, width in zip(images, widths, strict=True):
            found[image.camid].append(width)
        return found

    def _low_camera(self) -> int:
        """0 or 1; by default the camera whose images are narrower on average."""
        camera = self.values["low_camera"]
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

    def width_groups(self, splits: Splits) -> Mapping[str, Sequence[RawImage]]:
        low = {item.camid for items in splits.values() for item in items if not item.ratio}
        groups = {}
        for camera in (0, 1):
            kind = (" (low)" if camera in low else " (high)") if low else ""
            groups[f"camera {camera}{kind}"] = [i for i in self.images if i.camid == camera]
        return groups
