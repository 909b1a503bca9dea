import numpy as np

from rireid_jax.training.masks.gaussian import gaussian_mask


def test_by_hand():
    # 3 x 5, sigma 1/3 and 2/5: one and two pixels; the centre is pixel (1, 2).
    mask = gaussian_mask(3, 5, (1 / 3, 2 / 5))
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask[1, 2], 1.0, rtol=1e-6)
    np.testing.assert_allclose(mask[0, 2], np.exp(-1 / 2), rtol=1e-6)
    np.testing.assert_allclose(mask[1, 0], np.exp(-1 / 2), rtol=1e-6)
    np.testing.assert_allclose(mask[2, 3], np.exp(-1 / 2 - 1 / 8), rtol=1e-6)


def test_centred_between_pixels_and_symmetric():
    mask = gaussian_mask(64, 32, (1 / 3, 1 / 3))
    np.testing.assert_array_equal(mask, mask[::-1])
    np.testing.assert_array_equal(mask, mask[:, ::-1])
    assert mask.argmax() in (31 * 32 + 15, 31 * 32 + 16, 32 * 32 + 15, 32 * 32 + 16)
    assert (np.diff(mask[:32, 3]) > 0).all()
    # The same fraction of a larger image: the same mask at the same place, between pixels.
    larger = gaussian_mask(128, 64, (1 / 3, 1 / 3)).reshape(64, 2, 32, 2).mean((1, 3))
    np.testing.assert_allclose(larger, mask, atol=1e-3)
