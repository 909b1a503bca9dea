"""The same person or not: thresholds on the distance of two images, and how often they err at which resolutions.

A threshold is made for a false-positive rate, the share of pairs of different people whose distance is below it, and
for an unordered pair of bins of the resolution r, because a distance says less the fewer pixels it comes from. It is
the largest threshold that no more than the asked share of the pairs that were seen is below. The true-positive rate is
the share of pairs of one person, by different cameras, that is below it.

How sure both rates are. Pairs are not independent: an image is in many, and so is a person, so that an interval for
independent trials, such as Wilson's, would be much too narrow. So people are drawn and not pairs: a replicate draws as
many as there are, with replacement, each with all images, and keeps the threshold as it is; a pair of different people
counts as often as the product of both numbers says, and two copies of one person are no pair of different people. That
is the bootstrap for crossed factors (Owen, The pigeonhole bootstrap, Annals of Applied Statistics, 2007), which errs to
the wide side where pairs of people have little in common with other pairs. False pairs come in lumps, those of people
who look alike, so the distribution of their rate is skewed; the ends of the interval are corrected for that (BCa: Efron
and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 14), with the acceleration from leaving out each person.
An interval is for the threshold as it is, of 95 %: the rate that it has among people who were not seen is inside. In a
simulation of 30 times 60 people, 99 % of the intervals for the false-positive rate held the truth, and 97 % of those
for the true-positive rate (`tests/evaluation/test_thresholds.py` repeats it); docs/calibration.md has people of the
embedded data.

What cannot be known is not given. The images of two people resemble each other as their people do, so that a rate rests
on pairs of people: it must let at least `LEAST_FALSE` of them be expected to be taken for one, which makes the least
rate `LEAST_FALSE` / number of pairs of people; and there must be `LEAST_PEOPLE` in both bins, as a bootstrap of fewer
says little.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.special import ndtr, ndtri

from rireid_jax.errors import UserError
from rireid_jax.evaluation.distances import JUNK_PID, labelled_features
from rireid_jax.evaluation.intervals import multiplicities
from rireid_jax.evaluation.pair_counts import DIFFERENT, SAME, STEPS, Counts, PairsOfBins
from rireid_jax.evaluation.scoring import bins_of

RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1)
LEAST_FALSE = 10
LEAST_PEOPLE = 20
REPLICATES = 1000

_TAIL = 0.025  # of an interval, on each side
_BARS = 256  # of a histogram
_STREAM = 2  # of random numbers; 0 and 1 are those of `intervals.compare`


@dataclass(frozen=True)
class Estimate:
    """A rate as a fraction, with the ends of its 95 % interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """A threshold.

    Attributes:
      asked: false-positive rate that it is for.
      threshold: two images whose distance is less are taken for the same person.
      false_positive: what it is in the pairs that were seen, at most `asked`.
      true_positive: None where fewer than `LEAST_FALSE` people have pairs.
    """

    asked: float
    threshold: float
    false_positive: Estimate
    true_positive: Estimate | None


@dataclass(frozen=True)
class BinPair:
    """What is known about two images, one in each of two bins.

    Attributes:
      bins: their numbers, the lower first.
      num_different: pairs of images of different people.
      num_same: pairs of images of one person by different cameras.
      num_people: that have images in the bin with fewer people.
      num_pairs_of_people: different people of whom there are pairs.
      num_people_same: people of whom there are pairs of the same person.
      points: ascending by rate; none where there are too few people.
      histogram: numbers of pairs of different people and of the same person by distance, from 0 on.
      bar: width of the histogram's bars, a distance.
    """

    bins: tuple[int, int]
    num_different: int
    num_same: int
    num_people: int
    num_pairs_of_people: int
    num_people_same: int
    points: tuple[Point, ...]
    histogram: Int[np.ndarray, "2 H"] | None = None
    bar: float = 0.0

    @property
    def least_rate(self) -> float | None:
        """The least false-positive rate that so many people can support; None where they support none."""
        return supported_rate(self.num_people, self.num_pairs_of_people)


def supported_rate(num_people: int, num_pairs_of_people: int) -> float | None:
    """The least false-positive rate that can be told; None where there are too few people for any."""
    return LEAST_FALSE / num_pairs_of_people if num_people >= LEAST_PEOPLE else None


