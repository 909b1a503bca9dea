"""PSNR and SSIM against scikit-image and hand-worked numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from rireid_jax.evaluation.ssim import ssim_map
from rireid_jax.models.psnr import masked_mean, psnr


def image_pairs(shape=(3, 40, 24, 3)):
    rng = np.random.default_rng(0)
    reference = rng.random(shape)
    noise = 0.3 * rng.standard_normal(shape) * np.arange(1, shape[0] + 1).reshape(-1, 1, 1, 1)
    image = np.clip(reference + noise, 0, 1)
    return jnp.asarray(image, jnp.float32), jnp.asarray(reference, jnp.float32)


def test_psnr_equals_scikit_image():
    image, reference = image_pairs()
    expected = [
        peak_signal_noise_ratio(np.asarray(reference[i]), np.asarray(image[i]), data_range=1)
        for i in range(3)
    ]
    np.testing.assert_allclose(jax.jit(psnr)(image, reference), expected, rtol=1e-5)


def test_psnr_by_hand():
    """Error 0.1 on the left half, 0.2 on the right: MSE 0.01 and 0.04, together 0.025."""
    is_left = jnp.arange(6) < 3
    reference = jnp.full((1, 4, 6, 3), 0.5)
    image = reference + jnp.where(is_left, 0.1, -0.2)[:, None]
    left = jnp.broadcast_to(is_left.astype(jnp.float32), (1, 4, 6))
    np.testing.assert_allclose(psnr(image, reference), -10 * np.log10(0.025), rtol=1e-5)
    np.testing.assert_allclose(psnr(image, reference, left), 20, rtol=1e-5)
    np.testing.assert_allclose(psnr(image, reference, 1 - left), -10 * np.log10(0.04), rtol=1e-5)
    # A soft mask weighs: (3 * 0.01 + 1.5 * 0.04) / 4.5 = 0.02 a row.
    soft = left + 0.5 * (1 - left)
    np.testing.assert_allclose(psnr(image, reference, soft), -10 * np.log10(0.02), rtol=1e-5)


def test_psnr_of_equal_images_is_infinite_and_of_no_area_is_nan():
    image, reference = image_pairs()
    assert np.isposinf(psnr(image, image)).all()
    mask = jnp.ones(image.shape[:3]).at[1].set(0)
    np.testing.assert_array_equal(np.isnan(psnr(image, reference, mask)), [False, True, False])
    np.testing.assert_array_equal(np.isnan(masked_mean(mask, mask)), [False, True, False])


@pytest.mark.parametrize("shape", [(3, 40, 24, 3), (2, 11, 64, 3)])
def test_ssim_map_equals_scikit_image(shape):
    image, reference = image_pairs(shape)
    found = jax.jit(ssim_map)(image, reference)
    interior = jnp.zeros(shape[1:3]).at[5:-5, 5:-5].set(1)
    interior_mean = masked_mean(found, jnp.broadcast_to(interior, found.shape))
    for i in range(shape[0]):
        mean, expected = structural_similarity(
            np.asarray(image[i], np.float64),
            np.asarray(reference[i], np.float64),
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
            channel_axis=-1,
        )
        np.testing.assert_allclose(found[i], expected.mean(axis=-1), atol=2e-5)
        assert interior_mean[i] == pytest.approx(mean, abs=1e-5)


def test_ssim_of_flat_images_by_hand():
    """Without variance only luminance is left: (2ab + C1) / (a^2 + b^2 + C1), C1 = 0.0001."""
    a, b = jnp.full((1, 12, 12, 3), 0.2), jnp.full((1, 12, 12, 3), 0.6)
    # float32 leaves a variance of 1e-7 beside C2 = 9e-4.
    np.testing.assert_allclose(ssim_map(a, b), (0.24 + 1e-4) / (0.4 + 1e-4), rtol=3e-4)
    np.testing.assert_allclose(ssim_map(a, a), 1, rtol=1e-6)
