"""How sure a difference between two systems is: a paired bootstrap over identities of queries and over seeds.

The queries of one person resemble each other, so identities are drawn and not queries (a cluster bootstrap: Davison
and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). A replicate draws as many identities as there
are, with replacement, and scores both systems, with all their seeds, on the same draw; what makes a query hard for
both then cancels out. It also draws the seeds: those of both systems together where they have the same seeds, so that
what follows from the seed cancels out too, else those of each system alone.

The interval is that of the percentiles. It takes no account of what cannot be drawn: with one seed it says nothing
about another training, and with a few it is too narrow, because a bootstrap of n values has (n - 1) / n of their
variance. In a simulation (96 identities, a standard error of some 2 points from them, and a deviation of 5 points from
the seed of each system), 77 % of the nominal 95 % intervals held the truth with two seeds, 86 % with three, and 92 %
with ten (`tests/evaluation/test_intervals.py` repeats it). Identities that several trials share are drawn in each trial
alone, as if they were different people.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rireid_jax.errors import UserError
from rireid_jax.evaluation.scoring import Outcomes, bins_of

REPLICATES = 10_000
HIGHER, LOWER, CANNOT_BE_TOLD = "higher", "lower", "cannot be told"

_CONFIDENCE = 95  # percent
_SEED = 2019
_SEEDS, _IDENTITIES = range(2)  # streams of random numbers
_AT_ONCE = 500  # replicates; bounds the memory of the draws
_DIGITS = 12  # sums differ by their rounding beyond these
_RATES = ("rank1", "mAP")

# Of a system: by seed, the outcomes in each trial (one without trials).
Trained = Mapping[int, Sequence[Outcomes]]


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference between two systems' rates, the first minus the second; rates are fractions.

    Attributes:
      difference: of the means over queries and seeds, and over trials.
      low: lower end of the 95 % interval; None where fewer than two identities can be drawn.
      high: upper end.
      verdict: `HIGHER` or `LOWER`, or `CANNOT_BE_TOLD` where 0 is in the interval or there is none.
      num_identities: with counted queries, summed over the trials.
      num_seeds: of each system.
    """

    difference: float
    low: float | None
    high: float | None
    verdict: str
    num_identities: int
    num_seeds: tuple[int, int]

    def in_points(self) -> str:
        """As text in points (percent): difference and interval."""
        shown = f"{100 * self.difference:+.1f}"
        if self.low is None or self.high is None:
            return f"{shown} [no interval]"
        return f"{shown} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The differences between two systems.

    Attributes:
      rank1: over all queries.
      mAP: over all queries.
      by_resolution: [{"low", "high", "rank1", "mAP"}] for each bin of the resolution r, low < r <= high; the
        differences are None in a bin without counted queries.
      gap: {"rank1", "mAP"}, the difference in the highest bin minus that in the lowest: negative where the first
        system loses less on low images than the second; None where one of the two bins is empty.
    """

    rank1: Difference
    mAP: Difference
    by_resolution: list[dict[str, Any]]
    gap: dict[str, Difference] | None

    def as_json(self) -> dict[str, Any]:
        """As `results.json` holds it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Comparison":
        """From what `as_json` gave, perhaps written and read since."""

        bins = [
            {**b, **{rate: b[rate] and _from_json(b[rate]) for rate in _RATES}}
            for b in value["by_resolution"]
        ]
        gap = value["gap"] and {rate: _from_json(value["gap"][rate]) for rate in _RATES}
        return cls(_from_json(value["rank1"]), _from_json(value["mAP"]), bins, gap)


def _from_json(found: Mapping[str, Any]) -> Difference:
    first, second = found["num_seeds"]
    return Difference(**{**found, "num_seeds": (first, second)})


def drawn_from(num_identities: int, num_seeds: tuple[int, int]) -> str:
    """What an interval is over, in words."""
    identities = f"{num_identities} identities"
    first, second = num_seeds
    if first == second == 1:
        return f"{identities}, one seed: nothing is said about another training"
    seeds = f"{first} seeds" if first == second else f"{first} and {second} seeds"
    single = ", of which the single one says nothing about another training"
    return f"{identities} and {seeds}{single if min(num_seeds) == 1 else ''}"


def compare(
    ours: Trained, theirs: Trained, edges: Sequence[float], replicates: int = REPLICATES
) -> Comparison:
    """Compares two systems that were scored on the same queries.

    Over all queries every trial weighs the same, and in a bin of the resolution every query does, as in the mean of
    several trials' results (`runs.averages`).

    Args:
      ours: the first system.
      theirs: the second system; the trials are those of the first.
      edges: of the bins, ascending; bin i holds edges[i] < r <= edges[i + 1].
      replicates: number of draws.

    Raises:
      UserError: the queries are not the same, or a resolution is in none of the bins.
    """
    _check_same_queries([*ours.values(), *theirs.values()])
    trials = [_Sums(ours, theirs, trial, edges) for trial in range(len(next(iter(ours.values()))))]
    counts = np.sum([trial.present.sum(axis=1) for trial in trials], axis=0)
    numbers = (len(ours), len(theirs))
    paired = sorted(ours) == sorted(theirs)
    even = [np.full((1, number), 1 / number) for number in numbers]
    estimate = _differences([trial.totals() for trial in trials], even)[0]
    parts = []
    for place, start in enumerate(range(0, replicates, _AT_ONCE)):
        size = min(_AT_ONCE, replicates - start)
        chances = [
            multiplicities(size, number, _SEEDS, 0 if paired else system, place) / number
            for system, number in enumerate(numbers)
        ]
        totals = [
            trial.totals(multiplicities(size, trial.present.shape[1], _IDENTITIES, t, place))
            for t, trial in enumerate(trials)
        ]
        parts.append(_differences(totals, chances))
    drawn = np.concatenate(parts)

    def difference(part: int, rate: int, minus: int | None = None) -> Difference:
        value, sample, count = estimate[part, rate], drawn[:, part, rate], counts[part]
        if minus is not None:
            value, sample = value - estimate[minus, rate], sample - drawn[:, minus, rate]
            count = min(count, counts[minus])
        return _difference(float(value), sample, int(count), numbers)

    rows: list[dict[str, Any]] = []
    for i, (low, high) in enumerate(itertools.pairwise(edges), 1):
        found = {r: difference(i, k) if counts[i] else None for k, r in enumerate(_RATES)}
        rows.append({"low": float(low), "high": float(high), **found})
    last = len(rows)
    gap = None
    if last > 1 and counts[1] and counts[last]:
        gap = {rate: difference(last, k, minus=1) for k, rate in enumerate(_RATES)}
    return Comparison(difference(0, 0), difference(0, 1), rows, gap)