def calibrate(
    features: npt.ArrayLike,
    pids: npt.ArrayLike,
    camids: npt.ArrayLike | None,
    resolutions: npt.ArrayLike,
    edges: Sequence[float],
    rates: Sequence[float] = RATES,
) -> tuple[BinPair, ...]:
    """Thresholds for every unordered pair of bins, from images of people who were in no training.

    Memory: a copy of the features, tiles of two million distances, and what `pair_counts` needs for the false pairs at
    the greatest rate. For 20,000 images in three bins 0.8 GiB were measured, and in a
    single bin 1.3 GiB.

    Args:
      features: `[N, D]`, to compare by Euclidean distance.
      pids: `[N]` integers, identities; images of -1 are junk and left out.
      camids: `[N]` integers, cameras; a negative one is unknown, and so are all where it is None. An unknown camera
        is another one than all others.
      resolutions: `[N]`, r of the images.
      edges: ascending; bin i holds edges[i] < r <= edges[i + 1].
      rates: ascending false-positive rates; those that a pair of bins does not support are left out there.

    Raises:
      UserError: an array has the wrong shape or type, there is no image but junk, or a resolution is in no bin.
    """
    return tuple(
        _calibrated(pair, rates) for pair in _pairs(features, pids, camids, resolutions, edges)
    )


def rates_at(
    features: npt.ArrayLike,
    pids: npt.ArrayLike,
    camids: npt.ArrayLike | None,
    resolutions: npt.ArrayLike,
    edges: Sequence[float],
    thresholds: Mapping[tuple[int, int], Sequence[float]],
) -> dict[tuple[int, int], list[tuple[Estimate, Estimate | None]]]:
    """The false- and true-positive rate of given thresholds, as `calibrate` gives them for its own.

    Args:
      features: as in `calibrate`, and so on; of other people, to see what its thresholds are worth.
      pids: likewise.
      camids: likewise.
      resolutions: likewise.
      edges: likewise.
      thresholds: ascending, by pair of bins. They are rounded up to a step of `pair_counts`.
    """
    found = {}
    for pair in _pairs(features, pids, camids, resolutions, edges):
        own = thresholds.get(pair.bins, ())
        if len(own) and pair.num_different:
            steps = np.ceil(np.asarray(own) / pair.step - 1e-6).clip(0, STEPS).astype(np.int64)
            found[pair.bins] = pair.estimates(pair.counts(steps))
    return found


class _Pair:
    """The pairs of two bins, and their rates below thresholds."""

    def __init__(
        self,
        pairs: PairsOfBins,
        bins: tuple[int, int],
        times: Float[np.ndarray, "R K"],
    ):
        self.bins, self.step = bins, pairs.step
        self._pairs, self._times = pairs, times
        a, b = (pairs.images_of(bin_).astype(float) for bin_ in bins)
        self._of_bins = (a, b)
        self._halved = 2 if bins[0] == bins[1] else 1  # there each pair is counted from both ends
        in_a, in_b, both = (int(np.count_nonzero(n)) for n in (a, b, (a > 0) & (b > 0)))
        self.num_people = min(in_a, in_b)
        # Two people who are in both bins are one pair and not two, and nobody is another than himself.
        self.num_pairs_of_people = in_a * in_b - both - both * (both - 1) // 2
        self.num_different = int((a.sum() * b.sum() - (a * b).sum()) / self._halved)

    def histogram(self) -> Int[np.ndarray, "2 C"]:
        return self._pairs.histogram(*self.bins)

    def counts(self, steps: Int[np.ndarray, " T"]) -> Counts:
        return self._pairs.counts(*self.bins, steps)

    def estimates(self, counts: Counts) -> list[tuple[Estimate, Estimate | None]]:
        """The false- and true-positive rate of each threshold that was counted for."""
        return list(zip(self._false(counts), self._true(counts), strict=True))

    def _false(self, counts: Counts) -> list[Estimate]:
        (a, b), times, halved = self._of_bins, self._times, self._halved
        totals = ((times @ a) * (times @ b) - np.square(times) @ (a * b)) / halved
        # Without one person each: its pairs with all others are gone.
        own = (a * (b.sum() - b) + b * (a.sum() - a)) / halved
        present = own > 0
        size = (len(a), len(a))
        below: Float[np.ndarray, " R"] = np.zeros(len(times))
        of_people = np.zeros(len(a))
        estimates = []
        for level in range(counts.same.shape[1]):
            one, other, numbers = counts.of_people(level)
            of_pairs = csr_array((numbers.astype(float), (one, other)), size)
            below = below + np.einsum("kr,kr->r", times.T, of_pairs @ times.T)
            of_people = (
                of_people + np.bincount(one, numbers, len(a)) + np.bincount(other, numbers, len(a))
            )
            number = of_people.sum() / 2
            with np.errstate(invalid="ignore", divide="ignore"):
                sample = below / totals
                left_out = (number - of_people) / (self.num_different - own)
            estimates.append(
                _estimate(
                    number / self.num_different,
                    sample,
                    left_out[present],
                    self.num_pairs_of_people,
                )
            )
        return estimates

    def _true(self, counts: Counts) -> list[Estimate | None]:
        present = counts.num_same > 0
        people = int(np.count_nonzero(present))
        if people < LEAST_FALSE:
            return [None] * counts.same.shape[1]
        numbers, times = counts.num_same[present].astype(float), self._times[:, present]
        total = numbers.sum()
        estimates: list[Estimate | None] = []
        for own in counts.same[present].T.astype(float):
            with np.errstate(invalid="ignore"):
                sample = (times @ own) / (times @ numbers)
            left_out = (own.sum() - own) / (total - numbers)
            estimates.append(_estimate(own.sum() / total, sample, left_out, people))
        return estimates


