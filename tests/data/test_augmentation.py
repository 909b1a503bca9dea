"""What chance does to training examples: mirrored, cropped, made smaller, partly erased."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from small_batches import PAIRS, RECORDS, SIZE, STILL, batches, pair, pixels, record

from rireid_jax.data.augmentation import Augmentation, draw_rectangle, enlarged_size
from rireid_jax.data.records import Record, encode_png


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
    plain = batches(5, augmentation=STILL)
    erased = batches(5, augmentation=replace(STILL, erase=0.5))
    assert "erased" not in plain[0]
    for a, b in zip(plain, erased, strict=True):
        rectangles = b.pop("erased")
        assert (rectangles.shape, rectangles.dtype) == ((4, 4), np.int32)
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def low_twin(original, width):
    small = original.resize((width, 2 * width), Image.Resampling.LANCZOS)
    return small.resize((8, 16), Image.Resampling.BILINEAR)


def test_new_low_twins_of_stored_originals():
    augmentation = replace(STILL, degrade_targets=1.0, min_ratio=0.25, kernel="lanczos")
    widths = []
    originals = {
        Image.fromarray(pixels(n, (48, 24))).resize((8, 16), Image.Resampling.BILINEAR).tobytes(): n
        for n in range(12)
    }
    for batch in batches(30, PAIRS, augmentation=augmentation):
        assert (batch["has_target"] == 1).all()
        for image, target, r in zip(
            batch["image"], batch["target"], batch["resolution"], strict=True
        ):
            original = Image.fromarray(pixels(originals[target.tobytes()], (48, 24)))
            width = round(float(r) * 16)  # r = 1 is 16 pixels wide
            assert r == np.float32(width / 16)
            np.testing.assert_array_equal(image, low_twin(original, width))
            widths.append(width)
    assert set(widths) == set(range(4, 17))


@pytest.mark.parametrize("chance", [dict(flip=0.5, crop=0.0), dict(flip=0.0, crop=0.5)])
def test_flipped_or_cropped_by_chance(chance):
    changed = 0
    for batch in batches(50, augmentation=Augmentation(**chance)):
        np.testing.assert_array_equal(batch["image"], batch["target"])
        np.testing.assert_array_equal(batch["mask"], batch["image"][..., 0])
        for image, label in zip(batch["image"], batch["label"], strict=True):
            original = pixels(9 - label)
            different = (image != original).any()
            changed += different
            if chance["flip"] and different:
                np.testing.assert_array_equal(image, original[:, ::-1])
    assert 70 < changed < 130  # of 200


def test_crop():
    tall, wide = enlarged_size(SIZE)
    assert (tall, wide) == (18, 9)
    corners = []
    for batch in batches(20, augmentation=Augmentation(flip=0.0, crop=1.0)):
        np.testing.assert_array_equal(batch["image"], batch["target"])
        np.testing.assert_array_equal(batch["mask"], batch["image"][..., 0])
        for image, label in zip(batch["image"], batch["label"], strict=True):
            original = Image.fromarray(pixels(9 - label))
            large = np.asarray(original.resize((wide, tall), Image.Resampling.BILINEAR))
            fits = [
                (top, left)
                for top in range(3)
                for left in range(2)
                if np.abs(large[top : top + 16, left : left + 8].astype(int) - image).max() <= 1
            ]
            assert len(fits) == 1
            corners.append(fits[0])
    assert set(corners) == set(itertools.product(range(3), range(2)))


def test_augmentation_is_the_same_at_every_native_size():
    """Image at a quarter, target and mask at four times the network's size."""
    place = np.linspace(0, 255, 32).round().astype(np.uint8)
    ramp = np.tile(place, (64, 1))  # from left to right
    large = Image.fromarray(np.stack([ramp] * 3, axis=-1))
    small = encode_png(large.resize((4, 8), Image.Resampling.BILINEAR))
    source = [Record(small, encode_png(large), encode_png(ramp), 100, 0, 0.5, "ramp")]
    directions = set()
    for batch in batches(8, source):
        np.testing.assert_array_equal(batch["mask"], batch["target"][..., 0])
        difference = batch["image"].astype(int) - batch["target"]
        assert np.abs(difference[:, :, 1:-1]).max() <= 16  # a small image is coarse at its border
        directions |= set(np.sign(batch["target"][:, 0, -1, 0].astype(int) - 128))
    assert directions == {-1, 1}


