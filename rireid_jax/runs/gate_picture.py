"""The picture `gates.png`: the gates of every dual-stream block against the resolution of the queries."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from rireid_jax.runs.inside import fit_gates
from rireid_jax.runs.pictures import (
    BLUE,
    FONT_SIZE,
    INK,
    PAPER,
    VERMILION,
    centred,
    font,
    save_png,
    text_width,
)

Colour = tuple[int, int, int]

_SIDE = 240  # pixels of a panel, which shows r and gates from 0 to 1
_GAP = 18  # pixels between panels and their texts
_LINE = FONT_SIZE + 5  # pixels from one line of text to the next
_TICKS = (0.0, 0.5, 1.0)
_BINS = 10
_POINTS = 400  # queries that are shown as points of their own
_SCALE = 3  # lines are drawn this much larger and then reduced, which makes them smooth
_DOTTED, _DASHED = (2, 5), (9, 6)  # pixels of line and of gap
_GREY = (150, 150, 150)
_PALE = 0.25  # share of its colour in a point of a single query


def draw_gates(
    folder: Path, gates: Float[np.ndarray, "Q T 2"], resolution: Float[np.ndarray, " Q"]
) -> None:
    """Writes `gates.png`.

    Args:
      folder: to write to.
      gates: (wL, wH) of T blocks, of every query.
      resolution: r of every query, as Eq. 7 trains on it.
    """
    save_png(gates_figure(gates, resolution), folder / "gates.png")


def gates_figure(
    gates: Float[np.ndarray, "Q T 2"], resolution: Float[np.ndarray, " Q"]
) -> Image.Image:
    """A panel for each block: queries as pale points, means and deviations in bins of r, and what Eq. 7 asks for.

    wL is vermilion with round marks, wH blue with square ones. The target of Eq. 7 is dotted, and the best constant
    gates are dashed, each in the colour of its gate.

    Args:
      gates: as in `draw_gates`.
      resolution: as in `draw_gates`.
    """
    rows = fit_gates(gates, resolution)
    left, top = text_width("0.0") + 2 * _GAP, _GAP + _LINE
    step = _SIDE + text_width("0.0") + 2 * _GAP
    width = left + step * (len(rows) - 1) + _SIDE + _GAP
    below = top + _SIDE + 8
    legend_lines = _legend_rows(width - left)
    height = below + _LINE * (4 + len(legend_lines)) + 2 * _GAP
    canvas = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP // 2, top - _LINE - 4), "gate", INK, font())
    for block, row in enumerate(rows):
        x = left + step * block
        canvas.paste(_panel(gates[:, block], resolution), (x, top))
        draw.rectangle((x - 1, top - 1, x + _SIDE, top + _SIDE), outline=_GREY)
        middle = x + _SIDE // 2
        centred(draw, (middle, top - _LINE - 4), f"block {block + 1}")
        for tick in _TICKS:
            centred(draw, (x + round(tick * (_SIDE - 1)), below), f"{tick:.1f}")
            place = (x - 6, top + round((1 - tick) * (_SIDE - 1)))
            draw.text(place, f"{tick:.1f}", INK, font(), anchor="rm")
        for number, text in enumerate(
            (
                "resolution r of the query",
                f"correlation: wL {row['correlation_wL']:.2f}, wH {row['correlation_wH']:.2f}",
                f"Eq. 7: {row['error']:.4f}, best constant {row['constant_error']:.4f}",
            ),
            1,
        ):
            centred(draw, (middle, below + number * _LINE), text)
    for number, entries in enumerate(legend_lines):
        _draw_legend(draw, (left, below + 4 * _LINE + _GAP + number * _LINE), entries)
    return canvas


def _panel(gates: Float[np.ndarray, "Q 2"], resolution: Float[np.ndarray, " Q"]) -> Image.Image:
    side = _SIDE * _SCALE
    panel = Image.new("RGB", (side, side), PAPER)
    draw = ImageDraw.Draw(panel)

    def place(r: float, gate: float) -> tuple[float, float]:
        return r * (side - 1), (1 - gate) * (side - 1)

    streams = ((VERMILION, 1 - resolution, True), (BLUE, resolution, False))
    shown = np.linspace(0, len(resolution) - 1, min(_POINTS, len(resolution))).round().astype(int)
    for i, (colour, _, round_mark) in enumerate(streams):
        for r, gate in zip(resolution[shown].tolist(), gates[shown, i].tolist(), strict=True):
            _mark(draw, place(r, gate), 1.5, _pale(colour), round_mark)
    for i, (colour, target, _) in enumerate(streams):
        ends = (1.0, 0.0) if i == 0 else (0.0, 1.0)
        _dashed(draw, place(0.0, ends[0]), place(1.0, ends[1]), colour, _DOTTED)
        constant = float(target.mean())
        _dashed(draw, place(0.0, constant), place(1.0, constant), colour, _DASHED)
    for i, (colour, _, round_mark) in enumerate(streams):
        means = [
            (place(r, mean), place(r, mean - deviation), place(r, mean + deviation))
            for r, mean, deviation in _binned(gates[:, i], resolution)
        ]
        draw.line([mean for mean, _, _ in means], colour, 2 * _SCALE, joint="curve")
        for mean, low, high in means:
            draw.line([low, high], colour, 2 * _SCALE)
            _mark(draw, mean, 4.0, colour, round_mark)
    return panel.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)


def _binned(
    gate: Float[np.ndarray, " Q"], resolution: Float[np.ndarray, " Q"]
) -> list[tuple[float, float, float]]:
    """(mean r, mean gate, deviation of the gate) in each of `_BINS` equal bins of r that has a query."""
    bins = np.clip(np.ceil(resolution * _BINS).astype(int) - 1, 0, _BINS - 1)
    return [
        (
            float(resolution[bins == b].mean()),
            float(gate[bins == b].mean()),
            float(gate[bins == b].std()),
        )
        for b in np.unique(bins)
    ]


def _pale(colour: Colour) -> Colour:
    red, green, blue = (
        round(_PALE * own + (1 - _PALE) * paper) for own, paper in zip(colour, PAPER, strict=True)
    )
    return red, green, blue


def _mark(
    draw: ImageDraw.ImageDraw,
    centre: tuple[float, float],
    radius: float,
    colour: Colour,
    round_mark: bool,
) -> None:
    """A disc or a square; the radius is in pixels of the finished picture."""
    (x, y), r = centre, radius * _SCALE
    shape = draw.ellipse if round_mark else draw.rectangle
    shape((x - r, y - r, x + r, y + r), fill=colour)


def _dashed(
    draw: ImageDraw.ImageDraw,
    start: tuple[float, float] | tuple[int, int],
    end: tuple[float, float] | tuple[int, int],
    colour: Colour,
    pattern: tuple[int, int],
    scale: int = _SCALE,
) -> None:
    """A broken line; the pattern is that of the finished picture."""
    dash, gap = pattern
    a, b = np.array(start), np.array(end)
    length = float(np.hypot(*(b - a))) / scale
    for at in np.arange(0, length, dash + gap):
        ends = [a + (b - a) * min(place, length) / length for place in (at, at + dash)]
        draw.line([tuple(point) for point in ends], colour, round(1.5 * scale))


_LEGEND = (
    ("wL, mean and deviation", VERMILION, "disc"),
    ("wH, mean and deviation", BLUE, "square"),
    ("Eq. 7: wL = 1 - r, wH = r", INK, "dotted"),
    ("best constant gates", INK, "dashed"),
)
_SAMPLE = 30  # pixels of the sample before an entry


def _legend_rows(width: int) -> list[list[tuple[str, Colour, str]]]:
    """The entries of the legend in lines of at most this width."""
    lines: list[list[tuple[str, Colour, str]]] = [[]]
    used = 0
    for entry in _LEGEND:
        own = _entry_width(entry[0])
        if lines[-1] and used + own > width:
            lines.append([])
            used = 0
        lines[-1].append(entry)
        used += own
    return lines


def _entry_width(text: str) -> int:
    return _SAMPLE + 6 + text_width(text) + _GAP


def _draw_legend(
    draw: ImageDraw.ImageDraw, start: tuple[int, int], entries: Sequence[tuple[str, Colour, str]]
) -> None:
    x, y = start
    for text, colour, kind in entries:
        middle = y + FONT_SIZE // 2 + 2
        ends = (x, middle), (x + _SAMPLE, middle)
        if kind in ("dotted", "dashed"):
            _dashed(draw, *ends, colour, _DOTTED if kind == "dotted" else _DASHED, scale=1)
        else:
            draw.line(ends, colour, 2)
            shape = draw.ellipse if kind == "disc" else draw.rectangle
            centre = x + _SAMPLE // 2
            shape((centre - 4, middle - 4, centre + 4, middle + 4), fill=colour)
        draw.text((x + _SAMPLE + 6, y), text, INK, font())
        x += _entry_width(text)
