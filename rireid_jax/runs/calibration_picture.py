"""The picture `calibration.png`: distances of one person's images and of different people's, by pair of bins."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from etils import epath

from rireid_jax.errors import UserError
from rireid_jax.evaluation.calibration import BinPair
from rireid_jax.evaluation.pair_counts import DIFFERENT, SAME
from rireid_jax.runs.calibration import FPR, Calibration, percent, point_at
from rireid_jax.runs.files import write_whole

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_RATES = ((FPR, "-"), (0.01, "--"))  # whose thresholds are shown, with their lines
_COLOURS = {DIFFERENT: "#d55e00", SAME: "#0072b2"}  # Okabe and Ito's, as in `runs.pictures`
_NAMES = {DIFFERENT: "different people", SAME: "one person, two cameras"}
_COLUMNS = 3


def draw_calibration(calibration: Calibration, path: Path) -> None:
    """Writes the picture, a panel for each pair of bins; the areas of both histograms are the same.

    Args:
      calibration: that was made and not read, and so has histograms.
      path: of the file.

    Raises:
      UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            "matplotlib: not installed, expected for calibration.png; pip install 'rireid_jax[report]'"
        ) from error
    num_rows = -(-len(calibration.pairs) // _COLUMNS)
    columns = min(_COLUMNS, len(calibration.pairs))
    figure = Figure(figsize=(4 * columns, 2.9 * num_rows + 0.6), layout="constrained", dpi=120)
    panels = figure.subplots(num_rows, columns, squeeze=False, sharex=True).ravel()
    for axes in panels[len(calibration.pairs) :]:
        axes.set_axis_off()
    for axes, pair in zip(panels, calibration.pairs, strict=False):
        axes.set_title(f"r in {calibration.title(pair)}\n{_found(pair)}", fontsize=10)
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
        _draw(axes, pair)
    for axes in panels[max(0, len(calibration.pairs) - columns) : len(calibration.pairs)]:
        axes.set_xlabel("distance of two images")
    panels[0].set_xlim(*_shown(calibration))
    handles: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(label), handle)
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=4, frameon=False
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_whole(epath.Path(path), buffer.getvalue())


def _draw(axes: "Axes", pair: BinPair) -> None:
    """Histograms, thresholds and their true-positive rates."""
    assert pair.histogram is not None
    for kind, counts in enumerate(pair.histogram):
        if not counts.any():
            continue
        merged = max(1, len(counts) // 128)
        heights = counts.reshape(-1, merged).sum(-1) / counts.sum()
        edges = np.arange(len(heights) + 1) * pair.bar * merged
        axes.stairs(heights, edges, fill=True, color=_COLOURS[kind], alpha=0.45, label=_NAMES[kind])
    for rate, line in _RATES:
        point = point_at(pair, rate)
        if point is not None and point.asked == rate:
            label = f"threshold for a false-positive rate of {rate:g}"
            axes.axvline(
                point.threshold, color="#282828", linewidth=1.4, linestyle=line, label=label
            )


def _found(pair: BinPair) -> str:
    """The true-positive rates at the thresholds that are shown."""
    texts = []
    for rate, _ in _RATES:
        point = point_at(pair, rate)
        if point is None or point.asked != rate:
            texts.append("too few people")
        elif point.true_positive is None:
            texts.append("found: not known")
        else:
            texts.append(f"{percent(point.true_positive.rate)} % found")
    return ", ".join(f"{rate:g}: {text}" for (rate, _), text in zip(_RATES, texts, strict=True))


def _shown(calibration: Calibration) -> tuple[float, float]:
    """The distances from the least to the greatest."""
    ends = []
    for pair in calibration.pairs:
        assert pair.histogram is not None
        bars = np.flatnonzero(pair.histogram.any(axis=0))
        ends += [float(end) * pair.bar for end in (bars[:1], bars[-1:] + 1) for end in end]
    return (min(ends), max(ends)) if ends else (0.0, 1.0)
