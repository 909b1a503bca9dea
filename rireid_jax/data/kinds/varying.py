"""Every image at a random low resolution (section 5.1 of the paper)."""

from collections.abc import Iterator, Mapping
from typing import Any

from rireid_jax.components import AT_LEAST_ZERO, Field, one_of
from rireid_jax.data.dataset import Item
from rireid_jax.data.degradation import KERNELS
from rireid_jax.data.kinds.benchmark import Benchmark
from rireid_jax.data.kinds.crops import varying_resolution
from rireid_jax.data.kinds.low_camera import ONE_CAMERA_LOW
from rireid_jax.data.records import Record

KERNEL = Field("bicubic", ONE_CAMERA_LOW["kernel"].about, one_of(*KERNELS))


def varying_fields(rounding: str, seed: str) -> Mapping[str, Field]:
    """How the height follows from a random width, as fields of a recipe.

    Args:
      rounding: what the page says of the rounding.
      seed: what the page says of the seed.
    """
    return {
        "kernel": KERNEL,
        "rounding": Field("round", rounding, one_of("round", "floor")),
        "seed": Field(0, seed, AT_LEAST_ZERO),
    }


VARYING = varying_fields(
    "of the height in pixels; the image's proportions are kept", "of the widths"
)


def width_problems(recipe: Mapping[str, Any], greatest: str) -> Iterator[tuple[str, str]]:
    """What is wrong where `min_width` is not below the field of the greatest width."""
    if recipe["min_width"] >= recipe[greatest]:
        yield "min_width", f"less than {greatest} ({recipe[greatest]})"


class VaryingResolution(Benchmark):
    """A benchmark that comes divided, all of it down-sampled to widths in [`min_width`, `max_width`)."""

    @classmethod
    def problems(cls, recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from width_problems(recipe, "max_width")

    def list_items(self) -> dict[str, list[Item]]:
        splits: dict[str, list[Item]] = {"train": [], "query": [], "gallery": []}
        for image in self.images:
            item = Item(image.name, image.pid, image.camid, image.origin)
            splits["train" if image.role == "val" else image.role].append(item)
        return splits

    def greatest_width(self) -> int:
        return self.values["max_width"]

    def make(self, item: Item) -> Record:
        return varying_resolution(item, self.read(item.origin), self.values)
