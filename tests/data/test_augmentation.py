"""Erased rectangles, new low twins of stored originals, and batches of balanced identities."""

import contextlib
import itertools
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from rireid_jax.data.augmentation import Augmentation, draw_rectangle
from rireid_jax.data.loader import train_batches
from rireid_jax.data.records import Record, encode_png

SIZE = (16, 8)
STILL = dict(flip=0.0, crop=0.0)


def pixels(n, height, width):
    return np.random.default_rng(n).integers(0, 256, (height, width, 3), np.uint8)


def pair(n, width_max=16):
    """A stored original of 48x24 pixels and its low twin, 12 wide."""
    return Record(
        image=encode_png(pixels(50 + n, 24, 12)),
        target=encode_png(pixels(n, 48, 24)),
        mask=b"",
        pid=n % 4,
        camid=0,
        resolution=12 / width_max,
        name=f"{n}",
    )


PAIRS = [pair(n) for n in range(12)]
LABELS = {pid: pid for pid in range(4)}


def batches(count, source=PAIRS, **options):
    options = dict(
        image_size=SIZE, batch_size=4, seed=0, augmentation=Augmentation(**STILL), labels=LABELS
    ) | (options)
    with contextlib.closing(train_batches(source, **options)) as iterator:
        return list(itertools.islice(iterator, count))


def test_rectangles_are_those_of_the_publication():
    rng = np.random.default_rng(0)
    found = np.array([draw_rectangle((64, 32), 1.0, rng) for _ in range(2000)])
    top, left, tall, wide = found.T
    assert (np.minimum(top, left) >= 0).all()
    assert (top + tall <= 64).all()
    assert (left + wide <= 32).all()
    area, aspect = tall * wide / (64 * 32), tall / wide
    # Sides are whole pixels: the least rectangle has 41 of them, of side 3.5 or so.
    assert 0.015 < area.min() < 0.025
    assert 0.38 < area.max() < 0.42
    assert 0.2 < aspect.min() < 0.4
    assert 3.0 < aspect.max() < 4.0
    assert 0.48 < np.mean(aspect > 1.6) < 0.68  # uniform in [0.3, 3.33], but wide ones are too wide
    for start, length, side in ((top, tall, 64), (left, wide, 32)):
        free = side - length
        place = (start / np.maximum(free, 1))[free > 4]
        assert place.min() == 0
        assert place.max() == 1
        np.testing.assert_allclose(np.histogram(place, 4)[0] / len(place), 1 / 4, atol=0.08)
    assert found.dtype == np.int32


def test_erasing_by_chance():
    rng = np.random.default_rng(0)
    found = [draw_rectangle((64, 32), 0.25, rng).any() for _ in range(800)]
    assert 0.2 < np.mean(found) < 0.3  # standard deviation 0.015
    assert not draw_rectangle((64, 32), 0.0, rng).any()


@pytest.mark.parametrize("size", [(4, 4), (4, 400), (400, 4), (1, 4000)])
def test_rectangles_of_odd_images(size):
    rng = np.random.default_rng(0)
    for _ in range(50):
        top, left, tall, wide = draw_rectangle(size, 1.0, rng)
        assert 0 <= top <= top + tall <= size[0]
        assert 0 <= left <= left + wide <= size[1]


def test_erasing_changes_no_image():
    plain, erased = batches(5), batches(5, augmentation=Augmentation(**STILL, erase=0.5))
    assert "erased" not in plain[0]
    for a, b in zip(plain, erased, strict=True):
        rectangles = b.pop("erased")
        assert (rectangles.shape, rectangles.dtype) == ((4, 4), np.int32)
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_new_low_twins_of_stored_originals():
    augmentation = Augmentation(**STILL, degrade_targets=1.0, min_ratio=0.25, kernel="lanczos")
    widths = []
    originals = {
        Image.fromarray(pixels(n, 48, 24)).resize((8, 16), Image.Resampling.BILINEAR).tobytes(): n
        for n in range(12)
    }
    for batch in batches(30, augmentation=augmentation):
        assert (batch["has_target"] == 1).all()
        for image, target, r in zip(
            batch["image"], batch["target"], batch["resolution"], strict=True
        ):
            original = Image.fromarray(pixels(originals[target.tobytes()], 48, 24))
            width = round(float(r) * 16)  # r = 1 is 16 pixels wide
            assert r == np.float32(width / 16)
            small = original.resize((width, 2 * width), Image.Resampling.LANCZOS)
            np.testing.assert_array_equal(image, small.resize((8, 16), Image.Resampling.BILINEAR))
            widths.append(width)
    assert set(widths) == set(range(4, 17))


def test_new_low_twins_do_not_need_targets():
    augmentation = Augmentation(**STILL, degrade_targets=1.0)
    for a, b in zip(
        batches(3, augmentation=augmentation),
        batches(3, augmentation=augmentation, targets=False),
        strict=True,
    ):
        np.testing.assert_array_equal(a["image"], b["image"])
        np.testing.assert_array_equal(a["resolution"], b["resolution"])
        assert not b["has_target"].any()


def test_an_original_is_never_enlarged():
    # r = 1 would be 96 pixels, the original has 24.
    source = [pair(n, width_max=96) for n in range(12)]
    augmentation = Augmentation(**STILL, degrade_targets=1.0, min_ratio=0.2)
    found = np.concatenate(
        [b["resolution"] for b in batches(10, source, augmentation=augmentation)]
    )
    assert found.max() == np.float32(0.25)


def test_new_low_twins_by_chance_and_of_pairs_alone():
    augmentation = Augmentation(**STILL, degrade_targets=0.25)
    found = np.concatenate([b["resolution"] for b in batches(100, augmentation=augmentation)])
    assert 0.17 < np.mean(found != np.float32(12 / 16)) < 0.31  # 12 of 16 is drawn too
    alone = [
        Record(r.image, target, b"", r.pid, 0, r.resolution, r.name)
        for r in PAIRS
        for target in (b"", r.image)
    ]
    for batch in batches(6, alone, augmentation=Augmentation(**STILL, degrade_targets=1.0)):
        assert (batch["resolution"] == 12 / 16).all()


BALANCED = dict(
    images_per_identity=2,
    augmentation=Augmentation(degrade_targets=0.5, erase=0.5),
)


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        for name in a | b:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_balanced_batches():
    for batch in batches(12, **BALANCED):
        assert sorted(Counter(batch["label"].tolist()).values()) == [2, 2]


def test_balanced_batches_resume_exactly():
    assert_equal(batches(9, **BALANCED)[4:], batches(5, start_step=4, **BALANCED))


@pytest.mark.multiprocess
def test_balanced_batches_of_worker_processes():
    assert_equal(
        batches(6, start_step=1, **BALANCED), batches(6, start_step=1, workers=2, **BALANCED)
    )


def test_balanced_batches_over_processes():
    whole = batches(5, **BALANCED)
    parts = [batches(5, process_index=p, process_count=2, **BALANCED) for p in range(2)]
    for t, batch in enumerate(whole):
        for name, array in batch.items():
            interleaved = np.stack([part[t][name] for part in parts], axis=1)
            np.testing.assert_array_equal(interleaved.reshape(array.shape), array)
