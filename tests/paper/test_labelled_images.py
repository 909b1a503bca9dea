import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rireid_jax.errors import UserError
from rireid_jax.evaluation import rank
from rireid_jax.paper.systems.labelled_images import (
    LabelledImages,
    at_resolution,
    features_with_distances,
    low_threshold,
    shrink,
)


def make(count=4, **replaced):
    fields = {
        "images": np.zeros((count, 4, 2, 3), np.uint8),
        "pids": np.arange(count),
        "camids": np.arange(count),
        "resolutions": np.ones(count),
    }
    return LabelledImages(**fields | replaced)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"pids": np.arange(3)}, "pids: found 3 values, expected 4, one an image"),
        ({"camids": np.arange(5)}, "camids: found 5 values, expected 4, one an image"),
        ({"resolutions": np.array([1, 1, 1, 1.5])}, "resolutions: found 1.0 to 1.5, expected"),
        ({"resolutions": np.array([1, 1, 1, 0.0])}, "resolutions: found 0.0 to 1.0, expected"),
        ({"resolutions": np.array([1, 1, 1, np.nan])}, "resolutions: found nan to nan, expected"),
        ({"count": 0}, "images: found none"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(replaced, message):
    with pytest.raises(UserError, match=message):
        make(**replaced)


def test_rows_are_selected_in_every_field():
    images = make()
    images.images[:] = np.arange(4, dtype=np.uint8)[:, None, None, None]
    chosen = images[np.array([3, 1])]
    for field in (chosen.pids, chosen.camids, chosen.images[:, 0, 0, 0]):
        assert field.tolist() == [3, 1]


def test_low_is_up_to_halfway():
    assert low_threshold(np.array([0.25, 1.0, 0.5])) == 0.625


def test_only_what_is_sharper_is_reduced():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 8, 4, 3)).astype(np.uint8)
    shown = at_resolution(images, np.array([0.5, 1.0]), 0.5)
    np.testing.assert_array_equal(shown[0], images[0])
    assert shown.shape == images.shape
    assert shown[1].std() < 0.7 * images[1].std()
    assert shrink(images, 0.5).shape == (2, 4, 2, 3)
    np.testing.assert_array_equal(at_resolution(images, np.ones(2), 1.0), images)


@given(
    arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(-9, 9))
)
def test_features_order_the_gallery_as_the_distances_do(distances):
    query, gallery = features_with_distances(distances)
    squares = np.square(query[:, None] - gallery).sum(-1)
    for row, expected in zip(squares, distances, strict=True):
        difference = np.subtract.outer(row, row)
        sign = np.where(np.abs(difference) < 1e-9, 0, np.sign(difference))
        np.testing.assert_array_equal(sign, np.sign(np.subtract.outer(expected, expected)))


def test_evaluation_ranks_a_matrix_of_distances():
    rng = np.random.default_rng(1)
    distances = rng.normal(0, 100, (50, 200)) ** 3
    pids, camera = rng.integers(0, 20, 250), np.zeros(50, int)
    query, gallery = features_with_distances(distances)
    found = rank(query, gallery, pids[:50], pids[50:], camera, np.ones(200, int))
    hits = pids[50:][distances.argsort(1)] == pids[:50, None]
    assert found["rank1"] == pytest.approx(hits[:, 0].mean())
    precision = hits.cumsum(1) / np.arange(1, 201)
    assert found["mAP"] == pytest.approx(np.mean((precision * hits).sum(1) / hits.sum(1)), abs=1e-6)
