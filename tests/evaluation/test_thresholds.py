"""Thresholds for "the same person or not": against a literal oracle, by hand, and on people who were not seen."""

import numpy as np
import pytest

from rireid_jax.errors import UserError
from rireid_jax.evaluation.calibration import (
    LEAST_FALSE,
    LEAST_PEOPLE,
    RATES,
    calibrate,
    rates_at,
)

EDGES = (0.0, 0.5, 1.0)


def people(rng, num: int, shots: int = 4, dim: int = 8, first: int = 0):
    """Features around a centre for each person, noisier at low resolution; two cameras."""
    pids = np.repeat(np.arange(num), shots)
    resolutions = rng.uniform(0.1, 1, len(pids)).astype(np.float32)
    centres = rng.normal(size=(num, dim)) * np.exp(0.2 * rng.normal(size=(num, 1)))
    noise = rng.normal(size=(len(pids), dim)) * (0.3 + 0.5 * (resolutions < 0.5))[:, None]
    return centres[pids] + noise, pids + first, rng.integers(0, 2, len(pids)), resolutions


def literal(features, pids, camids, resolutions, bins):
    """Distances of the pairs of different people and of the same person, from the definition."""
    places = np.searchsorted(EDGES, resolutions, side="left") - 1
    i, j = np.triu_indices(len(pids), 1)
    inside = np.sort(np.stack([places[i], places[j]]), axis=0) == np.array(bins)[:, None]
    i, j = i[inside.all(axis=0)], j[inside.all(axis=0)]
    distance = np.sqrt(np.square(features[i] - features[j]).sum(axis=1))
    one = pids[i] == pids[j]
    counted = one if camids is None else one & (camids[i] != camids[j])
    return np.sort(distance[~one]), np.sort(distance[counted])


@pytest.mark.parametrize("cameras", [True, False])
def test_against_all_pairs_one_by_one(cameras):
    features, pids, camids, resolutions = people(np.random.default_rng(0), 40)
    pids[:3] = -1  # junk
    camids = camids if cameras else None
    found = calibrate(1e3 + 50 * features, pids, camids, resolutions, EDGES, (0.05, 0.1, 0.5))
    kept = slice(3, None)
    assert [pair.bins for pair in found] == [(0, 0), (0, 1), (1, 1)]
    for pair in found:
        labels = (pids[kept], None if camids is None else camids[kept], resolutions[kept])
        different, same = literal(50 * features[kept], *labels, pair.bins)
        assert (pair.num_different, pair.num_same) == (len(different), len(same))
        assert pair.histogram.sum(axis=1).tolist() == [len(different), len(same)]
        assert [point.asked for point in pair.points] == [0.05, 0.1, 0.5]
        for point in pair.points:
            allowed = int(point.asked * len(different) + 1e-9)
            below = np.searchsorted(different, point.threshold)
            # The largest threshold, up to a step, of which no more are below it.
            assert below == allowed
            assert point.threshold == pytest.approx(different[allowed], rel=1e-4)
            assert point.false_positive.rate == pytest.approx(below / len(different))
            rate = np.mean(same < point.threshold)
            assert point.true_positive.rate == pytest.approx(rate)
            for estimate in (point.false_positive, point.true_positive):
                assert 0 <= estimate.low <= estimate.rate <= estimate.high <= 1
                assert estimate.low < estimate.high


def test_by_hand():
    """Twenty-one people on a line, 1 apart, with one image each: 21 - k pairs are k apart."""
    positions = np.arange(21.0)[:, None]
    (pair,) = calibrate(positions, np.arange(21), None, np.ones(21), (0.0, 1.0), (0.1, 0.2))
    assert (pair.num_different, pair.num_pairs_of_people, pair.num_people) == (210, 210, 21)
    assert (pair.num_same, pair.num_people_same) == (0, 0)
    assert pair.least_rate == pytest.approx(LEAST_FALSE / 210)
    # A tenth are 21: the 20 that are 1 apart fit, the 19 that are 2 apart no longer do.
    assert [point.threshold for point in pair.points] == pytest.approx([2.0, 3.0], rel=1e-4)
    assert [p.false_positive.rate for p in pair.points] == pytest.approx([20 / 210, 39 / 210])
    assert [point.true_positive for point in pair.points] == [None, None]


def test_too_few_people_for_a_rate():
    features, pids, camids, resolutions = people(np.random.default_rng(1), LEAST_PEOPLE)
    one = np.ones_like(resolutions)
    (pair,) = calibrate(features, pids, camids, one, (0.0, 1.0))
    assert pair.least_rate == pytest.approx(LEAST_FALSE / (LEAST_PEOPLE * (LEAST_PEOPLE - 1) / 2))
    assert [point.asked for point in pair.points] == [rate for rate in RATES if rate > 0.0526]
    fewer = pids < LEAST_PEOPLE - 1
    (pair,) = calibrate(features[fewer], pids[fewer], camids[fewer], one[fewer], (0.0, 1.0))
    assert pair.least_rate is None
    assert pair.points == ()
    with pytest.raises(UserError, match="nothing but junk"):
        calibrate(features, np.full_like(pids, -1), camids, one, (0.0, 1.0))


def test_all_alike():
    """Where no distance tells anybody apart, nobody is taken for the same person."""
    pids = np.repeat(np.arange(30), 2)
    (pair,) = calibrate(np.ones((60, 4)), pids, None, np.ones(60), (0.0, 1.0), (0.1,))
    (point,) = pair.points
    assert point.threshold == 0
    assert point.false_positive.rate == point.true_positive.rate == 0
    assert point.true_positive.high == pytest.approx(1 - 0.025 ** (1 / 30))


def test_the_asked_rate_is_met_on_people_who_were_not_seen():
    """In 20 drawings, near the least rate that is supported: the interval holds the rate of 500 other people."""
    pairs = ((0, 0), (0, 1), (1, 1))
    unseen = people(np.random.default_rng(999), 500, first=1000)
    truth = {bins: literal(*unseen, bins) for bins in pairs}
    false_held, true_held, rates = [], [], []
    for seed in range(20):
        for pair in calibrate(*people(np.random.default_rng(seed), 60), EDGES, (0.01,)):
            (point,) = pair.points
            different, same = truth[pair.bins]
            false, true = point.false_positive, point.true_positive
            rates.append(np.searchsorted(different, point.threshold) / len(different))
            false_held.append(false.low <= rates[-1] <= false.high)
            true_held.append(true.low <= np.mean(same < point.threshold) <= true.high)
    assert np.mean(false_held) >= 0.93
    assert np.mean(true_held) >= 0.9
    assert np.mean(rates) == pytest.approx(0.01, rel=0.15)


def test_rates_of_given_thresholds():
    """Of the people themselves, they are those of the calibration."""
    images = people(np.random.default_rng(2), 40)
    found = calibrate(*images, EDGES, (0.05, 0.1))
    thresholds = {pair.bins: [point.threshold for point in pair.points] for pair in found}
    rates = rates_at(*images, EDGES, thresholds)
    for pair in found:
        expected = [(point.false_positive, point.true_positive) for point in pair.points]
        assert rates[pair.bins] == expected
