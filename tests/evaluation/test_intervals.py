"""The bootstrap of a difference, against numbers worked by hand and a literal loop."""

import itertools

import numpy as np
import pytest

from rireid_jax.errors import UserError
from rireid_jax.evaluation import intervals
from rireid_jax.evaluation.intervals import Comparison, Difference, compare, drawn_from
from rireid_jax.evaluation.scoring import Outcomes

EDGES = (0.0, 0.5, 1.0)


def outcomes(pids, rank1, average_precision=None, resolutions=None) -> Outcomes:
    rank1 = np.array(rank1, float)
    ap = rank1 if average_precision is None else np.array(average_precision, float)
    r = np.ones(len(rank1)) if resolutions is None else np.array(resolutions)
    return Outcomes(np.array(pids), r.astype(np.float32), rank1, ap)


def alone(*args, **kwargs) -> dict:
    """One seed, no trials."""
    return {0: [outcomes(*args, **kwargs)]}


def test_equal_systems_cannot_be_told_apart():
    """With other seeds as well, where nothing cancels out query by query."""
    rng = np.random.default_rng(0)
    rank1, pids = rng.random(40), np.arange(40) // 4
    for seed in (0, 1):
        found = compare(alone(pids, rank1), {seed: [outcomes(pids, rank1)]}, EDGES)
        assert found.rank1 == Difference(0.0, 0.0, 0.0, "cannot be told", 10, (1, 1))


def test_where_every_identity_gains_the_same():
    pids = [0, 0, 1, 2, 2, 2]
    better, worse = alone(pids, [1] * 6, [0.75] * 6), alone(pids, [0] * 6, [0.5] * 6)
    found = compare(better, worse, EDGES)
    assert found.rank1 == Difference(1.0, 1.0, 1.0, "higher", 3, (1, 1))
    assert found.mAP == Difference(0.25, 0.25, 0.25, "higher", 3, (1, 1))
    assert compare(worse, better, EDGES).rank1.verdict == "lower"


def test_worked_by_hand():
    """Two identities, of which one gains both its queries: a draw has it twice, once or never.

    Their chances are 1/4, 1/2 and 1/4, and the differences 2/2 of its own queries, 2 of 3 queries, and 0.
    """
    found = compare(alone([7, 7, 9], [1, 1, 0]), alone([7, 7, 9], [0, 0, 0]), EDGES)
    assert found.rank1.difference == pytest.approx(2 / 3)
    assert (found.rank1.low, found.rank1.high) == (0, 1)
    assert found.rank1.verdict == "cannot be told"


def test_seeds_that_both_have_are_drawn_together():
    """Both systems are better by 0.5 with seed 1, and the first is 0.5 above the second with both."""
    pids = [0, 1, 2]
    ours = {0: [outcomes(pids, [0.5] * 3)], 1: [outcomes(pids, [1.0] * 3)]}
    theirs = {0: [outcomes(pids, [0.0] * 3)], 1: [outcomes(pids, [0.5] * 3)]}
    assert compare(ours, theirs, EDGES).rank1 == Difference(0.5, 0.5, 0.5, "higher", 3, (2, 2))
    # Other numbers are other seeds: a draw may have the worse one of the first, the better of the second.
    apart = compare(ours, {seed + 5: runs for seed, runs in theirs.items()}, EDGES).rank1
    assert (apart.difference, apart.low, apart.high) == (0.5, 0, 1)
    single = compare(ours, {0: theirs[0]}, EDGES).rank1
    assert (single.difference, single.low, single.high) == (0.75, 0.5, 1)
    assert single.num_seeds == (2, 1)