def _pairs(
    features: npt.ArrayLike,
    pids: npt.ArrayLike,
    camids: npt.ArrayLike | None,
    resolutions: npt.ArrayLike,
    edges: Sequence[float],
) -> list[_Pair]:
    """All unordered pairs of bins."""
    size = len(np.asarray(pids))
    cameras = np.full(size, -1) if camids is None else np.asarray(camids)
    images = labelled_features("calibration", features, pids, cameras)
    kept = np.flatnonzero(images.pids != JUNK_PID)
    if not len(kept):
        raise UserError("calibration_pids: found nothing but junk (-1), expected identities")
    bins = bins_of(np.asarray(resolutions)[kept], edges)
    images = images[kept]
    unknown = images.camids < 0
    images.camids[unknown] = images.camids.max() + 1 + np.arange(np.count_nonzero(unknown))
    people, identities = np.unique(images.pids, return_inverse=True)
    pairs = PairsOfBins(images, bins, len(edges) - 1, identities)
    times = multiplicities(REPLICATES, len(people), _STREAM).astype(float)
    numbers = range(len(edges) - 1)
    return [
        _Pair(pairs, both, times) for both in itertools.combinations_with_replacement(numbers, 2)
    ]


def _calibrated(pair: _Pair, rates: Sequence[float]) -> BinPair:
    histogram = pair.histogram()
    least = supported_rate(pair.num_people, pair.num_pairs_of_people)
    supported = [rate for rate in rates if least is not None and rate >= least]
    # A trifle more, so that 0.1 of 30 pairs are 3 whatever the rounding of the product.
    allowed = np.floor(np.array(supported) * pair.num_different * (1 + 1e-9))
    # So many pairs are allowed to be below: the number of steps up to which no more are.
    steps = np.searchsorted(np.cumsum(histogram[DIFFERENT]), allowed, side="right")
    counts = pair.counts(steps)
    points = [
        Point(rate, float(step * pair.step), false, true)
        for rate, step, (false, true) in zip(supported, steps, pair.estimates(counts), strict=True)
    ]
    return BinPair(
        pair.bins,
        pair.num_different,
        int(histogram[SAME].sum()),
        pair.num_people,
        pair.num_pairs_of_people,
        int(np.count_nonzero(counts.num_same)),
        tuple(points),
        histogram.reshape(2, _BARS, -1).sum(-1),
        pair.step * STEPS / _BARS,
    )


def _estimate(
    rate: float, sample: Float[np.ndarray, " R"], left_out: Float[np.ndarray, " K"], trials: int
) -> Estimate:
    """A rate with its BCa interval.

    Args:
      rate: of all people.
      sample: of the replicates; nan where one has no pairs.
      left_out: without each of the people.
      trials: that could have ended otherwise. Where all end alike there is nothing to draw from, and the interval is
        the exact one of so many independent trials.
    """
    rate, sample = float(rate), sample[np.isfinite(sample)]
    if rate in (0.0, 1.0) or len(sample) == 0:
        other_end = _TAIL ** (1 / max(trials, 1))
        return Estimate(rate, other_end if rate else 0.0, 1.0 if rate else 1 - other_end)
    share = np.mean(sample < rate) + np.mean(sample == rate) / 2
    bias = ndtri(np.clip(share, 1 / len(sample), 1 - 1 / len(sample)))
    deviations = left_out.mean() - left_out
    spread = np.sum(deviations**2) ** 1.5
    acceleration = np.sum(deviations**3) / (6 * spread) if spread else 0.0
    ends = []
    for normal in (ndtri(_TAIL), -ndtri(_TAIL)):
        corrected = bias + (bias + normal) / max(1 - acceleration * (bias + normal), 0.1)
        ends.append(float(np.quantile(sample, ndtr(corrected))))
    return Estimate(rate, min(ends[0], rate), max(ends[1], rate))
