from fractions import Fraction

import numpy as np
import pytest
import scipy.ndimage

from rireid_jax.errors import UserError
from rireid_jax.paper.systems.elf import elf, filters


def literal_hue_and_saturation(red, green, blue):
    """Exact, for a value on the border of two bins belongs to the upper one."""
    span, value = max(red, green, blue) - min(red, green, blue), max(red, green, blue)
    if not span:
        return 0, 0
    if value == red:
        hue = Fraction(green - blue, span) % 6
    elif value == green:
        hue = Fraction(blue - red, span) + 2
    else:
        hue = Fraction(red - green, span) + 4
    return hue / 6, Fraction(span, value)


def literal_elf(image, rows, columns):
    """29 histograms of every cell of one image, pixel by pixel."""
    height, width, _ = image.shape
    luminance = image @ [0.299, 0.587, 0.114] / 255
    textures = [scipy.ndimage.convolve(luminance, kernel, mode="nearest") for kernel in filters()]
    counts = np.zeros((rows * columns, 29, 16))
    for y in range(height):
        for x in range(width):
            red, green, blue = image[y, x] / 255
            hue, saturation = literal_hue_and_saturation(*map(int, image[y, x]))
            values = [red, green, blue, luminance[y, x]]
            values += [17 / 32 + (blue - luminance[y, x]) / 1.772]
            values += [17 / 32 + (red - luminance[y, x]) / 1.402, hue, saturation]
            values += [17 / 32 + 2 * texture[y, x] for texture in textures]
            cell = (y * rows // height) * columns + x * columns // width
            for channel, value in enumerate(values):
                counts[cell, channel, min(max(int(value * 16), 0), 15)] += 1
    return np.sqrt(counts / counts.sum(-1, keepdims=True)).reshape(rows * columns, -1)


@pytest.mark.parametrize(("size", "grid"), [((13, 7), (6, 1)), ((8, 9), (2, 3)), ((60, 5), (4, 1))])
def test_elf_is_29_histograms_a_cell(size, grid):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (17, *size, 3)).astype(np.uint8)  # more than one chunk
    features = elf(images, grid)
    assert features.dtype == np.float32
    for image in (0, 16):
        np.testing.assert_allclose(features[image], literal_elf(images[image], *grid), atol=1e-6)


def test_filters():
    bank = filters()
    np.testing.assert_allclose(bank.sum((1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(np.abs(bank).sum((1, 2)), 1)
    np.testing.assert_allclose(bank, bank[:, ::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(bank[:13], bank[:13].transpose(0, 2, 1), atol=1e-12)  # Schmid
    # Schmid's (4, 2): cos(pi 2 r / 4) exp(-r^2 / 32), here at r = 0, 1, 2, 4 up to mean and scale.
    profile = np.array([1, 0, -np.exp(-1 / 8), np.exp(-1 / 2)])
    found = bank[2, 24, [24, 25, 26, 28]]
    np.testing.assert_allclose(np.diff(found) / (found[1] - found[0]), np.diff(profile) / -1)
    # Gabor at 0 degrees, wavelength 4, deviation 2: exp(-x^2 / 8) cos(pi x / 2) along x.
    profile = np.array([1, 0, -np.exp(-1 / 2), np.exp(-2)])
    found = bank[13, 24, [24, 25, 26, 28]]
    np.testing.assert_allclose(np.diff(found) / (found[1] - found[0]), np.diff(profile) / -1)
    np.testing.assert_allclose(bank[15], bank[13].T, atol=1e-12)  # 90 degrees


def test_people_are_cut_into_six_stripes():
    assert elf(np.zeros((1, 12, 6, 3), np.uint8)).shape == (1, 6, 464)
    with pytest.raises(
        UserError, match=r"^images: found 4 x 9 pixels, expected at least \(6, 1\)$"
    ):
        elf(np.zeros((1, 4, 9, 3), np.uint8))
