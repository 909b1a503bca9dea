import numpy as np
import pytest

from rireid_jax.data.dead_leaves import dead_leaves


def test_same_arguments_same_image():
    image = dead_leaves(3, 5, (64, 32))
    np.testing.assert_array_equal(image, dead_leaves(3, 5, (64, 32)))
    assert (image != dead_leaves(3, 6, (64, 32))).mean() > 0.5
    assert (image != dead_leaves(4, 5, (64, 32))).mean() > 0.5


@pytest.mark.parametrize("size", [(64, 32), (32, 64), (17, 23), (128, 128), (1, 1), (2, 40)])
def test_any_size(size: tuple[int, int]):
    image = dead_leaves(0, 0, size)
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8


def radial_slope(images: list[np.ndarray]) -> float:
    """Slope of log(power) over log(frequency) of the mean spectrum of square images."""
    side = len(images[0])
    window = np.hanning(side)[:, None] * np.hanning(side)
    grey = np.stack([image.mean(axis=-1) for image in images])
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(grey * window)) ** 2).mean(axis=0)
    radius = side * np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    rings = np.arange(3, side // 3)
    means = [power[np.abs(radius - ring) < 0.5].mean() for ring in rings]
    return float(np.polyfit(np.log(rings), np.log(means), 1)[0])


def test_power_spectrum_falls_as_that_of_natural_images():
    images = [dead_leaves(1, index, (64, 64)) for index in range(32)]
    assert -2.7 < radial_slope(images) < -1.8


def test_gradients_are_sparse():
    # Mostly flat with few strong edges: a kurtosis far above the Gaussian's 3.
    grey = np.stack([dead_leaves(2, index, (64, 64)).mean(axis=-1) for index in range(16)])
    gradient = np.diff(grey, axis=2)
    kurtosis = (gradient**4).mean() / (gradient**2).mean() ** 2
    assert kurtosis > 4.5


def test_images_cover_the_range_of_grey_levels():
    pixels = np.stack([dead_leaves(0, index, (32, 32)) for index in range(48)])
    low, high = np.percentile(pixels, [5, 95])
    assert low < 50
    assert high > 200
    # Colours, not greys, and none of the three channels stands out.
    assert pixels.std(axis=-1).mean() > 5
    assert np.ptp(pixels.mean(axis=(0, 1, 2))) < 25
