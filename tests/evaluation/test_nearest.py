"""The nearest images by their definition: a stable sort of exact distances."""

import numpy as np
import pytest

from rireid_jax.errors import UserError
from rireid_jax.evaluation import distances
from rireid_jax.evaluation.nearest import nearest


def sorted_by_distance(query, gallery, k):
    """Indices and distances in float64, one query at a time; of equal ones the first comes first."""
    rows = []
    for q in query.astype(np.float64):
        distance = np.sqrt(((gallery.astype(np.float64) - q) ** 2).sum(axis=1))
        order = np.argsort(distance, kind="stable")[:k]
        rows.append((order, distance[order]))
    return [np.array(part) for part in zip(*rows, strict=True)]


@pytest.mark.parametrize("k", [1, 10, 700])
@pytest.mark.parametrize("kind", ["normal", "ties", "far", "twins"])
def test_equals_a_stable_sort(kind, k, monkeypatch):
    monkeypatch.setattr(distances, "STRIP_BYTES", 2**17)  # several strips
    rng = np.random.default_rng(0)
    draw = {
        "normal": lambda n: rng.standard_normal((n, 24)),
        "ties": lambda n: rng.integers(0, 2, (n, 5)),
        "far": lambda n: 1000 + rng.standard_normal((n, 8)),
        "twins": lambda n: rng.standard_normal((9, 8))[rng.integers(0, 9, n)],
    }[kind]
    query, gallery = (draw(n).astype(np.float32) for n in (90, 600))
    found = nearest(query, gallery, k)
    indices, distance = sorted_by_distance(query, gallery, k)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distance, rtol=1e-14)


def test_by_hand():
    found = nearest([[0.0, 0.0]], [[3, 4], [0, 1], [3, 4], [0, 0]], k=3)
    assert found.indices.tolist() == [[3, 1, 0]]
    assert found.distances.tolist() == [[0, 1, 5]]


def test_features_that_do_not_fit():
    with pytest.raises(UserError, match="query_features: found dimension 2, expected 3"):
        nearest(np.eye(2), np.eye(3), 1)
    with pytest.raises(UserError, match="too far from those of gallery_features"):
        nearest([[2.2e18, 0]], np.eye(2) * 1e-20, 1)
