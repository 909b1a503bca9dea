"""Batches of training and evaluation: what is in them, in which order, on any number of processes."""

import contextlib
import itertools
import multiprocessing
import os
import signal
from collections import Counter

import numpy as np
import pytest
from absl import flags
from PIL import Image
from small_batches import BALANCED, RECORDS, SIZE, STILL, batches, pixels, record, stream

from rireid_jax.data.loader import evaluation_batches, load_image
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError


def assert_equal(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
            assert a[name].dtype == b[name].dtype


def test_examples_without_augmentation():
    for batch in batches(3, augmentation=STILL):
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
    whole = batches(10, augmentation=STILL)
    epochs = np.concatenate([batch["label"] for batch in whole]).reshape(4, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    other = batches(3, seed=1)
    assert any((a["label"] != b["label"]).any() for a, b in zip(batches(3), other, strict=True))


def test_balanced_batches():
    for batch in batches(12, **BALANCED):
        assert sorted(Counter(batch["label"].tolist()).values()) == [2, 2]


OPTIONS = pytest.mark.parametrize("options", [{}, BALANCED], ids=["plain", "balanced"])


@OPTIONS
def test_batches_resume_exactly(options):
    assert_equal(batches(9, **options)[4:], batches(5, start_step=4, **options))


@OPTIONS
@pytest.mark.parametrize("process_count", [2, 4])
def test_processes_share_a_global_batch(options, process_count):
    whole = batches(5, **options)
    parts = [
        batches(5, process_index=p, process_count=process_count, **options)
        for p in range(process_count)
    ]
    for t, batch in enumerate(whole):
        for name, array in batch.items():
            interleaved = np.stack([part[t][name] for part in parts], axis=1)
            np.testing.assert_array_equal(interleaved.reshape(array.shape), array)


@OPTIONS
@pytest.mark.multiprocess
def test_worker_processes_change_nothing(options):
    assert_equal(
        batches(6, start_step=1, **options), batches(6, start_step=1, workers=2, **options)
    )


@pytest.mark.multiprocess
@pytest.mark.parametrize("killed", [False, True])
def test_workers_end_with_the_generator_and_a_dead_one_is_an_error(killed):
    with contextlib.closing(stream(augmentation=STILL, workers=1)) as iterator:
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
        stream(workers=1).close()
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
