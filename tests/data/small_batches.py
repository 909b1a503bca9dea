"""Small records, and the batches that training makes of them."""

import contextlib
import itertools

import numpy as np

from rireid_jax.data.augmentation import Augmentation
from rireid_jax.data.loader import train_batches
from rireid_jax.data.records import Record, encode_png

SIZE = (16, 8)
STILL = Augmentation(flip=0.0, crop=0.0)


def pixels(n, size=SIZE):
    return np.random.default_rng(n).integers(0, 256, (*size, 3), np.uint8)


def record(n, *, size=SIZE, stored=True):
    """Record number n: image and target are the same random pixels, the mask their red channel."""
    image = pixels(n, size)
    return Record(
        image=encode_png(image),
        target=encode_png(image) if stored else b"",
        mask=encode_png(image[..., 0]) if stored else b"",
        pid=100 + n,
        camid=n % 3,
        resolution=(n + 1) / 16,
        name=f"{n}.png",
    )


def pair(n, width_max=16):
    """A stored original of 48x24 pixels and its low twin, 12 wide, of one of four identities."""
    image, target = encode_png(pixels(50 + n, (24, 12))), encode_png(pixels(n, (48, 24)))
    return Record(image, target, b"", 100 + n % 4, 0, 12 / width_max, f"{n}")


RECORDS = [record(n) for n in range(10)]
PAIRS = [pair(n) for n in range(12)]
LABELS = {100 + n: 9 - n for n in range(10)}
# Options of batches of two identities with two images each, which are changed in every way.
BALANCED = dict(
    source=PAIRS,
    images_per_identity=2,
    augmentation=Augmentation(degrade_targets=0.5, erase=0.5),
)


def stream(source=RECORDS, **options):
    defaults = dict(
        image_size=SIZE, batch_size=4, seed=0, augmentation=Augmentation(), labels=LABELS
    )
    return train_batches(source, **defaults | options)


def batches(count, source=RECORDS, **options):
    with contextlib.closing(stream(source, **options)) as iterator:
        return list(itertools.islice(iterator, count))
