"""Strips of distances: exact ties, precision, bounded blocks, and refused input."""

import jax
import numpy as np
import pytest

from rireid_jax.errors import UserError
from rireid_jax.evaluation import distances
from rireid_jax.evaluation.distances import labelled_features, strips


def labelled(features, pids=None, camids=0):
    count = len(features)
    pids = np.arange(count) if pids is None else pids
    return labelled_features("gallery", features, pids, np.full(count, camids))


def all_distances(query, gallery):
    order = np.arange(len(query))
    blocks = [
        np.asarray(distances.distances(strip))[: len(rows), : len(gallery)]
        for rows, strip in strips(query, gallery, order)
    ]
    return np.concatenate(blocks)


@pytest.mark.parametrize(
    ("num_query", "num_gallery", "dim"),
    [(1, 3, 1), (7, 600, 33), (37, 1537, 257), (256, 2048, 256)],
)
def test_equal_features_have_bit_equal_distances(num_query, num_gallery, dim):
    rng = np.random.default_rng(dim)
    gallery = rng.standard_normal((num_gallery, dim)).astype(np.float32) + 5
    copies = rng.integers(0, num_gallery, (2, num_gallery))
    gallery[copies[0]] = gallery[copies[1]]
    gallery[-1] = gallery[0]  # first and last column
    queries = rng.standard_normal((num_query, dim)).astype(np.float32) + 5
    found = all_distances(labelled(queries, camids=1), labelled(gallery))

    _, representative, group = np.unique(gallery, axis=0, return_index=True, return_inverse=True)
    assert len(representative) < num_gallery
    np.testing.assert_array_equal(found, found[:, representative[group]])


def test_distances_are_squared_euclidean_up_to_a_constant_per_query():
    rng = np.random.default_rng(0)
    gallery, queries = rng.standard_normal((50, 8)), rng.standard_normal((4, 8))
    found = all_distances(labelled(queries, camids=1), labelled(gallery))
    expected = ((queries[:, None] - gallery) ** 2).sum(-1)
    difference = np.diff(expected, axis=1)
    scale = np.median(np.diff(found, axis=1) / difference)
    np.testing.assert_allclose(np.diff(found, axis=1), scale * difference, atol=1e-4)


@pytest.mark.parametrize(("offset", "factor"), [(0, 1), (4096, 1), (0, 1e30), (1000, 1e-30)])
def test_order_survives_offset_and_scale(offset, factor):
    """|g|^2 - 2 q.g of features near 4096 would be lost to cancellation, of 1e30 to overflow."""
    rng = np.random.default_rng(1)
    gallery = ((rng.standard_normal((200, 16)) + offset) * factor).astype(np.float32)
    queries = ((rng.standard_normal((3, 16)) + offset) * factor).astype(np.float32)
    found = all_distances(labelled(queries, camids=1), labelled(gallery))
    exact = ((queries[:, None].astype(float) - gallery.astype(float)) ** 2).sum(-1)
    np.testing.assert_array_equal(np.argsort(found), np.argsort(exact))


def test_quantised_features_keep_their_ties():
    """Integers around 1000: many pairs of different images are equally far, and exactly so."""
    rng = np.random.default_rng(2)
    gallery = rng.integers(998, 1003, (300, 6)).astype(np.float32)
    queries = rng.integers(998, 1003, (5, 6)).astype(np.float32)
    found = all_distances(labelled(queries, camids=1), labelled(gallery))
    exact = ((queries[:, None] - gallery) ** 2).sum(-1)
    order = np.argsort(exact, kind="stable")
    assert any(len(np.unique(row)) < 100 for row in exact)
    np.testing.assert_array_equal(np.argsort(found, kind="stable"), order)


def test_removed_images_are_infinitely_far():
    gallery = labelled_features("gallery", np.eye(4), [1, 1, -1, 2], [0, 1, 1, 0])
    query = labelled_features("query", np.eye(4)[:1], [1], [0])
    found = all_distances(query, gallery)
    np.testing.assert_array_equal(np.isinf(found), [[True, False, True, False]])


def test_strips_are_bounded_equal_and_complete(monkeypatch):
    monkeypatch.setattr(distances, "STRIP_BYTES", 4 * 1024 * 64)  # 64 rows of 1024
    rng = np.random.default_rng(3)
    gallery, query = labelled(rng.random((600, 4))), labelled(rng.random((150, 4)))
    order = rng.permutation(150)
    blocks = list(strips(query, gallery, order))
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in blocks]), order)
    shapes = {(strip.queries.shape, strip.gallery.shape) for _, strip in blocks}
    assert shapes == {((64, 4), (1024, 4))}


def test_runs_on_the_default_device():
    rng = np.random.default_rng(4)
    gallery, query = labelled(rng.random((9, 4))), labelled(rng.random((3, 4)), camids=1)
    device = jax.devices()[-1]
    with jax.default_device(device):
        ((_, strip),) = strips(query, gallery, np.arange(3))
        result = distances.distances(strip)
    assert result.devices() == {device}


@pytest.mark.parametrize(
    ("features", "pids", "camids", "message"),
    [
        (np.zeros(3), [0] * 3, [0] * 3, r"gallery_features: found shape \[3\]"),
        (np.zeros((0, 3)), [], [], r"gallery_features: found shape \[0, 3\]"),
        (np.zeros((2, 0)), [0] * 2, [0] * 2, r"gallery_features: found shape \[2, 0\]"),
        ([["a"]], [0], [0], "gallery_features: expected an array of numbers"),
        ([[0.0], [np.nan], [np.inf]], [0] * 3, [0] * 3, "gallery_features: 2 of 3 rows"),
        ([[1e300]], [0], [0], "gallery_features: 1 of 1 rows"),
        (np.zeros((2, 3)), [0], [0] * 2, r"gallery_pids: found int64 of shape \[1\]"),
        (np.zeros((2, 3)), [0.0, 1.0], [0] * 2, "gallery_pids: found float64"),
        (np.zeros((2, 3)), [0] * 2, [[0], [0]], r"gallery_camids: found int64 of shape \[2, 1\]"),
    ],
)
def test_bad_arrays_are_refused_by_name(features, pids, camids, message):
    with pytest.raises(UserError, match=message):
        labelled_features("gallery", features, pids, camids)


def test_different_dimensions_are_refused():
    with pytest.raises(UserError, match="query_features: found dimension 3, expected 4"):
        all_distances(labelled(np.zeros((2, 3))), labelled(np.zeros((2, 4))))