def literal(ours, theirs, edges, replicates):
    """Differences [R, 1 + bins, 2] of Rank-1 and mAP in every replicate, with the draws of `compare`."""
    assert replicates <= 500  # one block of draws
    trials = len(next(iter(ours.values())))
    paired = sorted(ours) == sorted(theirs)
    bins = [(0.0, 1.0), *itertools.pairwise(edges)]
    systems = (ours, theirs)
    seed_draws = [
        intervals.multiplicities(replicates, len(runs), 0, 0 if paired else i, 0)
        for i, runs in enumerate(systems)
    ]
    first = next(iter(ours.values()))
    people = [np.unique(o.pids[~np.isnan(o.rank1)]) for o in first]
    draws = [
        intervals.multiplicities(replicates, len(ids), 1, t, 0) for t, ids in enumerate(people)
    ]
    result = np.empty((replicates, len(bins), 2))
    for r in range(replicates):
        for part, (low, high) in enumerate(bins):
            rates = []
            for runs, seeds in zip(systems, seed_draws, strict=True):
                drawn_runs = [
                    runs[seed]
                    for seed, times in zip(sorted(runs), seeds[r], strict=True)
                    for _ in range(times)
                ]
                by_run = []
                for run in drawn_runs:
                    values = [[] for _ in range(trials)]
                    for t, o in enumerate(run):
                        for pid, times in zip(people[t], draws[t][r], strict=True):
                            for _ in range(times):
                                for q in np.flatnonzero(o.pids == pid):
                                    inside = np.float32(low) < o.resolutions[q] <= np.float32(high)
                                    if inside and not np.isnan(o.rank1[q]):
                                        pair = (o.rank1[q], o.average_precision[q])
                                        values[t].append(pair)
                    if part == 0:
                        by_run.append(np.mean([np.mean(v, axis=0) for v in values], axis=0))
                    else:
                        pooled = [pair for v in values for pair in v]
                        by_run.append(np.mean(pooled, axis=0) if pooled else [np.nan, np.nan])
                rates.append(np.mean(by_run, axis=0))
            result[r, part] = rates[0] - rates[1]
    return result


@pytest.mark.parametrize("other_seeds", [(0, 1, 2), (4, 5)])
def test_literal_loop(other_seeds):
    rng = np.random.default_rng(3)
    edges, replicates = (0.0, 1 / 3, 1.0), 40
    labels = []
    for num_query in (14, 9):
        pids = rng.integers(0, 5, num_query) * 3
        labels.append((pids, rng.uniform(0.1, 1, num_query), rng.random(num_query) < 0.2))

    def run():
        trials = []
        for pids, resolutions, skipped in labels:
            rates = rng.random((2, len(pids)))
            rates[:, skipped] = np.nan
            trials.append(outcomes(pids, rates[0] > 0.5, rates[1], resolutions))
            trials[-1].rank1[skipped] = np.nan
        return trials

    ours, theirs = {s: run() for s in (0, 1, 2)}, {s: run() for s in other_seeds}
    found = compare(ours, theirs, edges, replicates)
    expected = literal(ours, theirs, edges, replicates)
    shown = [found.rank1, found.mAP, *(b[r] for b in found.by_resolution for r in ("rank1", "mAP"))]
    for difference, sample in zip(shown, expected.reshape(replicates, -1).T, strict=True):
        ends = np.nanpercentile(sample, [2.5, 97.5])
        np.testing.assert_allclose([difference.low, difference.high], ends, atol=1e-11)
    gap = np.nanpercentile(expected[:, 2, 1] - expected[:, 1, 1], [2.5, 97.5])
    np.testing.assert_allclose([found.gap["mAP"].low, found.gap["mAP"].high], gap, atol=1e-11)
    means = [
        np.mean([[np.nanmean(trial.rank1) for trial in run] for run in runs.values()])
        for runs in (ours, theirs)
    ]
    assert found.rank1.difference == pytest.approx(means[0] - means[1])


def test_draws_are_with_replacement_and_the_same_at_every_call():
    times = intervals.multiplicities(4000, 3, 1, 0)
    assert (times.sum(axis=1) == 3).all()
    np.testing.assert_allclose(times.mean(axis=0), 1, atol=0.05)
    np.testing.assert_allclose(times.var(axis=0), 2 / 3, atol=0.05)  # n p (1 - p) of a binomial
    assert np.array_equal(times, intervals.multiplicities(4000, 3, 1, 0))
    assert not np.array_equal(times, intervals.multiplicities(4000, 3, 1, 1))


