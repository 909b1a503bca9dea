"""Protocols against brute force, exact expectations and the laws that the metrics obey."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import ranking_oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from rireid_jax.errors import UserError
from rireid_jax.evaluation import rank
from rireid_jax.evaluation.protocols.single_shot import draw_single_shot_gallery
from rireid_jax.evaluation.scoring import by_resolution, rank_queries, summarize

RATES = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")


def random_search(rng, num_query=30, num_gallery=200, num_pids=20, cameras=3, dim=6):
    """Identities cluster, so that rates lie between 0 and 1; junk and distractors included."""
    centres = rng.standard_normal((num_pids + 1, dim))
    qpids = rng.integers(1, num_pids, num_query)
    gpids = rng.integers(-1, num_pids - 2, num_gallery)
    return [
        (centres[qpids] + rng.standard_normal((num_query, dim))).astype(np.float32),
        (centres[gpids] + rng.standard_normal((num_gallery, dim))).astype(np.float32),
        qpids,
        gpids,
        rng.integers(0, cameras, num_query),
        rng.integers(0, cameras, num_gallery),
    ]


def assert_rates_equal(found, expected, keys=RATES, atol=1e-12):
    for key in keys:
        assert found[key] == pytest.approx(expected[key], abs=atol), key


def test_market_equals_brute_force():
    search = random_search(np.random.default_rng(0))
    found = rank(*search)
    expected = ranking_oracle.metrics(ranking_oracle.rank_queries(*search))
    assert 0 < expected["rank1"] < 1
    assert expected["num_skipped"] > 0
    assert_rates_equal(found, expected)
    assert found["num_query"] == expected["num_query"]
    assert found["num_skipped"] == expected["num_skipped"]
    assert found["num_gallery"] == np.count_nonzero(search[3] != -1)
    assert set(found) == {*RATES, "num_query", "num_skipped", "num_gallery"}


def test_plain_python_lists_are_accepted():
    result = rank([[0.0], [4.0]], [[1.0], [3.0]], [1, 2], [1, 2], [0, 0], [1, 1])
    assert result == {
        **dict.fromkeys(RATES, 1.0),
        "num_query": 2,
        "num_skipped": 0,
        "num_gallery": 2,
    }


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_laws_of_the_metrics(seed):
    rng = np.random.default_rng(seed)
    search = random_search(rng)
    queries, gallery, qpids, gpids, qcamids, gcamids = search
    found = rank(*search)
    assert all(0 <= found[key] <= 1 for key in RATES)
    assert found["rank1"] <= found["rank5"] <= found["rank10"] <= found["rank20"]
    # The last match cannot stand before the others: INP <= AP, and AP <= 1 of its own terms.
    assert found["mINP"] <= found["mAP"] + 1e-12

    q, g = rng.permutation(len(queries)), rng.permutation(len(gallery))
    permuted = rank(queries[q], gallery[g], qpids[q], gpids[g], qcamids[q], gcamids[g])
    assert_rates_equal(permuted, found)

    rotation, _ = np.linalg.qr(rng.standard_normal((queries.shape[1], queries.shape[1])))
    moved = rank(queries @ rotation + 3, gallery @ rotation + 3, *search[2:])
    assert_rates_equal(moved, found, atol=0.02)  # a near tie may turn


def test_single_shot_equals_brute_force_on_the_same_draws():
    search = random_search(np.random.default_rng(1))
    search[4] += 3  # query cameras 3-5, gallery cameras 0-2
    queries, gallery, qpids, gpids, qcamids, gcamids = search
    found = rank(*search, protocol="single_shot", repeats=4, seed=7)

    rows = []
    for repeat in range(4):
        drawn = draw_single_shot_gallery(gpids, 7, repeat)
        assert sorted(gpids[drawn]) == sorted(set(gpids) - {-1})
        shot = (queries, gallery[drawn], qpids, gpids[drawn], qcamids, gcamids[drawn])
        rows.append(ranking_oracle.metrics(ranking_oracle.rank_queries(*shot)))
    for key in RATES:
        values = [row[key] for row in rows]
        assert found[key] == pytest.approx(np.mean(values), abs=1e-12)
        assert found[f"{key}_std"] == pytest.approx(np.std(values), abs=1e-12)
    assert found["rank1_std"] > 0
    assert found["num_gallery"] == len(set(gpids) - {-1})
    assert found["num_query"] == rows[0]["num_query"]
    assert found["num_skipped"] == rows[0]["num_skipped"] > 0


def test_single_shot_draws_every_image_equally_often():
    pids = np.array([5, 3, 5, -1, 5, 3])
    drawn = np.concatenate([draw_single_shot_gallery(pids, 0, repeat) for repeat in range(3000)])
    share = np.bincount(drawn, minlength=6) / 3000
    np.testing.assert_allclose(share, [1 / 3, 1 / 2, 1 / 3, 0, 1 / 3, 1 / 2], atol=0.03)


@pytest.mark.parametrize("protocol", ["single_shot", "cuhk03"])
def test_drawn_galleries_meet_the_exact_expectation(protocol):
    """Query at 0; its identity at 1 and 3, the other at 2 and 4: first in 3 of the 4 galleries."""
    search = ([[0]], [[1], [2], [3], [4]], [1], [1, 2, 1, 2], [0], [1, 1, 2, 2])
    found = rank(*search, protocol=protocol, repeats=500)
    assert found["rank1"] == pytest.approx(3 / 4, abs=0.06)
    assert found["rank5"] == 1
    if protocol == "single_shot":  # one match: AP = INP = 1 / (position + 1), 1 or 1/2
        assert found["mAP"] == found["mINP"] == (1 + found["rank1"]) / 2
    else:  # matches at positions 0 and 2 of the whole gallery
        assert found["mAP"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-12)
        assert found["mINP"] == pytest.approx(2 / 3, abs=1e-12)


def expected_cuhk03_cmc(search, ranks):
    """Mean over queries of the exact chance of a match in the first k, over all galleries."""
    queries, gallery, qpids, gpids, qcamids, gcamids = search
    chances = []
    for query, pid, camid in zip(queries, qpids, qcamids, strict=True):
        kept = (gpids != -1) & ~((gpids == pid) & (gcamids == camid))
        if pid not in gpids[kept]:
            continue
        distance = ((gallery - query) ** 2).sum(axis=1)
        images = [np.flatnonzero(kept & (gpids == i)) for i in np.unique(gpids[kept])]
        hits = np.zeros(len(ranks))
        galleries = list(itertools.product(*images))
        for drawn in galleries:
            order = sorted(drawn, key=lambda j, distance=distance: (distance[j], j))
            position = [gpids[j] for j in order].index(pid)
            hits += position < np.array(ranks)
        chances.append(hits / len(galleries))
    return np.mean(chances, axis=0)


def test_cuhk03_equals_the_exact_expectation_over_all_galleries():
    rng = np.random.default_rng(3)
    gpids = np.array([1, 1, 1, 2, 2, 3, 3, 3, 4, -1, -1, 6, 7, 8])
    search = (
        rng.integers(0, 3, (6, 2)),
        rng.integers(0, 3, (len(gpids), 2)),
        np.array([1, 2, 3, 4, 5, 3]),
        gpids,
        np.array([0, 0, 1, 0, 0, 2]),
        rng.integers(0, 3, len(gpids)),
    )
    expected = expected_cuhk03_cmc(search, (1, 5))
    found = rank(*search, protocol="cuhk03", repeats=4000)
    assert 0 < expected[0] < 1
    assert found["rank1"] == pytest.approx(expected[0], abs=0.02)
    assert found["rank5"] == pytest.approx(expected[1], abs=0.02)
    whole = rank(*search)
    for key in ("mAP", "mINP", "num_query", "num_skipped", "num_gallery"):
        assert found[key] == pytest.approx(whole[key])


@pytest.mark.parametrize("protocol", ["single_shot", "cuhk03"])
def test_draws_depend_on_the_seed_alone(protocol):
    search = random_search(np.random.default_rng(4))
    search[4] += 3
    first, again, other = (rank(*search, protocol=protocol, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_by_resolution_splits_the_queries():
    search = random_search(np.random.default_rng(5), num_query=60)
    resolutions = np.random.default_rng(6).choice([1 / 4, 1 / 3, 1 / 2, 1.0], 60)
    ranking = rank_queries(*search)
    low, middle, high = by_resolution(ranking, resolutions.astype(np.float32))
    assert [low["low"], low["high"], high["high"]] == [0.0, 1 / 3, 1.0]
    for row, values in ((low, (1 / 4, 1 / 3)), (middle, (1 / 2,)), (high, (1.0,))):
        member = np.isin(resolutions, values)
        queries = [search[i][member] for i in (0, 2, 4)]
        alone = rank(queries[0], search[1], queries[1], search[3], queries[2], search[5])
        assert row["num_query"] == alone["num_query"] > 0
        assert row["rank1"] == pytest.approx(alone["rank1"])
        assert row["mAP"] == pytest.approx(alone["mAP"])
    total = sum(row["num_query"] * row["rank1"] for row in (low, middle, high))
    assert total / summarize(ranking)["num_query"] == pytest.approx(summarize(ranking)["rank1"])


def test_by_resolution_of_an_empty_bin_is_null():
    ranking = rank_queries([[0], [0]], [[1], [2]], [1, 9], [1, 2], [0, 0], [1, 1])
    # The query in the upper bin has no match, so the bin counts none.
    assert by_resolution(ranking, [0.2, 0.9], (0, 0.5, 1)) == [
        {"low": 0.0, "high": 0.5, "num_query": 1, "rank1": 1.0, "mAP": 1.0},
        {"low": 0.5, "high": 1.0, "num_query": 0, "rank1": None, "mAP": None},
    ]


@pytest.mark.parametrize(
    ("resolutions", "edges", "message"),
    [
        ([0.5, 0.5], (0, 1), r"query_resolutions: found shape \[2\], expected \[1\]"),
        ([0.0], (0, 1), r"query_resolutions: 1 of 1 lie outside \(0, 1\]"),
        ([np.nan], (0, 1), "query_resolutions: 1 of 1 lie outside"),
        ([0.5], (0, 1, 1), "edges: found"),
        ([0.5], (1,), "edges: found"),
    ],
)
def test_by_resolution_refuses(resolutions, edges, message):
    ranking = rank_queries([[0]], [[1]], [1], [1], [0], [1])
    with pytest.raises(UserError, match=message):
        by_resolution(ranking, resolutions, edges)


def test_unknown_protocol_names_the_choices():
    with pytest.raises(UserError, match="evaluation protocol: found 'mars', expected one of "):
        rank([[0]], [[1]], [1], [1], [0], [1], protocol="mars")


@pytest.mark.parametrize("option", [{"repeats": 0}, {"seed": -1}])
def test_impossible_draws_are_refused(option):
    with pytest.raises(UserError, match="expected repeats >= 1 and seed >= 0"):
        rank([[0]], [[1]], [1], [1], [0], [1], protocol="single_shot", **option)


def test_no_match_at_all_says_why():
    with pytest.raises(UserError, match="1 of 2 queries have their identity in the gallery"):
        rank([[0], [0]], [[1], [2]], [1, 3], [1, 2], [0, 0], [0, 0])


@pytest.mark.parametrize("protocol", ["market", "single_shot", "cuhk03"])
def test_a_gallery_of_junk_alone_has_no_match(protocol):
    with pytest.raises(UserError, match="no query has a correct match"):
        rank([[0]], [[1], [2]], [1], [-1, -1], [0], [1, 1], protocol=protocol)


def test_single_shot_refuses_a_gallery_of_the_query_camera():
    with pytest.raises(UserError, match="1 of 2 queries have gallery images of their own"):
        rank([[0], [0]], [[1], [2]], [1, 2], [1, 2], [0, 0], [0, 1], protocol="single_shot")


def test_ranking_needs_no_checkpoints():
    code = (
        "import sys; from rireid_jax.evaluation import rank;"
        "rank([[0]], [[1]], [1], [1], [0], [1]);"
        "print({'flax', 'grain', 'optax', 'orbax'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
