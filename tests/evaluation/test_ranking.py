"""Positions, AP and INP against a stable sort of the whole gallery."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_oracle import rank_queries

from rireid_jax.errors import UserError
from rireid_jax.evaluation import ranking as ranking_module
from rireid_jax.evaluation.distances import labelled_features
from rireid_jax.evaluation.ranking import rank_matches, top_matches


def ranked(queries, gallery, qpids, gpids, qcamids, gcamids):
    return rank_matches(
        labelled_features("query", queries, qpids, qcamids),
        labelled_features("gallery", gallery, gpids, gcamids),
    )


def assert_equals_oracle(ranking, rows):
    np.testing.assert_array_equal(ranking.valid, [row is not None for row in rows])
    none = (-1, np.nan, np.nan)
    expected = np.array([none if row is None else row for row in rows], np.float64)
    np.testing.assert_array_equal(ranking.first_match[0], expected[:, 0])
    np.testing.assert_allclose(ranking.average_precision[0], expected[:, 1], rtol=1e-12)
    np.testing.assert_allclose(ranking.inverse_negative_penalty[0], expected[:, 2], rtol=1e-12)


def random_search(rng, num_query, num_gallery, num_pids, dim=5, levels=None):
    """A search with junk, distractors, queries of absent identities, and ties if `levels`."""
    pids = np.arange(-1, num_pids)
    if levels:
        features = rng.integers(0, levels, (num_query + num_gallery, dim)).astype(np.float32)
    else:
        features = rng.standard_normal((num_query + num_gallery, dim)).astype(np.float32)
    return (
        features[:num_query],
        features[num_query:],
        rng.choice(pids[2:], num_query),
        rng.choice(pids[: -max(1, num_pids // 5)], num_gallery),
        rng.integers(0, 3, num_query),
        rng.integers(0, 3, num_gallery),
    )


def test_hand_worked_example():
    """A query at 0 and a gallery at 1, 2, ..., 6 on a line.

    Matches at positions 0, 2, 5: AP = (1/1 + 2/3 + 3/6) / 3 = 13/18, INP = 3/6.
    With the first match under the query's own camera, it goes: positions 1, 4 of five images,
    AP = (1/2 + 2/5) / 2 = 9/20, INP = 2/5.
    With junk at 2 as well, positions 0, 3 of four: AP = (1/1 + 2/4) / 2 = 3/4, INP = 2/4.
    """
    gallery = np.arange(1, 7)[:, None]
    pids = np.array([7, 9, 7, 9, 0, 7])
    cases = [
        (pids, [1, 1, 1, 1, 1, 1], (0, 13 / 18, 3 / 6)),
        (pids, [0, 1, 1, 0, 1, 1], (1, 9 / 20, 2 / 5)),
        (np.where(np.arange(6) == 1, -1, pids), [0, 1, 1, 0, 1, 1], (0, 3 / 4, 2 / 4)),
    ]
    for gpids, camids, expected in cases:
        ranking = ranked([[0]], gallery, [7], gpids, [0], camids)
        assert_equals_oracle(ranking, [expected])


def test_ties_are_broken_by_gallery_index():
    """Five images at one place: position = index, in the middle of which lies one match."""
    gallery = np.full((5, 3), 2.0)
    ranking = ranked([[0, 0, 0]], gallery, [1], [9, 9, 1, 9, 1], [0], [1] * 5)
    assert_equals_oracle(ranking, [(2, (1 / 3 + 2 / 5) / 2, 2 / 5)])


@pytest.mark.parametrize(
    ("num_query", "num_gallery", "num_pids", "levels"),
    [
        (1, 1, 3, None),
        (1, 600, 4, 2),  # 4 identities: about 100 matches a query
        (70, 1, 3, 3),
        (33, 511, 40, None),
        (33, 512, 40, 3),
        (90, 513, 200, 2),
        (64, 1500, 300, None),
        (300, 2049, 7, 2),  # two blocks of queries, and one image in the second tile
        (40, 5000, 25, 2),
    ],
)
def test_equals_a_stable_sort(num_query, num_gallery, num_pids, levels):
    rng = np.random.default_rng([num_query, num_gallery])
    search = random_search(rng, num_query, num_gallery, num_pids, levels=levels)
    assert_equals_oracle(ranked(*search), rank_queries(*search))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 32), st.integers(1, 40), st.integers(1, 4))
def test_equals_a_stable_sort_with_ties(seed, num_query, num_gallery, levels):
    rng = np.random.default_rng(seed)
    search = random_search(rng, num_query, num_gallery, num_pids=6, dim=2, levels=levels)
    assert_equals_oracle(ranked(*search), rank_queries(*search))


@pytest.mark.parametrize("levels", [None, 2])
def test_blocks_do_not_change_the_result(monkeypatch, levels):
    search = random_search(np.random.default_rng(5), 150, 700, 60, levels=levels)
    one_block = ranked(*search)
    for num_rows, num_columns in ((32, 512), (64, 1024)):
        monkeypatch.setattr(ranking_module, "_BLOCK", num_rows)
        monkeypatch.setattr(ranking_module, "_TILE", num_columns)
        ranking_module.pass_tile.clear_cache()
        blocked = ranked(*search)
        assert ranking_module.pass_tile._cache_size() == 1  # one compilation for all tiles
        np.testing.assert_array_equal(one_block.first_match, blocked.first_match)
        np.testing.assert_array_equal(one_block.average_precision, blocked.average_precision)
        np.testing.assert_array_equal(
            one_block.inverse_negative_penalty, blocked.inverse_negative_penalty
        )


def test_junk_queries_never_match():
    ranking = ranked(np.eye(2), np.eye(2), [-1, 3], [-1, 3], [0, 0], [1, 1])
    np.testing.assert_array_equal(ranking.valid, [False, True])
    assert ranking.num_gallery == 1


def test_top_matches_are_the_nearest_that_remain():
    gallery = np.array([[5], [1], [2], [1], [0], [3]])
    search = ([[0], [6]], gallery, [1, 2], [1, 2, 3, 1, 1, -1], [0, 1], [1, 0, 0, 1, 0, 0])
    # Query 0 (identity 1, camera 0) loses image 4, both lose junk 5; 1 and 3 are tied.
    np.testing.assert_array_equal(top_matches(*search, k=3), [[1, 3, 2], [0, 2, 1]])
    np.testing.assert_array_equal(
        top_matches(*search, k=6), [[1, 3, 2, 0, -1, -1], [0, 2, 1, 3, 4, -1]]
    )


@pytest.mark.parametrize("k", [0, 3])
def test_top_matches_refuses_k_out_of_range(k):
    with pytest.raises(UserError, match=f"k: found {k}, expected 1 to 2"):
        top_matches(np.eye(2), np.eye(2), [0, 1], [0, 1], [0, 0], [1, 1], k=k)
