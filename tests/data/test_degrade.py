import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rireid_jax.data.degradation import KERNELS, downsample, downsample_by, draw_width


def widths(count, seed=0, suffix="jpg"):
    return [draw_width(seed, f"{n}.{suffix}", 8, 32) for n in range(count)]


def test_widths_are_uniform_in_the_half_open_range():
    counts = np.bincount(widths(4800), minlength=33)
    assert counts[:8].sum() == 0
    assert counts[32] == 0
    assert counts[8:32].min() > 140  # 200 expected of each, standard deviation 14
    assert counts[8:32].max() < 260
    assert widths(20) == widths(20)
    assert widths(20) != widths(20, seed=1)
    assert widths(20) != widths(20, suffix="png")


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
    assert len(results) == len(KERNELS) == 4
    for kernel in KERNELS:
        np.testing.assert_array_equal(downsample(image, 16, kernel), pixels)


@pytest.mark.parametrize("width", [0, 17])
def test_never_enlarges(width):
    with pytest.raises(ValueError, match="expected 1 to 16"):
        downsample(Image.new("RGB", (16, 16)), width, "bicubic")


def test_opencv_linear_is_that_of_opencv():
    """Computed by OpenCV 5.0.0: cv2.resize(pixels, (3, 4), interpolation=cv2.INTER_LINEAR)."""
    grey = (np.arange(35) ** 2 * 37 % 251).astype(np.uint8).reshape(7, 5)
    pixels = np.stack([grey, 255 - grey, grey // 2], -1)
    small = downsample(Image.fromarray(pixels), 3, "opencv_linear")
    assert small.size == (3, 4)
    np.testing.assert_array_equal(
        small,
        [
            [[60, 195, 30], [114, 141, 57], [127, 128, 63]],
            [[181, 74, 90], [69, 186, 34], [210, 45, 105]],
            [[153, 102, 76], [95, 160, 47], [217, 38, 108]],
            [[133, 122, 66], [192, 63, 96], [149, 106, 74]],
        ],
    )


@pytest.mark.torch
@settings(deadline=None)  # importing PyTorch takes a second
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_opencv_linear_samples_four_neighbours(height, width, data):
    torch = pytest.importorskip("torch")
    target = data.draw(st.integers(1, width))
    seed = data.draw(st.integers(0, 99))
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    small = downsample(Image.fromarray(pixels), target, "opencv_linear")
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].double(),
        size=(small.height, small.width),
        mode="bilinear",
        align_corners=False,
    )
    np.testing.assert_allclose(small, expected[0].permute(1, 2, 0).numpy(), atol=1)


@pytest.mark.parametrize(
    ("size", "ratio", "rounding", "expected"),
    [
        ((48, 128), 2, "round", (24, 64)),
        ((48, 128), 3, "round", (16, 43)),  # 42.67
        ((48, 128), 3, "floor", (16, 42)),
        ((50, 101), 4, "round", (12, 25)),  # 12.5, to even
        ((3, 2), 4, "floor", (1, 1)),
    ],
)
def test_size_by_ratio(size, ratio, rounding, expected):
    assert downsample_by(Image.new("RGB", size), ratio, "bicubic", rounding).size == expected


def test_height_is_rounded_as_told():
    image = Image.new("RGB", (10, 26))
    assert downsample(image, 3, "bicubic").size == (3, 8)  # 7.8
    assert downsample(image, 3, "bicubic", "floor").size == (3, 7)
