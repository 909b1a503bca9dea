"""The results of a run as the page shows them: its table, curves, pictures, and queries right and wrong."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from rireid_jax.errors import UserError
from rireid_jax.evaluation.scoring import Outcomes, bins_of
from rireid_jax.runs.queries import Queries, read_queries

PICTURES = (
    ("ranked.png", "Ranked lists of queries of low resolution"),
    ("restored.png", "Restored queries, from low to high resolution"),
    ("gates.png", "Gates against the resolution"),
    ("calibration.png", "Distances of one person's images and of different people's"),
)
MEASURES = {"Rank-1": "rank1", "mAP": "mAP"}
ALL, RIGHT, WRONG = "all", "right at rank 1", "wrong at rank 1"
_MOST_ROWS = 1000


@dataclass(frozen=True)
class RunResults:
    """What a run has left.

    Attributes:
      folder: its work directory.
      text: the content of `results.txt`.
      systems: the metrics of each system, by the name of its stage; the first is the run's own.
      pictures: (file, title) of those that are there.
      queries: their outcomes; None where they were not kept.
    """

    folder: epath.Path
    text: str
    systems: dict[str, dict[str, Any]]
    pictures: Sequence[tuple[epath.Path, str]]
    queries: Queries | None

    @property
    def edges(self) -> list[float]:
        """Of the bins of r."""
        bins = next(iter(self.systems.values()))["by_resolution"]
        return [bins[0]["low"], *(b["high"] for b in bins)]

    def curve(self, measure: str) -> list[tuple[str, float, float, int]]:
        """(system, r in the middle of a bin, percent, queries in the bin) of every bin with queries.

        Args:
          measure: a key of `MEASURES`.
        """
        return [
            (system, (b["low"] + b["high"]) / 2, 100 * b[MEASURES[measure]], b["num_query"])
            for system, metrics in self.systems.items()
            for b in metrics["by_resolution"]
            if b[MEASURES[measure]] is not None
        ]

    def counts(self, stage: str) -> list[list[str | int | float]]:
        """A row for each bin of r: right, wrong, and percent right."""
        found = self._outcomes(stage)
        counted = found.counted()
        bins = bins_of(found.resolutions, self.edges)
        rows: list[list[str | int | float]] = []
        for b, (low, high) in enumerate(zip(self.edges[:-1], self.edges[1:], strict=True)):
            rank1 = found.rank1[counted & (bins == b)]
            right = int((rank1 > 0.5).sum())
            percent = round(100 * right / len(rank1), 1) if len(rank1) else "-"
            rows.append([f"{low:.2f}-{high:.2f}", right, len(rank1) - right, percent])
        return rows

    def query_rows(self, stage: str, which: str) -> list[list[int | float | str]]:
        """(number in the split, person, r, right or wrong, average precision in percent), the worst first.

        Args:
          stage: whose outcomes.
          which: `ALL`, `RIGHT` or `WRONG`.
        """
        found = self._outcomes(stage)
        right = found.rank1 > 0.5  # over several draws of the gallery: in most of them
        shown = found.counted() & {ALL: True, RIGHT: right, WRONG: ~right}[which]
        order = np.argsort(found.average_precision, kind="stable")
        return [
            [
                int(i) + 1,
                int(found.pids[i]),
                round(float(found.resolutions[i]), 2),
                "right" if right[i] else "wrong",
                round(100 * float(found.average_precision[i]), 1),
            ]
            for i in order[shown[order]][:_MOST_ROWS]
        ]

    def _outcomes(self, stage: str) -> Outcomes:
        if self.queries is None or stage not in self.queries.outcomes:
            raise UserError(f"{self.folder}: found no outcomes of queries for {stage!r}")
        return self.queries.outcomes[stage]


def read_run(folder: epath.Path) -> RunResults | None:
    """What a run has left in its work directory; None where it has no results yet.

    Raises:
      UserError: they cannot be read.
    """
    path = folder / "results.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text())
        systems = {found["stage"]: found}
        if found["baseline"]:
            systems[found["config"]["baseline"]] = found["baseline"]
        systems |= found.get("others") or {}
        for metrics in systems.values():
            for b in metrics["by_resolution"]:
                _ = b["low"], b["high"], b["rank1"], b["mAP"], b["num_query"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: found no results of a run ({error}), expected some") from error
    text = folder / "results.txt"
    return RunResults(
        folder,
        text.read_text() if text.is_file() else "",
        systems,
        [(folder / name, title) for name, title in PICTURES if (folder / name).is_file()],
        read_queries(str(folder)),
    )
