"""Eq. 2 against a worked example, a sum over all pairs, and its laws."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rireid_jax.errors import UserError
from rireid_jax.paper.objective import objective


def by_pairs(features_1, features_2, pids):
    """(D_sim, D_dif, number of pairs of each), a pair at a time."""
    sums, counts = [0.0, 0.0], [0, 0]
    for a, pid_1 in zip(features_1.astype(float), pids, strict=True):
        for b, pid_2 in zip(features_2.astype(float), pids, strict=True):
            side = int(pid_1 != pid_2)
            sums[side] += ((a - b) ** 2).sum()
            counts[side] += 1
    return *sums, *counts


def test_by_hand():
    # Person 1 at 0 and 1, person 2 at 3; the first moves to 2 at the other resolution.
    high = np.array([[0], [1], [3]], np.float32)
    low = np.array([[2], [1], [3]], np.float32)
    pids = np.array([1, 1, 2])

    equal = objective(high, high, pids)
    assert (equal.d_sim, equal.d_dif) == (1 + 1, 2 * (9 + 4))
    assert (equal.num_sim, equal.num_dif) == (5, 4)
    assert equal.value == 2 / 26
    assert equal.ratio_of_means == pytest.approx((2 / 5) / (26 / 4))

    # Pairs (low, high) of person 1: 2-0, 2-1, 1-0, 1-1; of two persons: 2-3, 1-3, 3-0, 3-1.
    varied = objective(low, high, pids)
    assert (varied.d_sim, varied.d_dif) == (4 + 1 + 1 + 0, 1 + 4 + 9 + 4)
    assert varied.value == 6 / 18
    # Persons of one point each.
    points = np.array([[0.1, 7.0], [0.3, -4.0]], np.float32)[pids - 1]
    assert objective(points, points, pids).value == 0


@settings(deadline=None, max_examples=60)
@given(
    pids=arrays(np.int64, st.integers(3, 12), elements=st.integers(-3, 3)),
    dim=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    offset=st.sampled_from([0, 4096]),
    scale=st.sampled_from([1e-20, 1, 1e15]),
)
def test_is_the_sum_over_all_pairs(pids, dim, seed, offset, scale):
    assume(1 < len(np.unique(pids)) < len(pids))
    rng = np.random.default_rng(seed)
    first, second = (
        ((rng.standard_normal((len(pids), dim)) + offset) * scale).astype(np.float32)
        for _ in range(2)
    )
    found = objective(first, second, pids)
    d_sim, d_dif, num_sim, num_dif = by_pairs(first, second, pids)
    assert found.d_sim == pytest.approx(d_sim, rel=1e-9, abs=0)
    assert found.d_dif == pytest.approx(d_dif, rel=1e-9, abs=0)
    assert (found.num_sim, found.num_dif) == (num_sim, num_dif)


def test_precision_where_persons_are_far_apart():
    """D_sim is 1e-12 of all distances: as a difference of greater sums it would be lost."""
    rng = np.random.default_rng(0)
    pids = np.repeat(np.arange(20), 3)
    features = rng.standard_normal((20, 8)).astype(np.float32)[pids]
    features += 1e-6 * rng.standard_normal(features.shape).astype(np.float32)
    found = objective(features, features, pids)
    d_sim, d_dif, *_ = by_pairs(features, features, pids)
    assert d_sim < 1e-10 * d_dif
    assert found.d_sim == pytest.approx(d_sim, rel=1e-6, abs=0)


ALIKE = np.full((4, 3), 0.1, np.float32)
TWO = np.array([5, 5, 6, 6])
# Each person's images lie where the other's lie at the other resolution.
CROSSED = np.array([[0.1], [0.1], [0.7], [0.7]], np.float32)


def test_rounding_is_no_distance():
    for seed in range(40):  # with some of them D_dif comes out at 1e-16 of D_sim
        rng = np.random.default_rng(seed)
        num_images, dim = rng.integers(2, 6, 2)
        points = np.repeat(rng.standard_normal((2, dim)).astype(np.float32), num_images, axis=0)
        with pytest.raises(UserError, match="different identities all the same"):
            objective(points, points[::-1].copy(), np.repeat([5, 6], num_images))


@pytest.mark.parametrize(
    ("first", "second", "pids", "message"),
    [
        (ALIKE, ALIKE, np.array([5, 5, 5, 5]), "pids: found 1 identities in 4 images"),
        (ALIKE[:0], ALIKE[:0], TWO[:0], "pids: found 0 identities in 0 images"),
        (ALIKE, ALIKE, np.array([5, 6, 7, 8]), "found one image of each of 4 identities"),
        (ALIKE, ALIKE, TWO, "different identities all the same"),
        (CROSSED, CROSSED[::-1], TWO, "different identities all the same"),
        (ALIKE * np.nan, ALIKE, TWO, "features_1: found NaN or infinity"),
        (ALIKE, ALIKE * np.inf, TWO, "features_2: found NaN or infinity"),
    ],
)
def test_what_has_no_objective_is_refused(first, second, pids, message):
    with pytest.raises(UserError, match=message):
        objective(first, second, pids)
