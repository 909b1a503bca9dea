"""Views of images, and features that are means over them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from networks import network_of
from scipy import ndimage

from rireid_jax import Extractor
from rireid_jax.data.loader import load_image
from rireid_jax.evaluation.views import VIEWS, View, shifted
from rireid_jax.models.network import infer, initialise
from rireid_jax.models.pixels import normalise

SIZE = (32, 16)


@functools.cache
def network_and_variables():
    network = network_of("resnet50", neck="none")
    return network, initialise(network, 0, SIZE)


def images():
    """Two at the network's size, and two of a quarter of it."""
    rng = np.random.default_rng(0)
    sizes = [SIZE, SIZE, (8, 4), (8, 4)]
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def test_shift_by_hand():
    row = jnp.array([[0.0, 1, 2, 4]]).repeat(4, 0)[:, None, :, None]
    moved = np.array(shifted(row, jnp.array([0.5, 1, -0.5, -9]), axis=2))[:, 0, :, 0]
    expected = [[0, 0.5, 1.5, 3], [0, 0, 1, 2], [0.5, 1.5, 3, 4], [4, 4, 4, 4]]
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_views_shift_by_half_a_native_pixel():
    """An image 16 pixels wide of native 4: one native pixel is 4 of the network's, in both directions."""
    image = np.random.default_rng(1).random((3, 32, 16, 3), np.float32)
    width = np.array([4, 16, 0], np.int32)  # the last one fills up a batch
    found = np.array(View(-0.5, 0.5, mirrored=True)(jnp.asarray(image), jnp.asarray(width)))
    for one, pixels, moved in zip(image, (2, 0.5, 8), found, strict=True):
        expected = ndimage.shift(one, (-pixels, pixels, 0), order=1, mode="nearest")[:, ::-1]
        np.testing.assert_allclose(moved, expected, atol=1e-5)
    assert [len(views) for views in VIEWS.values()] == [1, 2, 10]
    assert all(views[0] == View() and len(set(views)) == len(views) for views in VIEWS.values())


def test_features_are_means_over_views():
    views = "flip_crops"
    network, variables = network_and_variables()
    loaded = [load_image(image, SIZE, i) for i, image in enumerate(images())]
    pixels = normalise(jnp.stack([image for image, _ in loaded]))
    width = jnp.array([native for _, native in loaded], np.int32)
    feature = jax.jit(lambda image: infer(network, variables, image, width).feature)
    expected = np.mean([feature(view(pixels, width)) for view in VIEWS[views]], axis=0)

    extractor = Extractor(network, variables, SIZE, 8, views=views)
    found = extractor.extract(images())
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)
    one = Extractor(network, variables, SIZE, 8)
    assert np.abs(one.extract(images()) - found).max() > 1e-2 * np.abs(found).max()
    np.testing.assert_array_equal(one.restore(images()), extractor.restore(images()))
    assert one.fingerprint != extractor.fingerprint
    unit = Extractor(network, variables, SIZE, 8, normalised=True, views=views).extract(images())
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, expected / norms, rtol=2e-4, atol=1e-5)
