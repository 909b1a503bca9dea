"""Makes a batch of records: decodes, degrades on the fly and resamples into one piece of memory.

What is random is drawn record by record; what takes long is done for a whole batch at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from PIL import Image

from rireid_jax.data.augmentation import (
    Augmentation,
    View,
    draw_rectangle,
    draw_view,
    happens,
)
from rireid_jax.data.degradation import downsample
from rireid_jax.data.records import Record, decode_image, decode_mask

Batch = dict[str, np.ndarray]


@runtime_checkable
class Source(Protocol):
    """Random access to records; picklable where there are worker processes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


class _Arrays:
    """A batch of images in one piece of memory, in which they are written one after another."""

    def __init__(self, count: int, size: tuple[int, int]):
        self.image = np.zeros((count, *size, 3), np.uint8)
        self.native_width = np.zeros(count, np.int32)
        self.target = np.zeros((count, *size, 3), np.uint8)
        self.has_target = np.zeros(count, np.float32)
        self.mask = np.zeros((count, *size), np.uint8)

    def write(
        self,
        i: int,
        view: View,
        image: Image.Image,
        target: Image.Image | None,
        mask: Image.Image | None,
    ) -> None:
        self.image[i] = view(image)
        self.native_width[i] = image.width
        if target is not None:
            self.target[i] = self.image[i] if target is image else view(target)
            self.has_target[i] = 1
        self.mask[i] = 255 if mask is None else view(mask)


def _decode(
    record: Record, targets: bool = True
) -> tuple[Image.Image, Image.Image | None, Image.Image | None]:
    image = decode_image(record.image, record.name)
    if not targets:
        return image, None, None
    target = None
    if record.target:
        own = record.target == record.image
        target = image if own else decode_image(record.target, record.name)
    mask = decode_mask(record.mask, record.name) if record.mask else None
    return image, target, mask


class Drawn(NamedTuple):
    """A record, and what chance decided about its example."""

    record: Record
    ratio: float | None  # by which the image is degraded
    view: View
    erased: Int[np.ndarray, "4"]


@dataclass(frozen=True)
class Draw:
    """All that is random about an example. What takes long comes after it, a batch at a time."""

    image_size: tuple[int, int]
    augmentation: Augmentation

    def __call__(self, record: Record, rng: np.random.Generator) -> Drawn:
        augmentation, ratio = self.augmentation, None
        own = record.target == record.image
        if record.target and happens(
            augmentation.degrade if own else augmentation.degrade_targets, rng
        ):
            ratio = rng.uniform(augmentation.min_ratio, 1.0)
        view = draw_view(self.image_size, augmentation, rng)
        return Drawn(record, ratio, view, draw_rectangle(self.image_size, augmentation.erase, rng))


def rescaled(resolution: Any, scale: float) -> Any:
    """Returns the resolution r that a stage trains on (Eq. 7).

    Args:
      resolution: r of records, a number or an array.
      scale: `Built.resolution_scale` of the stage.
    """
    return np.minimum(1.0, resolution * scale)


@dataclass(frozen=True)
class TrainingBatch:
    """Turns drawn records into a training batch."""

    image_size: tuple[int, int]
    augmentation: Augmentation
    labels: Mapping[int, int] | None
    targets: bool
    resolution_scale: float

    def __call__(self, drawn: Sequence[Drawn]) -> Batch:
        arrays = _Arrays(len(drawn), self.image_size)
        resolutions = np.zeros(len(drawn), np.float32)
        for i, (record, ratio, view, _) in enumerate(drawn):
            image, target, mask = _decode(record, self.targets)
            resolution = rescaled(record.resolution, self.resolution_scale)
            if ratio is not None and record.target == record.image:
                image = self._downsample(image, image.width * ratio)
                resolution *= ratio
            elif ratio is not None:
                original = decode_image(record.target, record.name) if target is None else target
                whole = image.width / record.resolution  # the width of r = 1
                image = self._downsample(original, whole * ratio)
                resolution = rescaled(image.width / whole, self.resolution_scale)
            arrays.write(i, view, image, target, mask)
            resolutions[i] = resolution
        labels = [0 if self.labels is None else self.labels[d.record.pid] for d in drawn]
        batch = vars(arrays) | {"label": np.array(labels, np.int32), "resolution": resolutions}
        if self.augmentation.erase:
            batch["erased"] = np.stack([d.erased for d in drawn])
        return batch

    def _downsample(self, image: Image.Image, width: float) -> Image.Image:
        return downsample(image, min(max(1, round(width)), image.width), self.augmentation.kernel)


@dataclass(frozen=True)
class EvaluationBatch:
    """Turns positions in the source into a batch, and those past the end into padding."""

    source: Source
    image_size: tuple[int, int]

    def __call__(self, positions: Sequence[int]) -> Batch:
        count = len(positions)
        arrays = _Arrays(count, self.image_size)
        integers = {name: np.zeros(count, np.int32) for name in ("label", "pid", "camid", "index")}
        floats = {name: np.zeros(count, np.float32) for name in ("resolution", "valid")}
        batch = vars(arrays) | integers | floats
        batch["index"][:] = -1
        view = View(self.image_size)
        for i, position in enumerate(positions):
            if position >= len(self.source):
                continue
            record = self.source[position]
            arrays.write(i, view, *_decode(record))
            if record.target == record.image:
                batch["has_target"][i] = 0
            for name in ("pid", "camid", "resolution"):
                batch[name][i] = getattr(record, name)
            batch["index"][i], batch["valid"][i] = position, 1
        return batch
