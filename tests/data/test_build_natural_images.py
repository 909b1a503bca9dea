"""Crops of photographs, and dead leaves where there are none."""

import itertools
import logging
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rireid_jax import progress_bar
from rireid_jax.data.build import build, makers
from rireid_jax.data.datasets.natural_images import NaturalImages
from rireid_jax.data.dead_leaves import dead_leaves
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError


def build_from(raw, tmp_path, **change):
    recipe = dict(count=4, size=(16, 8), seed=0) | change
    return build("natural_images", recipe, data_dir=str(tmp_path / "data"), raw_dir=str(raw))


@pytest.fixture
def photos(tmp_path):
    """Six images of which two are too small; every pixel of the others is unlike all others."""
    raw = tmp_path / "pho tos"
    (raw / "deep er").mkdir(parents=True)
    for n, (height, width) in enumerate([(20, 30), (16, 8), (15, 30), (40, 7), (33, 21), (16, 9)]):
        place = np.arange(height * width).reshape(height, width)
        pixels = np.stack([place % 256, place // 256, np.full_like(place, n)], axis=-1)
        name = f"deep er/{n}.png" if n % 2 else f"{n}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(raw / name)
    return raw


@pytest.mark.parametrize(
    ("num_images", "drawn", "photographs"),
    [(62, 1000, 9000), (101, 2000, 9000), (240, 4000, 9000), (5000, 9000, 9000)],
)
def test_as_many_are_drawn_as_the_data_call_for(num_images, drawn, photographs):
    recipe = {"count": 9000, "size": (16, 8), "seed": 0}
    for raw_dir, count in (("", drawn), ("photos", photographs)):
        found = NaturalImages.recipe_for(recipe, raw_dir, num_images)
        assert found == {**recipe, "count": count}


def test_a_long_build_says_how_far_it_is(tmp_path, monkeypatch, caplog):
    clock = itertools.count(step=5.0)  # seconds, at every image
    monkeypatch.setattr(progress_bar, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with caplog.at_level("INFO"):
        build_from("", tmp_path, count=10)
    lines = [message for message in caplog.messages if "left" in message]
    assert lines == [
        "natural_images: 4 of 10 images, about 30 s left",
        "natural_images: 8 of 10 images, about 10 s left",
    ]


class Killed(NaturalImages):
    def make(self, item):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_drawing_process_is_an_error(monkeypatch):
    monkeypatch.setattr(makers, "_WORTH_PROCESSES", 1)
    dataset = Killed(dict(count=40, size=(16, 8), seed=0))
    with (
        pytest.raises(UserError, match=r"build_threads: a process that draws images was killed"),
        makers.makers(dataset, 40, 2) as make,
    ):
        list(make(dataset.items["train"]))


def test_dead_leaves(tmp_path):
    built = build_from("", tmp_path)
    assert list(built.splits) == ["train"]
    rows = list(built.splits["train"])
    assert len(rows) == 4
    for n, record in enumerate(rows):
        assert record.target == record.image
        assert (record.mask, record.pid, record.resolution) == (b"", 0, 1.0)
        np.testing.assert_array_equal(decode_image(record.image, "x"), dead_leaves(0, n, (16, 8)))


@pytest.mark.parametrize(
    ("count", "warning"),
    [
        (5, "4 of the 5 images asked for, 2 passed over as smaller than"),
        (6, "2 images passed over as too small"),
        (10, "found 6 of the 10 images asked for"),
    ],
)
def test_crops_of_a_folder(photos, tmp_path, caplog, count, warning):
    with caplog.at_level(logging.WARNING, logger="rireid_jax"):
        rows = list(build_from(photos, tmp_path, count=count).splits["train"])
    assert warning in caplog.text
    assert [r.name for r in rows] == ["0.png", "4.png", "deep er/1.png", "deep er/5.png"]
    for record in rows:
        whole = np.asarray(Image.open(photos / record.name))
        crop = np.asarray(decode_image(record.image, "x"))
        assert crop.shape == (16, 8, 3)
        number = int(crop[0, 0, 0]) + 256 * int(crop[0, 0, 1])
        top, left = divmod(number, whole.shape[1])
        np.testing.assert_array_equal(crop, whole[top : top + 16, left : left + 8])


def test_count_and_seed_choose(photos, tmp_path):
    chosen = {
        tuple(r.name for r in build_from(photos, tmp_path, count=2, seed=s).splits["train"])
        for s in range(8)
    }
    assert {len(names) for names in chosen} == {2}
    assert len(chosen) > 1


def test_drawn_and_photographed_do_not_mix(photos, tmp_path):
    drawn, taken = build_from("", tmp_path), build_from(photos, tmp_path)
    assert drawn.protocol_hash != taken.protocol_hash
    assert list(build_from("", tmp_path).splits["train"]) == list(drawn.splits["train"])


def test_photographs_that_are_too_small(photos, tmp_path):
    with pytest.raises(UserError, match=r"raw_dir: found no images of at least \(64, 32\)"):
        build_from(photos, tmp_path, size=(64, 32))