def test_coverage_on_queries_that_come_in_clusters():
    """About 95 % of the intervals hold the true difference; if queries were drawn, far fewer would.

    Each of 50 people has a difference of their own, with mean 0.1 and deviation 0.3, for all of their six queries.
    """
    rng = np.random.default_rng(11)
    people, shots, repeats = 50, 6, 300
    pids = np.repeat(np.arange(people), shots)
    zero = np.zeros(len(pids))
    covered = by_query = 0
    for _ in range(repeats):
        values = np.repeat(rng.normal(0.1, 0.3, people), shots) + rng.normal(0, 0.1, len(pids))
        for clusters in (pids, np.arange(len(pids))):
            ours, theirs = alone(clusters, values), alone(clusters, zero)
            found = compare(ours, theirs, (0.0, 1.0), 500).rank1
            inside = found.low <= 0.1 <= found.high
            covered, by_query = (
                (covered + inside, by_query) if clusters is pids else (covered, by_query + inside)
            )
    assert 0.91 <= covered / repeats <= 0.985
    assert by_query / repeats < 0.75


@pytest.mark.parametrize(
    ("seeds", "least", "most"), [(2, 0.65, 0.88), (3, 0.76, 0.95), (10, 0.87, 1)]
)
def test_coverage_with_seeds_is_less_than_nominal_where_they_are_few(seeds, least, most):
    """With each seed, each system is off by a normal number of deviation 0.05. The true difference is 0.03."""
    rng = np.random.default_rng(5)
    people, shots, repeats = 96, 5, 150
    pids = np.repeat(np.arange(people), shots)
    covered = 0
    for _ in range(repeats):
        difficulty = np.repeat(rng.normal(0.5, 0.3, people), shots)
        gain = np.repeat(rng.normal(0.03, 0.15, people), shots)
        systems = []
        for mean in (difficulty + gain, difficulty):
            noise = rng.normal(0, 0.05, (seeds, 1)) + rng.normal(0, 0.3, (seeds, len(pids)))
            systems.append({s: [outcomes(pids, mean + noise[s])] for s in range(seeds)})
        found = compare(*systems, (0.0, 1.0), 500).rank1
        covered += found.low <= 0.03 <= found.high
    assert least <= covered / repeats <= most


def test_bins_of_resolution_and_the_gap_between_them():
    pids, resolutions = [0, 1, 2, 0, 1, 2], [0.2] * 3 + [0.9] * 3
    ours = alone(pids, [0.5] * 3 + [1.0] * 3, resolutions=resolutions)
    theirs = alone(pids, [0.0] * 3 + [0.75] * 3, resolutions=resolutions)
    found = compare(ours, theirs, (0.0, 0.5, 0.6, 1.0))
    low, middle, high = found.by_resolution
    assert (low["low"], low["high"], low["rank1"].difference) == (0.0, 0.5, 0.5)
    assert middle["rank1"] is middle["mAP"] is None
    assert high["rank1"] == Difference(0.25, 0.25, 0.25, "higher", 3, (1, 1))
    assert found.gap["rank1"].difference == -0.25
    assert found.gap["rank1"].verdict == "lower"
    assert compare(ours, theirs, (0.0, 1.0)).gap is None
    assert compare(ours, theirs, (0.0, 0.1, 1.0)).gap is None


def test_one_identity_gives_no_interval():
    found = compare(alone([3, 3], [1, 1]), alone([3, 3], [0, 0]), EDGES).rank1
    assert found == Difference(1.0, None, None, "cannot be told", 1, (1, 1))
    assert found.in_points() == "+100.0 [no interval]"


def test_json_there_and_back():
    found = compare(alone([0, 1], [1, 0]), alone([0, 1], [0, 0]), EDGES)
    value = found.as_json()
    assert set(value["rank1"]) == {
        *("difference", "low", "high", "verdict", "num_identities", "num_seeds")
    }
    assert Comparison.from_json(value) == found


def test_other_queries_are_refused():
    for other in ([0, 2], [0, 1, 1]):
        with pytest.raises(UserError, match="expected the same queries"):
            compare(alone([0, 1], [1, 0]), alone(other, [0] * len(other)), EDGES)


def test_words():
    assert Difference(0.0434, 0.0101, 0.077, "higher", 9, (1, 1)).in_points() == (
        "+4.3 [+1.0, +7.7]"
    )
    assert drawn_from(9, (1, 1)) == "9 identities, one seed: nothing is said about another training"
    assert drawn_from(9, (3, 3)) == "9 identities and 3 seeds"
    assert drawn_from(9, (3, 1)).startswith("9 identities and 3 and 1 seeds, of which the single")