# Images that are their own high-resolution originals, of r = 1, 1/2, 1, 1/2 ...
ORIGINALS = [
    replace(record(n, size=(64, 32)), mask=b"", resolution=0.5 if n % 2 else 1.0) for n in range(10)
]


def test_degradation_on_the_fly():
    augmentation = replace(STILL, degrade=1.0, min_ratio=0.25, kernel="lanczos")
    ratios = []
    for batch in batches(30, ORIGINALS, augmentation=augmentation):
        assert (batch["has_target"] == 1).all()
        for i, label in enumerate(batch["label"]):
            number = 9 - label
            original = Image.fromarray(pixels(number, (64, 32)))
            target = original.resize((8, 16), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(batch["target"][i], target)
            ratio = float(batch["resolution"][i]) * (2 if number % 2 else 1)
            ratios.append(ratio)
            width = round(32 * ratio)
            np.testing.assert_array_equal(batch["image"][i], low_twin(original, width))
    assert 0.25 <= min(ratios) < 0.35
    assert 0.9 < max(ratios) <= 1.0
    assert len(set(ratios)) == len(ratios)  # another one every time


@pytest.mark.parametrize(
    ("option", "target"),
    [
        ("degrade", b""),
        ("degrade", encode_png(pixels(99))),
        ("degrade_targets", b""),
        ("degrade_targets", "itself"),
    ],
)
def test_images_that_stay_as_they_are(option, target):
    """Low ones without an original have no other twin, nor has an image the one that the other option draws."""
    source = [replace(r, target=r.image if target == "itself" else target) for r in RECORDS]
    for batch in batches(3, source, augmentation=replace(STILL, **{option: 1.0})):
        for i, label in enumerate(batch["label"]):
            np.testing.assert_array_equal(batch["image"][i], pixels(9 - label))
            assert batch["resolution"][i] == (10 - label) / 16
        np.testing.assert_array_equal(batch["has_target"], float(bool(target)))
        expected = batch["image"] if target == "itself" else pixels(99) if target else 0
        assert (batch["target"] == expected).all()


OPTIONS = pytest.mark.parametrize(
    ("option", "source"), [("degrade", ORIGINALS[::2]), ("degrade_targets", PAIRS)]
)


@OPTIONS
def test_low_twins_do_not_need_targets(option, source):
    options = dict(source=source, augmentation=replace(STILL, **{option: 1.0}))
    for a, b in zip(batches(3, **options), batches(3, targets=False, **options), strict=True):
        np.testing.assert_array_equal(a["image"], b["image"])
        np.testing.assert_array_equal(a["resolution"], b["resolution"])
        assert not b["has_target"].any()


@OPTIONS
def test_low_twins_by_chance(option, source):
    found = batches(100, source, augmentation=replace(STILL, **{option: 0.25}))
    drawn = np.concatenate([b["resolution"] for b in found])
    # 400 draws: standard deviation 0.022. The stored twin's r is sometimes drawn too.
    assert 0.18 < np.mean(drawn != np.float32(source[0].resolution)) < 0.31
    assert (drawn > 0.2).all()


def test_an_original_is_never_enlarged():
    # r = 1 would be 96 pixels, the original has 24.
    source = [pair(n, width_max=96) for n in range(12)]
    augmentation = replace(STILL, degrade_targets=1.0, min_ratio=0.2)
    found = batches(10, source, augmentation=augmentation)
    assert max(b["resolution"].max() for b in found) == np.float32(0.25)
