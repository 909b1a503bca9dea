"""Figures 2, 4 and 5 of the paper and the gates of RIFE, drawn from the rows that have been trained."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from rireid_jax.data.build import Built
from rireid_jax.data.loader import Source
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError
from rireid_jax.evaluation.embed import Embedding
from rireid_jax.evaluation.evaluate import Evaluation
from rireid_jax.paper.claims import Curves
from rireid_jax.paper.curves import draw_gates, draw_objective
from rireid_jax.paper.page import Figure
from rireid_jax.paper.row_runs import row_parts
from rireid_jax.paper.rows import ROWS
from rireid_jax.paper.sweep import ObjectiveCurves, Originals, gate_curves, objective_curves
from rireid_jax.paper.tables import System
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.pictures import draw_ranked, restoration_figure, save_png

logger = logging.getLogger(__name__)

# The systems of Figure 4, as the paper calls them.
_NAMES = {
    "resnet50": "ResNet50",
    "ffsr_joint": "FFSR",
    "rife": "RIFE",
    "ffsr_rife": "FFSR+RIFE",
}
_IMAGES = 8  # columns of Figure 5
_AT_ONCE = 512  # images decoded at once


@dataclass(frozen=True)
class _Plan:
    """A figure that may be drawn.

    Attributes:
      name: of its folder.
      title: above the picture.
      file: name of the PNG.
      rows: whose networks it shows.
      draw: draws it into a folder.
      some: whether it is drawn as soon as one of the rows is there.
    """

    name: str
    title: str
    file: str
    rows: Sequence[str]
    draw: Callable[[Path], None]
    some: bool = False


class Drawing:
    """Draws what the trained rows allow, with the first seed that all of them have and the first trial.

    The network of a row is loaded once.
    """

    def __init__(
        self, config: ConfigDict, workdir: str, systems: Mapping[str, System], data: Built
    ):
        """Looks up what has been trained.

        Args:
          config: of all rows.
          workdir: of the report.
          systems: by row.
          data: the data set, or its first trial.
        """
        self._data = data
        self._objective: dict[str, ObjectiveCurves] | None = None
        trained = {row: set(system.results) for row, system in systems.items() if ROWS[row].stage}
        common = set.intersection(*filter(None, trained.values())) if any(trained.values()) else ()
        self._folders: dict[str, str] = {}
        if common:
            self._folders = {
                row: row_parts(config, workdir, row, min(common))[0].folder
                for row, seeds in trained.items()
                if seeds
            }
        self._extractor = functools.cache(self._load_extractor)

    @property
    def objective(self) -> dict[str, Curves]:
        """O(r, r) and O(r, 1) of Eq. 2 at increasing r, by row; empty before `draw`."""
        return {
            row: ([o.value for o in curves.equal], [o.value for o in curves.varied])
            for row, curves in (self._objective or {}).items()
        }

    def draw(self, folder: Path) -> list[Figure]:
        """Draws all figures into folders of their own.

        Args:
          folder: that holds these folders.
        """
        return [self._draw(plan, folder) for plan in self._plans()]

    def _plans(self) -> Iterator[_Plan]:
        yield _Plan(
            "figure2",
            "Figure 2. O of Eq. 2 against the resolution, ResNet50",
            "objective.png",
            ("resnet50",),
            lambda place: self._draw_objective(place, ("resnet50",)),
        )
        yield _Plan(
            "figure4",
            "Figure 4. The same for FFSR, RIFE and both",
            "objective.png",
            tuple(_NAMES),
            lambda place: self._draw_objective(place, tuple(_NAMES)),
            some=True,
        )
        yield _Plan(
            "figure5-restored",
            "Figure 5. Queries as seen, restored by FFSR without and with joint learning, originals",
            "restored.png",
            ("ffsr", "ffsr_joint"),
            self._draw_restored,
        )
        yield _Plan(
            "figure5-ranked",
            "Figure 5. The first gallery images for queries of low resolution",
            "ranked.png",
            ("resnet50", "ffsr_rife"),
            self._draw_ranked,
        )
        yield _Plan(
            "gates",
            "Gates of the dual-stream blocks of RIFE against the resolution, and their targets in Eq. 7",
            "gates.png",
            ("rife",),
            self._draw_gates,
        )

    def _draw(self, plan: _Plan, folder: Path) -> Figure:
        title, missing = plan.title, [row for row in plan.rows if row not in self._folders]
        if missing and (not plan.some or len(missing) == len(plan.rows)):
            return Figure(title, None, f"not run: {', '.join(missing)}")
        place = folder / plan.name
        place.mkdir(parents=True, exist_ok=True)
        try:
            plan.draw(place)
        except UserError as error:  # the data or the installation do not allow it
            return Figure(title, None, f"not drawn: {error}")
        if missing:
            title += f" (not run: {', '.join(missing)})"
        return Figure(title, place / plan.file)

    def _load_extractor(self, row: str) -> Extractor:
        return Extractor.from_workdir(self._folders[row])

    def _originals(self) -> Originals:
        splits = self._data.splits
        return Originals(splits["query"], splits["gallery"], self._data.width_max)

    def _draw_objective(self, place: Path, rows: Sequence[str]) -> None:
        if self._objective is None:
            measured, originals = {}, self._originals()
            for row in filter(self._folders.__contains__, _NAMES):
                logger.info("%s: features at every resolution", _NAMES[row])
                measured[row] = objective_curves(self._extractor(row).extract, originals)
            self._objective = measured
        found = {_NAMES[row]: self._objective[row] for row in rows if row in self._objective}
        draw_objective(place, found)

    def _draw_restored(self, place: Path) -> None:
        query = self._data.splits["query"]
        resolutions = np.array([query[i].resolution for i in range(len(query))])
        order = np.argsort(resolutions, kind="stable")
        chosen = np.unique(np.linspace(0, len(order) - 1, _IMAGES).round().astype(int))
        records = [query[int(i)] for i in order[chosen]]
        low = [np.asarray(decode_image(r.image, r.name)) for r in records]
        rows = [("as seen", low)]
        for row, name in (("ffsr", "FFSR, apart"), ("ffsr_joint", "FFSR, joint")):
            rows.append((name, list(self._extractor(row).restore(low))))
        if all(record.target for record in records):
            rows.append(("original", [np.asarray(decode_image(r.target, r.name)) for r in records]))
        titles = [f"r = {record.resolution:.2f}" for record in records]
        save_png(restoration_figure(rows, titles), place / "restored.png")

    def _draw_ranked(self, place: Path) -> None:
        splits = self._data.splits
        evaluations = {}
        for row in ("resnet50", "ffsr_rife"):
            query, gallery = (_embed(self._extractor(row), splits[s]) for s in ("query", "gallery"))
            evaluations[_NAMES[row]] = Evaluation({}, query, gallery)
        draw_ranked(place, self._data, evaluations)

    def _draw_gates(self, place: Path) -> None:
        draw_gates(place, gate_curves(self._extractor("rife").weights, self._originals()))


def _embed(extractor: Extractor, source: Source) -> Embedding:
    """Features of a split and its labels; nothing is scored again."""
    features, labels = [], []
    for start in range(0, len(source), _AT_ONCE):
        records = [source[i] for i in range(start, min(start + _AT_ONCE, len(source)))]
        features.append(extractor.extract([decode_image(r.image, r.name) for r in records]))
        labels += [(record.pid, record.camid, record.resolution) for record in records]
    pids, camids, resolutions = (np.array(column) for column in zip(*labels, strict=True))
    gates = np.zeros((len(source), 0, 2), np.float32)
    return Embedding(np.concatenate(features), gates, pids, camids, resolutions, {})
