"""Batches of training and evaluation: what is in them, in which order, on any number of processes."""

import contextlib
import itertools
import multiprocessing
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from absl import flags
from PIL import Image

from rireid_jax.data.augmentation import Augmentation, enlarged_size
from rireid_jax.data.loader import evaluation_batches, load_image, train_batches
from rireid_jax.data.records import Record, encode_png
from rireid_jax.errors import UserError

SIZE = (16, 8)
NONE = Augmentation(flip=0.0, crop=0.0)


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


RECORDS = [record(n) for n in range(10)]
LABELS = {100 + n: 9 - n for n in range(10)}


def batches(count, source=RECORDS, **options):
    options = (
        dict(image_size=SIZE, batch_size=4, seed=0, augmentation=Augmentation(), labels=LABELS)
        | options
    )
    with contextlib.closing(train_batches(source, **options)) as iterator:
        return list(itertools.islice(iterator, count))


def assert_equal(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
            assert a[name].dtype == b[name].dtype


def test_examples_without_augmentation():
    for batch in batches(3, augmentation=NONE):
        assert {name: (array.shape, array.dtype.name) for name, array in batch.items()} == {
            "image": ((4, 16, 8, 3), "uint8"),
            "native_width": ((4,), "int32"),
            "target": ((4, 16, 8, 3), "uint8"),
            "has_target": ((4,), "float32"),
            "mask": ((4, 16, 8), "uint8"),
            "label": ((4,), "int32"),
            "resolution": ((4,), "float32"),
        }
        for i, label in enumerate(batch["label"]):
            n = 9 - label
            np.testing.assert_array_equal(batch["image"][i], pixels(n))
            np.testing.assert_array_equal(batch["target"][i], pixels(n))
            np.testing.assert_array_equal(batch["mask"][i], pixels(n)[..., 0])
            assert batch["has_target"][i] == 1
            assert batch["resolution"][i] == np.float32((n + 1) / 16)


def test_without_target_mask_or_labels():
    (batch,) = batches(1, [record(n, stored=False) for n in range(4)], labels=None)
    assert (batch["target"] == 0).all()
    assert (batch["has_target"] == 0).all()
    assert (batch["mask"] == 255).all()
    assert (batch["label"] == 0).all()


def test_targets_need_not_be_decoded():
    broken = [Record(r.image, b"x", b"x", r.pid, r.camid, r.resolution, r.name) for r in RECORDS]
    stored, left_out = batches(3), batches(3, broken, targets=False)
    for a, b in zip(stored, left_out, strict=True):
        np.testing.assert_array_equal(a["image"], b["image"])
        assert (b["has_target"] == 0).all()
        assert (b["mask"] == 255).all()


def test_order_is_a_function_of_seed_and_step():
    whole = batches(10, augmentation=NONE)
    epochs = np.concatenate([batch["label"] for batch in whole]).reshape(4, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert_equal(batches(7)[4:], batches(3, start_step=4))
    other = batches(3, seed=1)
    assert any((a["label"] != b["label"]).any() for a, b in zip(batches(3), other, strict=True))


@pytest.mark.parametrize("process_count", [2, 4])
def test_processes_share_a_global_batch(process_count):
    whole = batches(5)
    parts = [batches(5, process_index=p, process_count=process_count) for p in range(process_count)]
    for t, batch in enumerate(whole):
        for name, array in batch.items():
            interleaved = np.stack([part[t][name] for part in parts], axis=1)
            np.testing.assert_array_equal(interleaved.reshape(array.shape), array)


@pytest.mark.multiprocess
def test_worker_processes_change_nothing():
    assert_equal(batches(6, start_step=1), batches(6, start_step=1, workers=2))


@pytest.mark.multiprocess
@pytest.mark.parametrize("killed", [False, True])
def test_workers_end_with_the_generator_and_a_dead_one_is_an_error(killed):
    options = dict(image_size=SIZE, batch_size=4, seed=0, augmentation=NONE, workers=1)
    with contextlib.closing(train_batches(RECORDS, **options)) as iterator:
        next(iterator)
        (worker,) = multiprocessing.active_children()
        if killed:
            os.kill(worker.pid, signal.SIGKILL)
            with pytest.raises(UserError, match=r"data\.workers: .* ended with exit code -9"):
                list(itertools.islice(iterator, 20))
    assert not worker.is_alive()


def test_workers_need_no_parsed_flags():
    """Notebooks parse no absl flags, which Grain would read."""
    flags.FLAGS.unparse_flags()
    try:
        train_batches(
            RECORDS, image_size=SIZE, batch_size=4, seed=0, augmentation=NONE, workers=1
        ).close()
        assert flags.FLAGS.is_parsed()
    finally:
        flags.FLAGS.mark_as_parsed()


def test_errors():
    with pytest.raises(UserError, match="batch_size: found 4, expected a multiple of the 3 proc"):
        batches(1, process_count=3)
    with pytest.raises(UserError, match="train: found no records"):
        batches(1, [])
    bad = [Record(b"x", b"", b"", 1, 0, 1.0, "some/name.png")] * 4
    with pytest.raises(UserError, match=r"some/name\.png: found"):
        batches(1, bad)


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
    source = [
        Record(
            image=encode_png(large.resize((4, 8), Image.Resampling.BILINEAR)),
            target=encode_png(large),
            mask=encode_png(ramp),
            pid=100,
            camid=0,
            resolution=0.5,
            name="ramp",
        )
    ]
    directions = set()
    for batch in batches(8, source):
        np.testing.assert_array_equal(batch["mask"], batch["target"][..., 0])
        difference = batch["image"].astype(int) - batch["target"]
        assert np.abs(difference[:, :, 1:-1]).max() <= 16  # a small image is coarse at its border
        directions |= set(np.sign(batch["target"][:, 0, -1, 0].astype(int) - 128))
    assert directions == {-1, 1}


def originals(count):
    """Records that are their own high-resolution originals, of r = 1/2, 1, 1/2 ..."""
    return [
        replace(record(n, size=(64, 32)), mask=b"", resolution=0.5 if n % 2 else 1.0)
        for n in range(count)
    ]


def test_degradation_on_the_fly():
    augmentation = Augmentation(flip=0.0, crop=0.0, degrade=1.0, min_ratio=0.25, kernel="lanczos")
    ratios = []
    for batch in batches(30, originals(10), augmentation=augmentation):
        assert (batch["has_target"] == 1).all()
        for i, label in enumerate(batch["label"]):
            number = 9 - label
            original = Image.fromarray(pixels(number, (64, 32)))
            target = original.resize((8, 16), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(batch["target"][i], target)
            ratio = float(batch["resolution"][i]) * (2 if number % 2 else 1)
            ratios.append(ratio)
            width = round(32 * ratio)
            small = original.resize((width, 2 * width), Image.Resampling.LANCZOS)
            image = small.resize((8, 16), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(batch["image"][i], image)
    assert 0.25 <= min(ratios) < 0.35
    assert 0.9 < max(ratios) <= 1.0
    assert len(set(ratios)) == len(ratios)  # another one every time


def test_degradation_does_not_need_targets():
    augmentation = Augmentation(flip=0.0, crop=0.0, degrade=1.0)
    (batch,) = batches(1, originals(10), augmentation=augmentation, targets=False)
    assert not batch["has_target"].any()
    assert (batch["resolution"] < 1).all()


def test_degradation_by_chance():
    augmentation = Augmentation(flip=0.0, crop=0.0, degrade=0.25)
    found = np.concatenate(
        [b["resolution"] for b in batches(100, originals(8)[::2], augmentation=augmentation)]
    )
    assert 0.18 < np.mean(found < 1) < 0.32  # 400 draws: standard deviation 0.022
    assert (found > 0.2).all()


@pytest.mark.parametrize("target", [b"", encode_png(pixels(99))])
def test_only_originals_are_degraded(target):
    """Images that are low by nature, and those whose original is stored beside them, stay as they are."""
    source = [replace(r, target=target) for r in RECORDS]
    augmentation = Augmentation(flip=0.0, crop=0.0, degrade=1.0)
    (batch,) = batches(1, source, augmentation=augmentation)
    for i, label in enumerate(batch["label"]):
        np.testing.assert_array_equal(batch["image"][i], pixels(9 - label))
        assert batch["resolution"][i] == (10 - label) / 16
    np.testing.assert_array_equal(batch["has_target"], float(bool(target)))
    assert (batch["target"] == (pixels(99) if target else 0)).all()


def evaluation(source=RECORDS, **options):
    options = dict(image_size=SIZE, batch_size=4) | options
    return list(evaluation_batches(source, **options))


def test_evaluation_in_order_and_padded():
    assert [b["valid"].sum() for b in evaluation(RECORDS[:8])] == [4, 4]
    assert evaluation([]) == []
    found = evaluation()
    assert len(found) == 3
    whole = {name: np.concatenate([b[name] for b in found]) for name in found[0]}
    assert whole["valid"].dtype == np.float32
    np.testing.assert_array_equal(whole["valid"], [1] * 10 + [0] * 2)
    np.testing.assert_array_equal(whole["index"], [*range(10), -1, -1])
    np.testing.assert_array_equal(whole["pid"][:10], range(100, 110))
    np.testing.assert_array_equal(whole["camid"][:10], [n % 3 for n in range(10)])
    np.testing.assert_array_equal(whole["image"][:10], [pixels(n) for n in range(10)])
    np.testing.assert_array_equal(whole["target"][:10], [pixels(n) for n in range(10)])
    np.testing.assert_array_equal(whole["mask"][:10], [pixels(n)[..., 0] for n in range(10)])
    assert not whole["image"][10:].any()
    assert not whole["has_target"][10:].any()
    assert {whole[n].dtype.name for n in ("pid", "camid", "index", "label")} == {"int32"}
    assert batches(1)[0].keys() < whole.keys()


def test_evaluation_over_processes():
    """Every process gets as many batches, also the one that has nothing but padding in the last."""
    parts = [
        evaluation(RECORDS[:9], process_index=p, process_count=4, batch_size=8) for p in range(4)
    ]
    assert [len(part) for part in parts] == [2, 2, 2, 2]
    indices = np.concatenate([b["index"][b["valid"] == 1] for part in parts for b in part])
    assert sorted(indices) == list(range(9))
    np.testing.assert_array_equal(parts[1][0]["index"], [1, 5])
    np.testing.assert_array_equal(parts[1][1]["valid"], [0, 0])
    with pytest.raises(UserError, match="batch_size"):
        evaluation(process_count=3)


def test_enlarging_by_hand():
    # Two columns to four, half-pixel centres: 0, 1/4, 3/4 and 1 of the way.
    image = np.array([[[0, 0, 0], [200, 100, 40]]] * 2, np.uint8)
    large, width = load_image(image, (4, 4))
    assert width == 2
    np.testing.assert_array_equal(large[2, :, 0], [0, 50, 150, 200])
    np.testing.assert_array_equal(large[0, :, 1], [0, 25, 75, 100])


def test_load_image_kinds(tmp_path):
    array = pixels(3, (20, 12))
    path = tmp_path / "ein Bild ü.png"
    Image.fromarray(array).save(path)
    expected = np.asarray(Image.fromarray(array).resize((8, 16), Image.Resampling.BILINEAR))
    for image in (array, path, str(path), Image.fromarray(array)):
        loaded, width = load_image(image, SIZE)
        np.testing.assert_array_equal(loaded, expected)
        assert width == 12
    grey, _ = load_image(Image.fromarray(array[..., 0]), SIZE)
    assert grey.shape == (16, 8, 3)
    (batch,) = evaluation([record(n, size=(9, 5), stored=False) for n in range(4)])
    for n in range(4):  # as in the batches
        np.testing.assert_array_equal(batch["image"][n], load_image(pixels(n, (9, 5)), SIZE)[0])
    for name, message in {"bad.jpg": "found .*expected a readable", "none.jpg": "No such"}.items():
        (tmp_path / "bad.jpg").write_bytes(b"x")
        with pytest.raises(UserError, match=rf"{name}: {message}"):
            load_image(tmp_path / name, SIZE)


def test_load_image_refuses_other_arrays():
    for shape, kind in (((4, 4, 3), "f4"), ((4, 4), "u1"), ((3, 4, 4), "u1"), ((0, 4, 3), "u1")):
        with pytest.raises(
            UserError, match=r"image 7: found an array .*expected uint8 \[H, W, 3\]"
        ):
            load_image(np.zeros(shape, kind), SIZE, index=7)
