"""A user's own crops as a data set."""

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rireid_jax.config import DATASETS
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.build.crops import as_it_is, varying_resolution
from rireid_jax.data.build.shards import Item
from rireid_jax.data.keyed_random import keyed_order
from rireid_jax.data.raw.base import existing_path, image_width, read_bytes
from rireid_jax.data.raw.crops import SPLITS, Crop, find_crops
from rireid_jax.data.raw.market1501 import DISTRACTOR
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError


class FolderBuilder(RecordBuilder):
    """Crops in any of the layouts of `find_crops`.

    Without a split, `test_fraction` of the identities are for testing; of each of them one image a
    camera is a query, as long as the gallery keeps an image from another camera.

    Without cameras, queries count as taken by camera 0 and gallery images by camera 1: evaluation
    passes over gallery images of the query's own camera, and would pass over all of them otherwise.

    Images are stored as they are, r is their width divided by the greatest width in the data set;
    with `degrade`, they are down-sampled as in the VR benchmarks.
    """

    name = "folder"

    @functools.cached_property
    def crops(self) -> list[Crop]:
        """All crops as the user labelled them."""
        return find_crops(existing_path(self.raw_dir, DATASETS[self.name].raw))

    def list_items(self) -> dict[str, list[Item]]:
        crops = self.crops
        if crops[0].split is None:
            crops = list(_split(crops, self.recipe["test_fraction"], self.recipe["seed"]))
        splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
        for crop in crops:
            assert crop.split is not None
            camid = int(crop.split == "gallery") if crop.camid is None else crop.camid
            splits[crop.split].append(Item(crop.name, crop.pid, camid, crop.path))
        for split, items in splits.items():
            if not items:
                raise UserError(
                    f"--config.data.raw_dir: found no images for {split} in {self.raw_dir}, "
                    "expected some for train, query and gallery"
                )
        return splits

    def greatest_width(self) -> int:
        if self.recipe["degrade"]:
            return self.recipe["max_width"]
        return max(self.in_threads(image_width, (crop.path for crop in self.crops)))

    def make(self, item: Item) -> Record:
        assert isinstance(item.origin, Path)
        data = read_bytes(item.origin)
        if self.recipe["degrade"]:
            return varying_resolution(item, data, self.recipe)
        return as_it_is(item, data, self.width_max, original=False)


def _split(crops: Sequence[Crop], test_fraction: float, seed: int) -> Iterator[Crop]:
    """Divides crops into train, query and gallery, by identity."""
    people = keyed_order(seed, "test", {str(crop.pid) for crop in crops} - {str(DISTRACTOR)})
    if len(people) < 2:
        raise UserError(
            f"--config.data.raw_dir: found {len(people)} identities and no split, expected at "
            "least 2, one to train on and one to test on"
        )
    number = min(max(1, round(len(people) * test_fraction)), len(people) - 1)
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
