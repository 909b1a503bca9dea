"""Curves over the resolution r, each as a picture and as the numbers in it.

They show O(r, r) and O(r, 1) of several systems, as in Figures 2 and 4 of the paper, and the gates
of dual-stream blocks.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from etils import epath
from PIL import Image

from rireid_jax.errors import UserError
from rireid_jax.paper.objective import Objective
from rireid_jax.paper.sweep import RESOLUTIONS, GateCurves, ObjectiveCurves
from rireid_jax.runs.files import write_whole
from rireid_jax.runs.pictures import save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any common colour blindness can tell apart; lines and
# markers need no colour. Colours and markers together repeat only after 42 systems.
_COLOURS = ("#000000", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = (":", "--", "-.", "-")
_COLUMNS = ("ratio_of_means", "d_sim", "d_dif", "num_sim", "num_dif")  # of an Objective
_LOW, _HIGH = "#d55e00", "#0072b2"
_STYLE: dict[Any, Any] = {
    "font.size": 13,
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "lines.linewidth": 2,
    "lines.markersize": 7.5,
    "lines.markerfacecolor": "none",  # so that curves on top of each other stay visible
    "lines.markeredgewidth": 1.8,
    "legend.frameon": False,
    "legend.handlelength": 3,
    "figure.dpi": 150,
}


def draw_objective(folder: Path, systems: Mapping[str, ObjectiveCurves]) -> None:
    """Writes `objective.png` and `objective.csv`: O of Eq. 2 against r.

    On the scale to the right the same curves read as the mean squared distance between images of
    one person, divided by that between images of different persons.

    Args:
      folder: to write to.
      systems: curves by name of the system, in the legend's order.

    Raises:
      UserError: the systems were measured on different images, or matplotlib is not installed.
    """
    rows: list[Sequence[Any]] = []
    for name, curves in systems.items():
        for r, equal, varied in zip(RESOLUTIONS, curves.equal, curves.varied, strict=True):
            rows += [(name, r, r, *_numbers(equal)), (name, r, 1.0, *_numbers(varied))]
    images = {(row[-2], row[-1]): row[0] for row in rows}
    if len(images) > 1:
        found = "; ".join(f"{name} with {sim} and {dif}" for (sim, dif), name in images.items())
        raise UserError(
            f"systems: found different numbers of same and different pairs ({found}), expected "
            "curves of the same images"
        )

    with _style():
        figure, (left, right) = _panels(2, (10.0, 5.0))
        for title, axes in (("(a) $r_1 = r_2 = r$", left), ("(b) $r_1 = r$, $r_2 = 1$", right)):
            axes.set_title(title)
            for i, (name, curves) in enumerate(systems.items()):
                measured = curves.equal if axes is left else curves.varied
                axes.plot(
                    RESOLUTIONS,
                    [o.value for o in measured],
                    label=name,
                    color=_COLOURS[i % len(_COLOURS)],
                    marker=_MARKERS[i % len(_MARKERS)],
                    linestyle=_LINES[i % len(_LINES)],
                )
        left.set_ylabel("$O(r_1, r_2)$, less is better")
        constant = measured[0].num_dif / measured[0].num_sim
        to_means, to_sums = (partial(np.multiply, c) for c in (constant, 1 / constant))
        scale = right.secondary_yaxis("right", functions=(to_means, to_sums))
        scale.set_ylabel("the same as a ratio of means")
        _legend(figure, left)
        _write(folder / "objective", figure, ["system", "r1", "r2", "O", *_COLUMNS], rows)


def draw_gates(folder: Path, curves: GateCurves) -> None:
    """Writes `gates.png` and `gates.csv`: wL and wH of every dual-stream block against r.

    Bands are one standard deviation over the images; thin lines are the targets of Eq. 7, 1 - r and r.

    Args:
      folder: to write to.
      curves: of one system.

    Raises:
      UserError: matplotlib is not installed.
    """
    num_blocks = curves.mean.shape[1]
    r = np.array(RESOLUTIONS)
    streams = (("L", "1 - r", 1 - r, _LOW, "o-"), ("H", "r", r, _HIGH, "s--"))
    with _style():
        figure, panels = _panels(num_blocks, (max(3.0 * num_blocks, 6.5), 4.5))
        for block, axes in enumerate(panels):
            axes.set_title(f"block {block + 1}")
            axes.set_ylim(0, 1)
            for i, (stream, formula, target, colour, line) in enumerate(streams):
                mean, deviation = curves.mean[:, block, i], curves.deviation[:, block, i]
                axes.plot(r, mean, line, color=colour, label=f"$w^{stream}$")
                band = (mean - deviation, mean + deviation)
                axes.fill_between(r, *band, color=colour, alpha=0.2, linewidth=0)
                label = f"target ${formula}$"
                axes.plot(r, target, ":", color=colour, linewidth=1.2, label=label)
        panels[0].set_ylabel("gate")
        _legend(figure, panels[0])
        names = [f"w{s}_{b + 1}{e}" for b in range(num_blocks) for s in "LH" for e in ("", "_std")]
        numbers = np.stack([curves.mean, curves.deviation], axis=-1).reshape(len(r), -1)
        rows = np.column_stack([r, numbers]).tolist()
        _write(folder / "gates", figure, ["r", *names], rows)


def _numbers(measured: Objective) -> list[float | int]:
    return [measured.value, *(getattr(measured, name) for name in _COLUMNS)]


def _style() -> "AbstractContextManager[None]":
    """A context with matplotlib's settings. Raises UserError if matplotlib is not installed."""
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise UserError(
            "matplotlib: not installed, expected for curves; pip install 'rireid_jax[report]'"
        ) from error
    return rc_context(_STYLE)


def _panels(count: int, size: tuple[float, float]) -> tuple["Figure", Sequence["Axes"]]:
    """Axes side by side over r, which share the vertical scale; the size is in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for axes in panels:
        axes.set_xlabel("resolution $r$")
        axes.set_xlim(0, 1.05)
        axes.set_xticks(RESOLUTIONS[1::2])
    return figure, panels


def _legend(figure: "Figure", axes: "Axes") -> None:
    """Adds one legend for all panels, below them."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _write(
    path: Path, figure: "Figure", header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_whole(epath.Path(path.with_suffix(".csv")), table.getvalue())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as picture:
        save_png(picture, path.with_suffix(".png"))
