"""Writes docs/calibration.md: are asked false-positive rates met on people who were in no training and no calibration?

    for seed in 0 1 2; do rireid train --config joint --config.run="('backbone','rife')" --config.baseline= \\
        --config.stages.backbone.epochs=4 --config.stages.rife.epochs=4 --config.seed=$seed \\
        --config.data.recipe.seed=$seed --workdir runs/calibration-seed$seed; done
    python benchmarks/calibration.py runs/calibration-seed0 runs/calibration-seed1 ... > docs/calibration.md

The people of query and gallery are divided into two halves by chance. One half gives the thresholds and their
intervals; the other one, whose people nothing has seen, is measured at them.
"""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rireid_jax.evaluation.calibration import Estimate, calibrate, rates_at
from rireid_jax.runs.calibrating import LabelledImages, of_built
from rireid_jax.runs.calibration import percent
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.trial import build_dataset
from rireid_jax.runs.workdir import read_config

RATES = (0.001, 0.01, 0.1)
_TEXT = """\
# What a calibrated threshold is worth on new people

`benchmarks/calibration.py` makes this page from {runs} runs with seeds {seeds}, each on its own drawing of the embedded
data, of the stages {stages} with {epochs} epochs. The people of query and gallery,
who are in no training, are divided into two halves by chance: one gives the threshold for a false-positive rate, the
other one is measured at it. r is the resolution of both images. Rates in percent, with 95 % intervals from drawing
people.

- **Calibration** is the interval that the first half gives for the rate of its threshold among all people.
- **Measured** is the rate among the people of the other half, with the interval that they give for the same rate.
- **Inside**: what was measured is inside the calibration's interval, so the asked rate is met within its interval. What
  is measured is itself as uncertain as that interval is wide, so that this would fail in one of six cases were the
  intervals exact; they err to the wide side.
- **Not above**: the asked rate is not below the interval of what was measured, so that these people are no evidence
  that the threshold lets more through than was asked. That fails by chance in one of forty cases.
"""


class Row(NamedTuple):
    """One threshold: what its half says about it, and what the other half does."""

    seed: int
    bins: str
    asked: float
    calibrated: Estimate
    measured: Estimate
    true: Estimate | None
    true_measured: Estimate | None

    @property
    def not_above(self) -> bool:
        return self.measured.low <= self.asked

    @property
    def inside(self) -> bool:
        return _inside(self.calibrated, self.measured.rate)


def main(workdirs: Sequence[str]) -> None:
    """Prints the page to standard output."""
    if not workdirs:
        sys.exit("error: found no work directories, expected those of runs with different seeds")
    configs = [read_config(workdir) for workdir in workdirs]
    rows: list[Row] = []
    refused: list[str] = []
    for workdir, config in zip(workdirs, configs, strict=True):
        images = of_built(
            Extractor.from_workdir(workdir), config, build_dataset(config, config.dataset)
        )
        found, without = compare_halves(images, config.eval.bins, config.seed)
        rows += found
        refused += [f"seed {config.seed}: {line}" for line in without]
    first = configs[0]
    print(
        _TEXT.format(
            runs=len(workdirs),
            seeds=", ".join(str(config.seed) for config in configs),
            stages=" and ".join(first.run),
            epochs=" and ".join(str(first.stages[stage].epochs) for stage in first.run),
        )
    )
    print(page(rows, refused))


def compare_halves(
    images: LabelledImages, edges: Sequence[float], seed: int
) -> tuple[list[Row], list[str]]:
    """The thresholds of one half of the people on the other half, and which pairs of bins have too few people."""
    people = np.unique(images.pids[images.pids >= 0])
    chosen = np.random.default_rng(seed).permutation(people)[: len(people) // 2]
    first = np.isin(images.pids, chosen)
    halves = [_columns(images, part) for part in (first, ~first)]
    pairs = calibrate(*halves[0], edges, RATES)
    thresholds = {pair.bins: [point.threshold for point in pair.points] for pair in pairs}
    measured = rates_at(*halves[1], edges, thresholds)
    rows, refused = [], []
    for pair in pairs:
        bins = " and ".join(f"{edges[b]:.2f}-{edges[b + 1]:.2f}" for b in pair.bins)
        for point, (false, true) in zip(pair.points, measured.get(pair.bins, ()), strict=True):
            rows.append(
                Row(seed, bins, point.asked, point.false_positive, false, point.true_positive, true)
            )
        if len(pair.points) < len(RATES):
            least = f"{pair.least_rate:.2g}" if pair.least_rate else "none"
            refused.append(f"{bins}, {pair.num_people} people: least rate {least}")
    return rows, refused


def _columns(images: LabelledImages, part: np.ndarray) -> tuple[Any, ...]:
    return tuple(
        column[part] for column in (images.features, images.pids, images.camids, images.resolutions)
    )


def page(rows: Sequence[Row], refused: Sequence[str]) -> str:
    """The tables, and how often what was said came true."""
    titles = ["seed", "r of both images", "asked", "calibration", "measured", "inside", "not above"]
    titles += ["true positives", "measured"]
    lines = [titles, ["---"] * len(titles)]
    for row in rows:
        low, high = percent(row.calibrated.low), percent(row.calibrated.high)
        lines.append(
            [
                *(str(row.seed), row.bins, percent(row.asked), f"[{low}, {high}]"),
                *(_shown(row.measured), ("no", "yes")[row.inside], ("no", "yes")[row.not_above]),
                *(_shown(row.true), _shown(row.true_measured)),
            ]
        )
    sides = [
        (r.measured.rate > r.calibrated.high, r.measured.rate < r.calibrated.low) for r in rows
    ]
    above, below = (sum(side) for side in zip(*sides, strict=True))
    true = [r for r in rows if r.true and r.true_measured]
    true_inside = sum(_inside(r.true, r.true_measured.rate) for r in true)
    factors = [
        f"{rate:g}: {np.mean([r.measured.rate / rate for r in rows if r.asked == rate]):.2f}"
        for rate in RATES
        if any(r.asked == rate for r in rows)
    ]
    summary = [
        f"- Inside the calibration's interval: {sum(r.inside for r in rows)} of {len(rows)} measured rates; above it "
        f"{above}, below it {below}.",
        f"- Not above what was asked: {sum(r.not_above for r in rows)} of {len(rows)}.",
        f"- True-positive rates inside the calibration's interval: {true_inside} of {len(true)}.",
        f"- Measured / asked, means by asked rate: {', '.join(factors)}.",
        *(f"- Too few people for a rate of {RATES[0]:g}: {line}." for line in refused),
    ]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([*summary, "", table])


def _inside(estimate: Estimate | None, rate: float) -> bool:
    return estimate is not None and estimate.low <= rate <= estimate.high


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{percent(estimate.rate)} [{percent(estimate.low)}, {percent(estimate.high)}]"


if __name__ == "__main__":
    main(sys.argv[1:])