def multiplicities(replicates: int, size: int, *stream: int) -> Int[np.ndarray, "R K"]:
    """How often each of `size` things is drawn where as many are drawn with replacement.

    Args:
      replicates: number of draws R.
      size: number of things K.
      stream: of random numbers, the same at every call.
    """
    drawn = np.random.default_rng([_SEED, *stream]).integers(size, size=(replicates, size))
    flat = (drawn + size * np.arange(replicates)[:, None]).ravel()
    return np.bincount(flat, minlength=replicates * size).reshape(replicates, size)


class _Sums:
    """One trial's outcomes, summed over the queries of each identity.

    Part 0 of the queries are all, and part i those in bin i - 1 of the resolution.

    Attributes:
      present: `[P, K]`, whether identity k has counted queries in part p; every identity has some in part 0.
    """

    def __init__(self, ours: Trained, theirs: Trained, trial: int, edges: Sequence[float]):
        systems = [[seeds[seed][trial] for seed in sorted(seeds)] for seeds in (ours, theirs)]
        first = systems[0][0]
        counted = np.all([o.counted() for system in systems for o in system], axis=0)
        bins = bins_of(first.resolutions, edges)[counted]
        member = np.stack([bins >= 0, *(bins == i for i in range(len(edges) - 1))])
        pids, identity = np.unique(first.pids[counted], return_inverse=True)
        self._num_seeds = [len(system) for system in systems]
        self._counts = np.stack([np.bincount(identity, part, len(pids)) for part in member])
        self.present = self._counts > 0
        # [X, P, M, K]: seeds of both systems, parts, rates and identities.
        self._sums = np.array(
            [
                [
                    [np.bincount(identity, part * values[counted], len(pids)) for values in rates]
                    for part in member
                ]
                for system in systems
                for rates in ((o.rank1, o.average_precision) for o in system)
            ]
        )

    def totals(
        self, times: Int[np.ndarray, "R K"] | None = None
    ) -> tuple[list[Float[np.ndarray, "R _ P M"]], Float[np.ndarray, "R P"]]:
        """Sums of the outcomes by system, and the number of queries, where identities count so many times."""
        if times is None:
            times = np.ones((1, self.present.shape[1]), int)
        weights = times.astype(float)
        flat = self._sums.reshape(-1, weights.shape[1])
        sums = (weights @ flat.T).reshape(len(weights), *self._sums.shape[:-1])
        return np.split(sums, [self._num_seeds[0]], axis=1), weights @ self._counts.T


def _differences(
    totals: Sequence[tuple[list[Float[np.ndarray, "R _ P M"]], Float[np.ndarray, "R P"]]],
    chances: Sequence[Float[np.ndarray, "R _"]],
) -> Float[np.ndarray, "R P M"]:
    """Differences of the two systems' rates in every replicate; nan in a part without queries.

    Args:
      totals: of each trial, from `_Sums.totals`.
      chances: the weights of each system's seeds, whose sum is 1.
    """
    means = []
    with np.errstate(invalid="ignore"):  # 0 / 0 in a part without queries
        for system, weights in enumerate(chances):
            sums = [total[0][system] for total in totals]
            counts = [total[1][:, None, :, None] for total in totals]
            rates = np.sum(sums, axis=0) / np.sum(counts, axis=0)
            by_trial = [s[:, :, 0] / c[:, :, 0] for s, c in zip(sums, counts, strict=True)]
            rates[:, :, 0] = np.mean(by_trial, axis=0)
            means.append(np.einsum("rs,rspm->rpm", weights, rates))
    return np.round(means[0] - means[1], _DIGITS)


def _difference(
    value: float, sample: Float[np.ndarray, " R"], num_identities: int, num_seeds: tuple[int, int]
) -> Difference:
    """A difference with its interval, from those of the replicates; those without queries (nan) are left out."""
    if num_identities < 2:
        return Difference(value, None, None, CANNOT_BE_TOLD, num_identities, num_seeds)
    tail = (100 - _CONFIDENCE) / 2
    low, high = map(float, np.nanpercentile(sample, [tail, 100 - tail]))
    verdict = HIGHER if low > 0 else LOWER if high < 0 else CANNOT_BE_TOLD
    return Difference(value, low, high, verdict, num_identities, num_seeds)


def _check_same_queries(runs: Sequence[Sequence[Outcomes]]) -> None:
    first = runs[0]
    for run in runs[1:]:
        same = len(run) == len(first) and all(
            np.array_equal(a.pids, b.pids) and np.array_equal(a.resolutions, b.resolutions)
            for a, b in zip(run, first, strict=True)
        )
        if not same:
            raise UserError(
                "comparison of two systems: found other identities or resolutions of queries in one than in the "
                "other, expected the same queries in the same order"
            )
