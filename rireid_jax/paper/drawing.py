"""Figures 2, 4 and 5 of the paper, drawn of the rows that have been trained."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from rireid_jax.data.build import Built
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError
from rireid_jax.evaluation.embed import Embedder
from rireid_jax.evaluation.evaluate import evaluate
from rireid_jax.paper.claims import Curves
from rireid_jax.paper.comparison import System
from rireid_jax.paper.curves import draw_objective, draw_weights
from rireid_jax.paper.page import Figure
from rireid_jax.paper.rows import ROWS
from rireid_jax.paper.sweep import (
    ObjectiveCurves,
    Originals,
    objective_curves,
    weight_curves,
)
from rireid_jax.paper.training import Part, row_parts
from rireid_jax.parallel import Parallel
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.pictures import draw_ranked, restoration_figure, save_png
from rireid_jax.runs.trial import build_dataset
from rireid_jax.training.checkpoint import Checkpoints

logger = logging.getLogger(__name__)

# The systems of Figure 4, as the paper calls them.
_NAMES = {
    "resnet50": "ResNet50",
    "ffsr_joint": "FFSR",
    "rife": "RIFE",
    "ffsr_rife": "FFSR+RIFE",
}
_IMAGES = 8  # columns of Figure 5


class Drawing:
    """Draws what the trained rows allow, of the first seed that all have and the first division.

    Attributes:
      objective: O(r, r) and O(r, 1) of Eq. 2 at increasing r, by row.
    """

    def __init__(
        self,
        config: ConfigDict,
        workdir: str,
        folder: Path,
        systems: Mapping[str, System],
        parallel: Parallel,
    ):
        """Sees what has been trained.

        Args:
          config: of all rows.
          workdir: of the report.
          folder: to draw into.
          systems: by row.
          parallel: the devices.
        """
        self.objective: dict[str, Curves] = {}
        self._folder, self._parallel = folder, parallel
        trained = {row: set(system.results) for row, system in systems.items() if ROWS[row].stage}
        common = set.intersection(*filter(None, trained.values())) if any(trained.values()) else ()
        self._parts: dict[str, Part] = {}
        if common:
            self._parts = {
                row: row_parts(config, workdir, row, min(common))[0]
                for row, seeds in trained.items()
                if seeds
            }

    def draw(self, data: Built) -> list[Figure]:
        """Draws all figures.

        Args:
          data: the first division of the data set.
        """
        curves: dict[str, ObjectiveCurves] = {}

        def measure() -> None:
            originals = self._originals(data)
            for row, name in _NAMES.items():
                if row in self._parts:
                    logger.info("%s: features at every resolution", name)
                    extractor = Extractor.from_workdir(self._parts[row].folder)
                    curves[name] = objective_curves(extractor.extract, originals)
                    panels = curves[name].equal, curves[name].varied
                    equal, varied = ([o.value for o in panel] for panel in panels)
                    self.objective[row] = equal, varied

        problem = self._attempt(measure)
        name = _NAMES["resnet50"]
        baseline = {name: curves[name]} if name in curves else {}
        figures = [
            self._figure(
                "figure2",
                "Figure 2. O of Eq. 2 against the resolution, ResNet50",
                "objective.png",
                ("resnet50",),
                self._drawn("figure2", lambda place: draw_objective(place, baseline)),
                problem,
            ),
            self._figure(
                "figure4",
                "Figure 4. The same for FFSR, RIFE and both",
                "objective.png",
                tuple(_NAMES),
                self._drawn("figure4", lambda place: draw_objective(place, curves)),
                problem,
            ),
        ]
        figures.append(
            self._figure(
                "figure5-restored",
                "Figure 5. Queries as seen, restored by FFSR without and with joint learning, originals",
                "restored.png",
                ("ffsr", "ffsr_joint"),
                self._drawn("figure5-restored", lambda place: self._restored(place, data)),
            )
        )
        figures.append(
            self._figure(
                "figure5-ranked",
                "Figure 5. The first of the gallery for queries of low resolution",
                "ranked.png",
                ("resnet50", "ffsr_rife"),
                self._drawn("figure5-ranked", lambda place: self._ranked(place, data)),
            )
        )
        figures.append(
            self._figure(
                "weights",
                "Weights of the dual-stream blocks of RIFE against the resolution, and their targets in Eq. 7",
                "weights.png",
                ("rife",),
                self._drawn("weights", lambda place: self._weights(place, data)),
            )
        )
        return figures

    def _figure(
        self,
        name: str,
        title: str,
        file: str,
        needs: Sequence[str],
        draw: Callable[[], None],
        problem: str = "",
    ) -> Figure:
        missing = [row for row in needs if row not in self._parts]
        # Figure 4 shows what there is of its systems; the others need all of theirs.
        if missing and (name != "figure4" or len(missing) == len(needs)):
            problem = f"not run: {', '.join(missing)}"
        else:
            problem = problem or self._attempt(draw)
            if missing and not problem:
                title += f" (not run: {', '.join(missing)})"
        return Figure(title, None if problem else self._folder / name / file, problem)

    def _drawn(self, name: str, draw: Callable[[Path], None]) -> Callable[[], None]:
        def drawn() -> None:
            place = self._folder / name
            place.mkdir(parents=True, exist_ok=True)
            draw(place)

        return drawn

    def _attempt(self, action: Callable[[], None]) -> str:
        """What the data, or the installation, do not allow; "" if it went well."""
        try:
            action()
        except UserError as error:
            return f"not drawn: {error}"
        return ""

    def _originals(self, data: Built) -> Originals:
        return Originals(data.splits["query"], data.splits["gallery"], data.width_max)

    def _restored(self, place: Path, data: Built) -> None:
        query = data.splits["query"]
        resolutions = np.array([query[i].resolution for i in range(len(query))])
        order = np.argsort(resolutions, kind="stable")
        chosen = np.unique(np.linspace(0, len(order) - 1, _IMAGES).round().astype(int))
        records = [query[int(i)] for i in order[chosen]]
        low = [np.asarray(decode_image(r.image, r.name)) for r in records]
        rows = [("as seen", low)]
        for row, name in (("ffsr", "FFSR, apart"), ("ffsr_joint", "FFSR, joint")):
            restored = Extractor.from_workdir(self._parts[row].folder).restore(low)
            rows.append((name, list(restored)))
        if all(record.target for record in records):
            rows.append(("original", [np.asarray(decode_image(r.target, r.name)) for r in records]))
        titles = [f"r = {record.resolution:.2f}" for record in records]
        save_png(restoration_figure(rows, titles), place / "restored.png")

    def _ranked(self, place: Path, data: Built) -> None:
        evaluations = {}
        for row in ("resnet50", "ffsr_rife"):
            part, stage = self._parts[row], ROWS[row].stage
            with Checkpoints(part.folder, stage) as checkpoints:
                _, variables = checkpoints.load_latest()
            embedder = Embedder(part.config, stage, len(data.train_pids), self._parallel)
            evaluations[_NAMES[row]] = evaluate(part.config, embedder, variables, data)
        draw_ranked(place, data, evaluations)

    def _weights(self, place: Path, data: Built) -> None:
        extractor = Extractor.from_workdir(self._parts["rife"].folder)
        draw_weights(place, weight_curves(extractor.weights, self._originals(data)))


def first_division(config: ConfigDict, workdir: str) -> Built:
    """The data set, or the first division of it; built unless it is."""
    part = row_parts(config, workdir, "resnet50", 0)[0].config
    return build_dataset(part, part.dataset)
