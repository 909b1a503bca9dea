"""Re-ranking against its definition, and rankings by distances that are not those of features."""

import dataclasses

import numpy as np
import pytest
import ranking_oracle
from reranking_oracle import reranked

from rireid_jax.errors import UserError
from rireid_jax.evaluation import distances, k_reciprocal, rank
from rireid_jax.evaluation.distances import labelled_features
from rireid_jax.evaluation.k_reciprocal import KReciprocal
from rireid_jax.evaluation.ranking import rank_matches


def clustered(rng, num_query, num_gallery, num_pids=12, dim=16, noise=0.7):
    centres = rng.standard_normal((num_pids, dim))
    qpids, gpids = rng.integers(0, num_pids, num_query), rng.integers(0, num_pids, num_gallery)
    sides = [
        (centres[pids] + noise * rng.standard_normal((len(pids), dim))).astype(np.float32)
        for pids in (qpids, gpids)
    ]
    cameras = rng.integers(0, 3, num_query), rng.integers(0, 3, num_gallery)
    return [*sides, qpids, gpids, *cameras]


def whole(method, query, gallery, gpids=None):
    sides = [
        labelled_features(name, side, np.ones(len(side), int), np.full(len(side), camera))
        for camera, (name, side) in enumerate((("query", query), ("gallery", gallery)))
    ]
    if gpids is not None:
        sides[1] = dataclasses.replace(sides[1], pids=gpids)
    return method(*sides)(np.arange(len(query)))


@pytest.mark.parametrize(
    ("num_query", "num_gallery", "options"),
    [
        (17, 130, {}),  # the paper's: k1 20, k2 6, lambda 0.3
        (17, 130, {"k1": 7, "k2": 1, "lambda_value": 0.0}),  # half of 7 rounds to 4
        (17, 130, {"k1": 5, "k2": 9, "lambda_value": 0.5}),  # half of 5 rounds to 2; k2 above k1
        (3, 9, {}),  # fewer images than neighbours
        (1, 1, {"k1": 1, "k2": 2}),
    ],
)
def test_equals_the_definition(num_query, num_gallery, options):
    method = KReciprocal(**options)
    rng = np.random.default_rng(num_query)
    count = num_query + num_gallery
    for features in (
        np.concatenate(clustered(rng, num_query, num_gallery)[:2]),
        rng.standard_normal((count, 24)).astype(np.float32),
        1e18 * np.concatenate(clustered(rng, num_query, num_gallery)[:2]),
        rng.integers(0, 3, (count, 4)).astype(np.float32),  # ties, and twins
    ):
        sides = features[:num_query], features[num_query:]
        expected = reranked(*sides, method.k1, method.k2, method.lambda_value)
        np.testing.assert_allclose(whole(method, *sides), expected, atol=1e-5, rtol=0)


def test_hand_worked_example():
    """Query at 0, gallery at 1 and 3, k1 = 1, k2 = 1, lambda = 1/2.

    Two nearest: of 0 {0, 1}, of 1 {1, 0}, of 3 {3, 1}; reciprocal: {0, 1}, {0, 1}, {3}. Half of 1 rounds to 0, so that
    nothing grows. d of 0: 1/9 to 1, 1 to 3; of 1: 1/4 to 0. With a = exp(-1/9), b = exp(-1/4), V is (1, a) / (1 + a)
    and (b, 1) / (1 + b) for the two, whose sum of minima is m = b / (1 + b) + a / (1 + a).
    """
    a, b = np.exp(-1 / 9), np.exp(-1 / 4)
    shared = b / (1 + b) + a / (1 + a)
    expected = [[0.5 * (1 - shared / (2 - shared)) + 0.5 / 9, 0.5 * 1 + 0.5 * 1]]
    found = whole(KReciprocal(k1=1, k2=1, lambda_value=0.5), [[0.0]], [[1.0], [3.0]])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_blocks_do_not_change_the_values(monkeypatch):
    features = clustered(np.random.default_rng(2), 40, 300)[:2]
    found = whole(KReciprocal(), *features)
    monkeypatch.setattr(k_reciprocal, "STRIP_BYTES", 1)  # blocks of 32 images
    monkeypatch.setattr(k_reciprocal, "_PAIRS_AT_ONCE", 512)
    np.testing.assert_allclose(whole(KReciprocal(), *features), found, atol=1e-7)


