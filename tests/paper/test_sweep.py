"""The same images at every resolution, with networks that can be worked out by hand."""

import numpy as np
import pytest
from PIL import Image

from rireid_jax.data.degradation import downsample
from rireid_jax.data.records import Record, encode_png
from rireid_jax.errors import UserError
from rireid_jax.paper import sweep
from rireid_jax.paper.objective import objective
from rireid_jax.paper.sweep import RESOLUTIONS, Originals, gate_curves, objective_curves

WIDTH_MAX = 16


def picture(seed, width=WIDTH_MAX):
    pixels = np.random.default_rng(seed).integers(0, 256, (2 * width, width, 3), np.uint8)
    return Image.fromarray(pixels)


def record(pid, seed, width=WIDTH_MAX, original=True):
    target = picture(seed, width)
    image = encode_png(downsample(target, 4, "bicubic"))
    name = f"{pid}_{seed}.png"
    return Record(image, encode_png(target) if original else b"", b"", pid, 0, 0.25, name)


def originals(width_max=WIDTH_MAX):
    query = [record(1, 0), record(2, 1)]
    gallery = [record(2, 2), record(1, 3), record(2, 4), record(0, 5), record(1, 6, original=False)]
    return Originals(query, gallery, width_max)


def pixels_at(found, resolution):
    return [np.asarray(image) for images in found.at(resolution) for image in images]


def test_originals_of_people_with_a_query(monkeypatch):
    monkeypatch.setattr(sweep, "_AT_ONCE", 2)
    found = originals()
    np.testing.assert_array_equal(found.pids, [1, 2, 2, 1, 2])  # no distractor, no low image
    assert [len(images) for images in found.at(0.5)] == [2, 2, 1]
    for image, seed in zip(pixels_at(found, 1.0), (0, 1, 2, 3, 4), strict=True):
        np.testing.assert_array_equal(image, np.asarray(picture(seed)))


@pytest.mark.parametrize(
    ("resolution", "width_max", "width"),
    # Narrow images are not enlarged.
    [(0.125, 16, 2), (0.5, 16, 8), (0.01, 16, 1), (0.5, 64, 16), (0.125, 64, 8)],
)
def test_images_are_degraded(resolution, width_max, width):
    for image, seed in zip(pixels_at(originals(width_max), resolution), range(5), strict=True):
        assert image.shape == (2 * width, width, 3)
        expected = picture(seed).resize((width, 2 * width), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(image, np.asarray(expected))


def extract(images):
    """The mean colour of the upper and of the lower half."""
    halves = [np.array_split(np.asarray(image, np.float32) / 255, 2) for image in images]
    return np.stack([[half.mean((0, 1)) for half in pair] for pair in halves]).reshape(-1, 6)


def test_objective_curves():
    found = originals()
    curves = objective_curves(extract, found)
    assert RESOLUTIONS == (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1)
    full = extract([picture(seed) for seed in range(5)])
    for i, resolution in enumerate(RESOLUTIONS):
        width = round(resolution * WIDTH_MAX)
        low = extract([downsample(picture(seed), width, "bicubic") for seed in range(5)])
        assert curves.equal[i] == objective(low, low, found.pids)
        assert curves.varied[i] == objective(low, full, found.pids)
    assert curves.equal[-1] == curves.varied[-1]
    assert curves.varied[0] != curves.equal[0]


def test_gate_curves(monkeypatch):
    monkeypatch.setattr(sweep, "_AT_ONCE", 2)
    seen = []

    def gates(images):
        seen.extend(images)
        widths = np.array([image.width / WIDTH_MAX for image in images])
        place = np.arange(len(seen) - len(images), len(seen)) % 5
        return np.stack([1 - widths, 0 * widths], 1), np.stack([widths, place / 4], 1)

    curves = gate_curves(gates, originals())
    assert curves.mean.shape == curves.deviation.shape == (8, 2, 2)
    resolution = np.array(RESOLUTIONS)
    np.testing.assert_allclose(curves.mean[:, 0], np.stack([1 - resolution, resolution], 1))
    np.testing.assert_allclose(curves.mean[:, 1], np.tile([0, 0.5], (8, 1)))
    np.testing.assert_allclose(curves.deviation[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(curves.deviation[:, 1], np.tile([0, np.sqrt(1 / 8)], (8, 1)))


def test_nothing_to_measure():
    with pytest.raises(UserError, match="no high-resolution original in 2 images"):
        Originals([record(1, 0, original=False)], [record(2, 1)], WIDTH_MAX)
    with pytest.raises(UserError, match="found one image of each of 2 identities"):
        objective_curves(extract, Originals([record(1, 0), record(2, 1)], [], WIDTH_MAX))
    with pytest.raises(UserError, match="without dual-stream blocks"):
        gate_curves(lambda images: (np.zeros((len(images), 0)),) * 2, originals())
