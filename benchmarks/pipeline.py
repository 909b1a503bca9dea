"""Training batches on one core, compared with a torch DataLoader with Pillow that does the same to the same records.

python benchmarks/pipeline.py
"""

import contextlib
import io
import itertools
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import measuring
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from rireid_jax.data.augmentation import Augmentation
from rireid_jax.data.degradation import downsample
from rireid_jax.data.loader import train_batches
from rireid_jax.data.pedestrians import render
from rireid_jax.data.records import Record, encode_jpeg, encode_png

BATCH = 32
# Timed batches per round, and untimed ones before them, more than are read ahead.
BATCHES, WARMUP = 12, 4
BATCHES_OF_WORKERS, WARMUP_OF_WORKERS = 48, 24
ROUNDS, ROUNDS_OF_WORKERS = 7, 3
NATIVE = (128, 64)  # size of an original, (height, width) in pixels, as in Market-1501
DRAWN, RECORDS = 256, 12_936  # different images, and records in total (as many as Market-1501 has)
ENLARGED, MIN_RATIO = 1.125, 0.25
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def records(kind: str) -> list[Record]:
    """Returns JPEG originals that are degraded when they are read, or stored PNG pairs with masks."""
    made = []
    for n in range(DRAWN):
        pixels, mask = render(0, n, n % 4, 0, size=NATIVE)
        image = Image.fromarray(pixels)
        if kind == "JPEG, degraded":
            original = encode_jpeg(image, 90)
            made.append(Record(original, original, b"", n % 50, n % 4, 1.0, str(n)))
        else:
            low = downsample(image, 16 + n % 48, "bicubic")
            images = [encode_png(x) for x in (low, image, mask)]
            made.append(Record(*images, n % 50, n % 4, low.width / NATIVE[1], str(n)))
    return (made * (RECORDS // DRAWN + 1))[:RECORDS]


class Reference(Dataset):
    """The data set that a user of torchreid would write, with torchvision's transforms written out.

    An example is (image, target, mask, identity, r); images are normalised float32 `[3, H, W]`.
    """

    def __init__(self, source: Sequence[Record], size: tuple[int, int]):
        self._source, self._size = source, size

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        record = self._source[index]
        target = Image.open(io.BytesIO(record.target)).convert("RGB")
        if record.image == record.target:
            width = max(1, round(target.width * random.uniform(MIN_RATIO, 1)))
            height = max(1, round(target.height * width / target.width))
            image = target.resize((width, height), Image.Resampling.BICUBIC)
        else:
            image = Image.open(io.BytesIO(record.image)).convert("RGB")
        pictures = [image, target]
        if record.mask:
            pictures.append(Image.open(io.BytesIO(record.mask)).convert("L"))
        pictures = self._transform(pictures)
        image, target = (normalise(to_tensor(picture)) for picture in pictures[:2])
        mask = to_tensor(pictures[2]) if record.mask else torch.ones(1, *self._size)
        return image, target, mask, record.pid, np.float32(record.resolution)

    def _transform(self, pictures: list[Image.Image]) -> list[Image.Image]:
        """Applies one random crop of the enlarged image and one random flip to all images."""
        height, width = self._size
        if random.random() < 0.5:
            tall, wide = round(height * ENLARGED), round(width * ENLARGED)
            top, left = random.randint(0, tall - height), random.randint(0, wide - width)
            box = (left, top, left + width, top + height)
            pictures = [
                picture.resize((wide, tall), Image.Resampling.BILINEAR).crop(box)
                for picture in pictures
            ]
        else:
            pictures = [p.resize((width, height), Image.Resampling.BILINEAR) for p in pictures]
        if random.random() < 0.5:
            pictures = [p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in pictures]
        return pictures


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """Does what torchvision's does: uint8 `[H, W, C]` to float32 `[C, H, W]` in [0, 1]."""
    pixels = torch.from_numpy(np.array(picture, np.uint8))
    pixels = pixels.view(picture.height, picture.width, len(picture.getbands()))
    return pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)


def normalise(image: torch.Tensor) -> torch.Tensor:
    """Does what torchvision's does."""
    return image.clone().sub_(MEAN).div_(DEVIATION)


def pillow_alone(source: Sequence[Record], size: tuple[int, int]) -> Callable[[], None]:
    """Only decodes and resamples, which is the lower bound for any pipeline that uses Pillow on such records."""
    rng, order = random.Random(0), itertools.cycle(range(len(source)))

    def run() -> None:
        for _ in range(BATCH * BATCHES):
            record = source[next(order)]
            target = Image.open(io.BytesIO(record.target))
            target.load()
            if record.image == record.target:
                ratio = rng.uniform(MIN_RATIO, 1)
                small = (max(1, round(side * ratio)) for side in target.size)
                image = target.resize(tuple(small), Image.Resampling.BICUBIC)
            else:
                image = Image.open(io.BytesIO(record.image))
            pictures = [image, target]
            if record.mask:
                pictures.append(Image.open(io.BytesIO(record.mask)))
            for picture in pictures:
                picture.resize(size[::-1], Image.Resampling.BILINEAR)

    return run


def seconds_of(batches: Iterator[Any], count: int, warmup: int) -> float:
    """Times `count` batches, after `warmup` batches that were read ahead while something else was measured."""
    for _ in range(warmup):
        next(batches)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return time.perf_counter() - start


def ours(source: Sequence[Record], size: tuple[int, int], workers: int) -> Iterator[Any]:
    return train_batches(
        source,
        image_size=size,
        batch_size=BATCH,
        seed=0,
        augmentation=Augmentation(degrade=1.0, min_ratio=MIN_RATIO),
        labels={pid: pid for pid in range(50)},
        workers=workers,
    )


def theirs(source: Sequence[Record], size: tuple[int, int], workers: int) -> Iterator[Any]:
    loader = DataLoader(
        Reference(source, size), BATCH, shuffle=True, drop_last=True, num_workers=workers
    )
    while True:
        yield from loader


def on_one_core(source: Sequence[Record], size: tuple[int, int]) -> dict[str, list[float]]:
    """Measures the seconds of each round without worker processes."""
    first, second = ours(source, size, 0), theirs(source, size, 0)
    alone = pillow_alone(source, size)
    seconds: dict[str, list[float]] = {"ours": [], "torch": [], "pillow": []}
    with contextlib.closing(first):
        for _ in range(ROUNDS):
            seconds["ours"].append(seconds_of(first, BATCHES, WARMUP))
            seconds["torch"].append(seconds_of(second, BATCHES, WARMUP))
            start = time.perf_counter()
            alone()
            seconds["pillow"].append(time.perf_counter() - start)
    return seconds


def with_workers(source: Sequence[Record], size: tuple[int, int]) -> dict[str, list[float]]:
    """Measures the seconds of each round; its workers start before the round and end after it."""
    seconds: dict[str, list[float]] = {"ours": [], "torch": []}
    for _ in range(ROUNDS_OF_WORKERS):
        for name, make in (("ours", ours), ("torch", theirs)):
            with contextlib.closing(make(source, size, len(os.sched_getaffinity(0)))) as batches:
                taken = seconds_of(batches, BATCHES_OF_WORKERS, WARMUP_OF_WORKERS)
            seconds[name].append(taken * BATCHES / BATCHES_OF_WORKERS)
    return seconds


def row(kind: str, size: tuple[int, int], workers: int) -> dict[str, Any]:
    seconds = (with_workers if workers else on_one_core)(records(kind), size)
    images = BATCH * BATCHES / max(workers, 1)
    rate = {name: round(images / statistics.median(s)) for name, s in seconds.items()}
    return {
        "records": kind,
        "network's size": f"{size[0]}x{size[1]}",
        "workers": workers,
        "ours images/s/core": rate["ours"],
        "torch images/s/core": rate["torch"],
        "ours / torch": measuring.ratio(seconds["torch"], seconds["ours"]),
        "Pillow alone images/s/core": rate.get("pillow"),
        "Pillow alone / torch": None
        if workers
        else measuring.ratio(seconds["torch"], seconds["pillow"]),
    }


def main() -> None:
    torch.set_num_threads(1)
    cores = os.sched_getaffinity(0)
    rows = []
    os.sched_setaffinity(0, {min(cores)})  # threads that start later inherit it
    for kind in ("JPEG, degraded", "PNG pairs"):
        for size in ((256, 128), (64, 32)):
            rows.append(row(kind, size, workers=0))
            print(rows[-1], flush=True)
    os.sched_setaffinity(0, cores)
    for kind in ("JPEG, degraded", "PNG pairs"):
        rows.append(row(kind, (256, 128), workers=len(cores)))
        print(rows[-1], flush=True)
    measuring.publish(
        "pipeline",
        "Input pipeline",
        rows,
        [
            f"Originals of {NATIVE[0]}x{NATIVE[1]} pixels, {RECORDS:,} of them, batches of {BATCH}. Without workers "
            f"both run on one core, to which the process is bound; with workers, on {len(cores)}.",
            "PyTorch's batches are normalised float32, as its users' are; ours are uint8, and normalised in the step.",
            "Pillow alone: decoding and resampling of the same records without cropping, order, arrays or batches. "
            "Both pipelines call it, so no pipeline with these bits is faster than that.",
            f"Median of {ROUNDS} rounds of {BATCHES} batches, of {ROUNDS_OF_WORKERS} of {BATCHES_OF_WORKERS} with "
            "workers; what was read ahead is used up before. There are no FLOPs to speak of.",
        ],
    )


if __name__ == "__main__":
    main()
