import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rireid_jax.config import KERNELS
from rireid_jax.data.degrade import RESAMPLING, downsample, draw_width


def test_kernels_are_those_of_the_config():
    assert tuple(RESAMPLING) == KERNELS


def test_widths_are_uniform_in_the_half_open_range():
    widths = [draw_width(0, f"{n}.jpg", 8, 32) for n in range(4800)]
    counts = np.bincount(widths, minlength=33)
    assert counts[:8].sum() == 0
    assert counts[32] == 0
    assert counts[8:32].min() > 140  # 200 expected of each, standard deviation 14
    assert counts[8:32].max() < 260


def test_widths_depend_on_seed_and_name():
    first = [draw_width(0, f"{n}.jpg", 8, 32) for n in range(20)]
    assert first == [draw_width(0, f"{n}.jpg", 8, 32) for n in range(20)]
    assert first != [draw_width(1, f"{n}.jpg", 8, 32) for n in range(20)]
    assert first != [draw_width(0, f"{n}.png", 8, 32) for n in range(20)]


def test_bilinear_by_hand():
    # Halving: a triangle of half width 2 about 1.0 and 3.0 over pixel centres 0.5 ... 3.5, whose
    # weights are 3/7, 3/7, 1/7 and mirrored.
    row = np.array([0, 0, 70, 70], np.uint8)
    image = Image.fromarray(np.tile(row[None, :, None], (4, 1, 3)))
    small = np.asarray(downsample(image, 2, "bilinear"))
    assert small.shape == (2, 2, 3)
    assert (small[:, 0] == 10).all()
    assert (small[:, 1] == 60).all()


@given(st.integers(1, 60), st.integers(1, 60), st.data(), st.sampled_from(KERNELS))
def test_size_and_constant(height, width, data, kernel):
    target = data.draw(st.integers(1, width))
    small = downsample(Image.new("RGB", (width, height), (9, 90, 200)), target, kernel)
    assert small.size == (target, max(1, round(height * target / width)))
    assert small.getextrema() == ((9, 9), (90, 90), (200, 200))


def test_kernels_differ_and_full_width_changes_nothing():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    image = Image.fromarray(pixels)
    results = {np.asarray(downsample(image, 7, kernel)).tobytes() for kernel in KERNELS}
    assert len(results) == 3
    np.testing.assert_array_equal(downsample(image, 16, "bicubic"), pixels)


@pytest.mark.parametrize("width", [0, 17])
def test_never_enlarges(width):
    with pytest.raises(ValueError, match="expected 1 to 16"):
        downsample(Image.new("RGB", (16, 16)), width, "bicubic")