def test_images_that_are_all_alike_are_equally_near():
    found = whole(KReciprocal(), np.ones((2, 3)), np.ones((5, 3)))
    np.testing.assert_array_equal(found, np.full((2, 5), found[0, 0]))


def by_sorting(distance, qpids, gpids, qcamids, gcamids):
    """The oracle of ranking on a line for each query, on which the gallery lies at its distances."""
    rows = [
        ranking_oracle.rank_one_query(np.zeros(1), p, c, row[:, None], gpids, gcamids)
        for row, p, c in zip(np.sqrt(distance), qpids, qcamids, strict=True)
    ]
    return ranking_oracle.metrics(rows)


def test_rank_orders_by_the_final_distances_and_leaves_junk_out():
    search = clustered(np.random.default_rng(3), 30, 200, noise=1.5)
    search[3][::9] = -1
    query, gallery, qpids, gpids, *cameras = search
    ranked = gpids >= 0
    final = reranked(query, gallery[ranked], 20, 6, 0.3)
    expected = by_sorting(final, qpids, gpids[ranked], cameras[0], cameras[1][ranked])
    plain, found = rank(*search), rank(*search, rerank="k_reciprocal")
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    assert found["num_gallery"] == np.count_nonzero(ranked)
    assert found["mAP"] > plain["mAP"] + 0.02  # what it is for
    assert rank(*search, rerank=KReciprocal(lambda_value=1.0)) == plain


@pytest.mark.parametrize("protocol", ["single_shot", "cuhk03"])
def test_protocols_that_draw_are_reranked(protocol):
    search = clustered(np.random.default_rng(4), 20, 150, noise=1.2)
    search[4] += 3  # query cameras 3-5
    plain = rank(*search, protocol, repeats=3)
    assert rank(*search, protocol, repeats=3, rerank=KReciprocal(lambda_value=1.0)) == plain
    found = rank(*search, protocol, repeats=3, rerank="k_reciprocal")
    assert found["num_gallery"] == plain["num_gallery"]
    assert found != plain


def test_distances_of_ones_own_are_ranked_as_they_are():
    """Any function of query and gallery; blocks, ties, removed and matching images as for features."""
    rng = np.random.default_rng(5)
    search = clustered(rng, 70, 700)
    known = rng.integers(0, 50, (70, 700)).astype(np.float32)
    query = labelled_features("query", search[0], search[2], search[4])
    gallery = labelled_features("gallery", search[1], search[3], search[5])
    gallery = dataclasses.replace(gallery, rerank=lambda q, g: lambda rows: known[rows])
    found = rank_matches(query, gallery)
    expected = by_sorting(known.astype(np.float64), *search[2:])
    assert np.nanmean(found.average_precision) == pytest.approx(expected["mAP"], abs=1e-9)
    blocks = list(distances.strips(query, gallery, np.arange(70)))
    assert {type(strip).__name__ for _, strip in blocks} == {"KnownStrip"}


def test_cosine_is_euclidean_between_directions():
    rng = np.random.default_rng(6)
    search = clustered(rng, 30, 100, noise=1.5)
    scaled = [side * rng.uniform(0.1, 10, (len(side), 1)) for side in search[:2]]
    scaled[1][3] *= 1e25  # whose square float32 does not hold
    directions = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in search[:2]]
    assert rank(*scaled, *search[2:], distance="cosine") == rank(*directions, *search[2:])


def test_features_without_a_direction_have_no_cosine():
    search = [[0.0], [1.0]], [[1.0], [3.0]], [1, 2], [1, 2], [0, 0], [1, 1]
    with pytest.raises(
        UserError, match="query_features: 1 of 2 rows are 0, expected features with"
    ):
        rank(*search, distance="cosine")


@pytest.mark.parametrize(
    "options", [{"k1": 0}, {"k2": True}, {"lambda_value": 1.5}, {"lambda_value": np.nan}]
)
def test_parameters_out_of_range_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(UserError, match=rf"k_reciprocal\.{name}: found {value!r}, expected a num"):
        KReciprocal(**options)
