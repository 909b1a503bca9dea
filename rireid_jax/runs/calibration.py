"""`calibration.json`, next to a model: from which distance on two images are the same person, at which resolutions.

What the figures mean, and how sure they are, is in `evaluation/calibration.py`.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etils import epath

from rireid_jax.errors import UserError
from rireid_jax.evaluation.calibration import BinPair, Estimate, Point
from rireid_jax.evaluation.scoring import bins_of
from rireid_jax.paths import expanded
from rireid_jax.runs.files import jsonable, write_whole
from rireid_jax.text_table import aligned

FPR = 0.001  # the false-positive rate that is asked for where the user asks for none


@dataclass(frozen=True)
class Verdict:
    """Whether two images are the same person, as far as their distance says.

    Attributes:
      same: the distance is below the threshold; None where `why` says why that cannot be told. False means that the
        distance is no proof: `true_positive` says how often it is none for one person either.
      threshold: for the bins of both images; None likewise, and so are the rates.
      asked: the false-positive rate of the threshold: the greatest one in the table up to that asked for.
      false_positive: what it is, with its 95 % interval.
      true_positive: how often two images of one person are below the threshold; None where too few people have any.
      num_different: pairs of images of different people that the threshold comes from.
      num_same: pairs of images of one person that `true_positive` comes from.
      bins: (low, high] of the resolution r of both images, the lower one first.
      why: one line, where `same` is None.
    """

    same: bool | None
    threshold: float | None
    asked: float
    false_positive: Estimate | None
    true_positive: Estimate | None
    num_different: int
    num_same: int
    bins: tuple[tuple[float, float], tuple[float, float]]
    why: str = ""


@dataclass(frozen=True)
class Calibration:
    """Thresholds of a model for every pair of bins of the resolution.

    Attributes:
      fingerprint: `Extractor.fingerprint` of the model.
      width_max: pixels, the native width of r = 1.
      edges: of the bins of r; bin i holds edges[i] < r <= edges[i + 1].
      source: what data the thresholds come from.
      protocol_hash: of these data; "" where they are not a data set that was built.
      num_people: in them.
      num_images: in them.
      pairs: what is known about every unordered pair of bins.
    """

    fingerprint: str
    width_max: int
    edges: tuple[float, ...]
    source: str
    protocol_hash: str
    num_people: int
    num_images: int
    pairs: tuple[BinPair, ...]

    def verdict(self, distance: float, r_a: float, r_b: float, fpr: float = FPR) -> Verdict:
        """Whether two images are the same person.

        Args:
          distance: Euclidean, of the features.
          r_a: resolution of one image, as `Extractor.describe` gives it.
          r_b: resolution of the other one.
          fpr: false-positive rate: how often different people may be taken for one.

        Raises:
          UserError: `fpr` is no rate, or a resolution lies in no bin.
        """
        check_rate("fpr", fpr)
        a, b = sorted(bins_of([r_a, r_b], self.edges).tolist())
        pair = next(pair for pair in self.pairs if pair.bins == (a, b))
        bins = (self._bounds(a), self._bounds(b))
        counts = (pair.num_different, pair.num_same)
        point = point_at(pair, fpr)
        if point is None:
            return Verdict(None, None, fpr, None, None, *counts, bins, self.refusal(pair, fpr))
        rates = (point.false_positive, point.true_positive)
        below = distance < point.threshold
        return Verdict(bool(below), point.threshold, point.asked, *rates, *counts, bins)

    def refusal(self, pair: BinPair, fpr: float) -> str:
        """Why there is no threshold for a false-positive rate, and which is the least."""
        people = f"{pair.num_people} people at r in {self.title(pair)}"
        if not pair.points:
            return f"{people} are too few for a threshold"
        return f"{people} are too few for a false-positive rate of {fpr:g}, the least is {pair.points[0].asked:g}"

    def title(self, pair: BinPair) -> str:
        """The bins of r, as text."""
        return " and ".join("{:.2f}-{:.2f}".format(*self._bounds(b)) for b in pair.bins)

    def write(self, path: epath.Path) -> None:
        """Writes the file, whole or not at all."""
        content = dataclasses.asdict(self)
        for pair in content["pairs"]:
            del pair["histogram"], pair["bar"]  # for the picture alone
        write_whole(path, json.dumps(jsonable(content), indent=1) + "\n")

    def _bounds(self, b: int) -> tuple[float, float]:
        return self.edges[b], self.edges[b + 1]


def check_rate(name: str, fpr: float) -> None:
    """Raises UserError unless the value is a rate."""
    if not 0 < fpr < 1:
        raise UserError(
            f"{name}: found {fpr:g}, expected a rate above 0 and below 1, such as {FPR}"
        )


def point_at(pair: BinPair, fpr: float) -> Point | None:
    """The threshold of the greatest false-positive rate up to the given one; None where there is none."""
    fitting = [point for point in pair.points if point.asked <= fpr * (1 + 1e-9)]
    return fitting[-1] if fitting else None


def calibration_file(model: str | Path, stage: str = "") -> epath.Path:
    """Where a model's calibration is: in its work directory, or next to its file of weights.

    Args:
      model: work directory, or file.
      stage: where it is not the run's final one.
    """
    path = epath.Path(expanded(model, "--model"))
    if path.suffix in (".pth", ".pt", ".safetensors") and not path.is_dir():
        return path.parent / f"{path.stem}.calibration.json"
    return path / f"calibration{f'-{stage}' if stage else ''}.json"


def load_calibration(model: str | Path, fingerprint: str, stage: str = "") -> Calibration | None:
    """A model's calibration; None where it has none.

    Args:
      model: work directory, or file of weights.
      fingerprint: `Extractor.fingerprint` of the model.
      stage: where it is not the run's final one.

    Raises:
      UserError: the file cannot be read, or is that of another model.
    """
    path = calibration_file(model, stage)
    if not path.exists():
        return None
    try:
        found = _from_json(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: found no calibration ({error}), expected that of a model; delete it and call rireid calibrate"
        ) from error
    if found.fingerprint != fingerprint:
        raise UserError(
            f"{path}: found the calibration of another model ({found.fingerprint}), expected that of {fingerprint}; "
            "rireid calibrate makes it anew"
        )
    return found


def calibration_table(calibration: Calibration, fpr: float) -> str:
    """The thresholds at a false-positive rate, as text."""
    titles = (
        *("r of both images", "threshold", "false positives\n%", "95 %\ninterval"),
        *("true positives\n%", "95 %\ninterval", "different\npairs", "same\npairs", "people"),
    )
    lines = [list(titles)]
    notes = []
    for pair in calibration.pairs:
        point = point_at(pair, fpr)
        cells = ["-"] * 5
        if point is None:
            notes.append(f"{calibration.refusal(pair, fpr)}.")
        else:
            cells = [f"{point.threshold:.4g}", *_cells(point.false_positive)]
            cells += _cells(point.true_positive)
            if point.asked < fpr * (1 - 1e-9):
                notes.append(f"{calibration.title(pair)}: the threshold of {point.asked:g}.")
        counts = (pair.num_different, pair.num_same, pair.num_people)
        lines.append([calibration.title(pair), *cells, *(f"{count:,}" for count in counts)])
    head = (
        f"The same person or not, at a false-positive rate of {fpr:g}, from {calibration.num_images:,} images of "
        f"{calibration.num_people:,} people: {calibration.source}"
    )
    return "\n".join([head, "", aligned(lines), *notes])


def _cells(estimate: Estimate | None) -> Sequence[str]:
    if estimate is None:
        return "-", "-"
    return percent(estimate.rate), f"{percent(estimate.low)}-{percent(estimate.high)}"


def percent(rate: float) -> str:
    """A rate in percent, with three digits where it is small."""
    return f"{100 * rate:.1f}" if rate >= 0.1 else f"{100 * rate:.3g}"


def _from_json(content: dict[str, Any]) -> Calibration:
    pairs = []
    for pair in content.pop("pairs"):
        points = [
            Point(
                point["asked"],
                point["threshold"],
                Estimate(**point["false_positive"]),
                point["true_positive"] and Estimate(**point["true_positive"]),
            )
            for point in pair.pop("points")
        ]
        pairs.append(BinPair(**{**pair, "bins": tuple(pair["bins"]), "points": tuple(points)}))
    return Calibration(**{**content, "edges": tuple(content["edges"]), "pairs": tuple(pairs)})
