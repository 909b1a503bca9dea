"""A user's own crops as a data set."""

import functools
import os
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.components import ANYTHING, DATASETS, POSITIVE, Check, Field
from rireid_jax.data.dataset import Dataset, Item, RawImage
from rireid_jax.data.files import counted, existing_path, image_width, read_bytes
from rireid_jax.data.keyed_random import keyed_order
from rireid_jax.data.kinds.crops import as_it_is, varying_resolution
from rireid_jax.data.kinds.varying import varying_fields, width_problems
from rireid_jax.data.layouts.crop_list import SPLITS
from rireid_jax.data.layouts.crop_sets import SUFFIX, find_crop_sets
from rireid_jax.data.layouts.crops import TREE, Crops, find_crops
from rireid_jax.data.layouts.labels import Crop
from rireid_jax.data.layouts.market1501 import DISTRACTOR
from rireid_jax.data.records import FORMAT_VERSION, Record
from rireid_jax.errors import UserError


@DATASETS.register("folder")
class Folder(Dataset):
    """Crops in any of the layouts of `find_crops`.

    If the crops come without train, query and gallery, `test_fraction` of the identities
    are for testing; one image a camera of each of these is a query, as long as the gallery keeps an image
    from another camera.

    If they come without cameras, queries count as taken by camera 0 and gallery images by camera 1, since
    evaluation passes over gallery images of the query's own camera, which would be all of them. For the same reason
    every training image of a person counts as taken by a camera of its own: some may be held out for validation.

    Images are stored as they are, and r is their width divided by the greatest width in the data set;
    with `degrade`, they are down-sampled as in the VR benchmarks. Without it no image has a higher original, so those
    at least as wide as the median count as their own, and training degrades half of them on the fly.
    """

    name = "folder"
    image_size = (256, 128)
    version = f"{FORMAT_VERSION + 1}.0.0"  # of version 1, two folders of the same names had one protocol hash
    hashes_images = True
    distractor = DISTRACTOR
    degrade = 0.5  # crops have no original, so pairs come from the wider half
    raw = "a folder per identity, file names as in Market-1501, or a CSV file path,id[,camera[,split]]"
    recipe: ClassVar[Mapping[str, Field]] = {
        "degrade": Field(
            False,
            "`True` down-samples every image as in the VR benchmarks; your images are as they are",
            ANYTHING,
        ),
        "min_width": Field(
            8,
            "pixels, where `degrade`; the width is uniform in [`min_width`, `max_width`)",
            POSITIVE,
        ),
        "max_width": Field(32, "pixels, exclusive, where `degrade`", POSITIVE),
        "test_fraction": Field(
            0.5,
            "of the identities, where the folder is not divided; the rest are for training",
            Check(lambda value: 0 < value < 1, "a number in (0, 1)"),
        ),
        **varying_fields(
            "of the height, where `degrade`", "of the widths, and of who is for testing"
        ),
    }
    example = "/my/crops"
    page = """\
## Your own crops (`folder`)

Nothing to download, no published figures. Accepted are, with or without folders `train`, `query` and `gallery` on
top:

```
<identity>/<image>  or  <identity>/<camera>/<image>     a camera may also be in the name, as _c<number>
0002_c1s1_000451_03.jpg                                 names as in Market-1501
crops.csv                                               rows path,id[,camera[,split]], or any order under a header
sets.txt                                                a line for each of several such folders or CSV files
```

With a text file, all its sets are trained on at once. People and cameras of two sets are never the same; where one set
is divided into train, query and gallery, as Market-1501 is, the others are for training.

Without folders or a column for train, query and gallery, identities are divided at random, and one image a camera of
each test identity is a query. Without cameras, queries count as camera 0 and the gallery as camera 1, so that nothing
is passed over.

As in Market-1501, identity `-1` is junk, which is left out, and `0000` is nobody, who stays in the gallery. Every
suffix that decodes is taken; files with other suffixes are counted and named, by the build and by the doctor. Folders
that are named as cameras or splits where identities should be are refused. Builds of several folders lie next to each
other, and their protocol hashes cover the images themselves, since version 2 of the built data; those of version 1
covered names and sizes alone.

<!-- recipe -->

<!-- commands -->
"""

    @classmethod
    def problems(cls, recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from width_problems(recipe, "max_width")

    @classmethod
    def idle_fields(cls, recipe: Mapping[str, Any]) -> set[str]:
        making = {"min_width", "max_width", "kernel", "rounding"}
        return super().idle_fields(recipe) | (set() if recipe["degrade"] else making)

    def source(self) -> str:
        return os.path.realpath(os.path.expanduser(self.raw_dir)) if self.raw_dir else ""

    @functools.cached_property
    def _found(self) -> Crops:
        path = existing_path(self.raw_dir, self.raw)
        return find_crop_sets(path) if path.suffix.lower() == SUFFIX else find_crops(path)

    @property
    def crops(self) -> Sequence[Crop]:
        """All crops as the user labelled them."""
        return self._found.crops

    def ignored(self) -> Iterator[str]:
        return self._found.ignored.lines()

    def list_items(self) -> dict[str, list[Item]]:
        crops = self.crops
        if crops[0].split is None:
            crops = list(_split(crops, self.values["test_fraction"], self.values["seed"]))
        splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
        shots: Counter[int] = Counter()  # of people in training
        for crop in sorted(crops, key=lambda crop: crop.name):
            assert crop.split is not None
            camid = int(crop.split == "gallery") if crop.camid is None else crop.camid
            if crop.camid is None and crop.split == "train":
                camid = shots[crop.pid]
                shots[crop.pid] += 1
            splits[crop.split].append(Item(crop.name, crop.pid, camid, crop.path))
        for split, items in splits.items():
            if not items:
                raise UserError(
                    f"--config.data.raw_dir: found no images for {split} in {self.raw_dir}, "
                    "expected some for train, query and gallery; a query needs another image of its identity"
                    f"{', by another camera' if self.has_cameras else ''}"
                )
        return splits

    def greatest_width(self) -> int:
        if self.values["degrade"]:
            return self.values["max_width"]
        return max(self._widths)

    @functools.cached_property
    def _widths(self) -> list[int]:
        """Widths of all crops in pixels."""
        return list(self.in_threads(image_width, (crop.path for crop in self.crops)))

    @functools.cached_property
    def _original_width(self) -> int:
        """Pixels; a crop this wide counts as its own high-resolution original. Never less than half of them do."""
        return statistics.median_low(self._widths)

    def make(self, item: Item) -> Record:
        assert isinstance(item.origin, Path)
        data = read_bytes(item.origin)
        if self.values["degrade"]:
            return varying_resolution(item, data, self.values)
        record = as_it_is(item, data, self.width_max, original=True)
        if round(record.resolution * self.width_max) < self._original_width:
            return replace(record, target=b"")
        return record

    def raw_images(self) -> Sequence[RawImage]:
        return [
            RawImage(crop.name, crop.pid, crop.camid or 0, crop.path, crop.split or "")
            for crop in self.crops
        ]

    @property
    def has_cameras(self) -> bool:
        return self.crops[0].camid is not None

    def made_from(self) -> str:
        return "your own crops"

    def expected_files(self) -> str:
        return TREE

    def notes(self) -> Iterator[str]:
        if self.crops[0].camid is None:
            yield "no cameras are named: queries count as camera 0, gallery images as camera 1"
        if self.crops[0].split is None:
            fraction = self.values["test_fraction"]
            yield f"not divided by you: {fraction:.0%} of the identities are drawn for testing"


def _split(crops: Sequence[Crop], test_fraction: float, seed: int) -> Iterator[Crop]:
    """Divides crops into train, query and gallery, by identity."""
    people = keyed_order(seed, "test", {str(crop.pid) for crop in crops} - {str(DISTRACTOR)})
    if len(people) < 3:
        raise UserError(
            f"--config.data.raw_dir: found {counted(len(people), 'identity')} and no split, expected at "
            "least 3, two to train on and one to test on"
        )
    number = min(max(1, round(len(people) * test_fraction)), len(people) - 2)
    test = set(people[:number])
    rank = {name: n for n, name in enumerate(keyed_order(seed, "query", (c.name for c in crops)))}
    groups: dict[int, list[Crop]] = {}
    for crop in sorted(crops, key=lambda crop: rank[crop.name]):
        groups.setdefault(crop.pid, []).append(crop)
    for pid, group in groups.items():
        if str(pid) in test:
            queries = _queries(group)
            for crop in group:
                yield replace(crop, split="query" if crop.name in queries else "gallery")
        else:
            split = "gallery" if pid == DISTRACTOR else "train"
            yield from (replace(crop, split=split) for crop in group)


def _queries(group: Sequence[Crop]) -> set[str]:
    """Names of one image a camera, such that each finds another camera's image in the rest."""
    if group[0].camid is None:
        return {group[0].name} if len(group) > 1 else set()
    left = Counter(crop.camid for crop in group)
    chosen: dict[int | None, str] = {}
    for crop in group:
        if crop.camid in chosen:
            continue
        left[crop.camid] -= 1
        cameras = {camid for camid, count in left.items() if count}
        if all(cameras - {camid} for camid in (*chosen, crop.camid)):
            chosen[crop.camid] = crop.name
        else:
            left[crop.camid] += 1
    return set(chosen.values())
