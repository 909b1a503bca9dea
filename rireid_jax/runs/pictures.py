"""The pictures of a run: restored images, and ranked galleries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from rireid_jax.data.build import Built
from rireid_jax.data.records import decode_image, decode_mask
from rireid_jax.evaluation.evaluate import Evaluation
from rireid_jax.evaluation.ranking import top_matches

# Okabe and Ito's blue and vermilion, which people with any common colour blindness can tell apart;
# a tick and a cross say the same without colour.
BLUE, VERMILION = (0, 114, 178), (213, 94, 0)
RIGHT, WRONG = BLUE, VERMILION
INK, PAPER = (40, 40, 40), (255, 255, 255)
_CELL_HEIGHT = 128  # pixels at which an image is shown
_GAP = 6  # pixels between images
FONT_SIZE = 13

_IMAGES = 8  # columns of restored.png
_QUERIES = 4  # ranked lists of each system in ranked.png
_RANKS = 10

Picture = UInt8[np.ndarray, "_ _ 3"]  # every one of its own size
Restore = Callable[[list[UInt8[np.ndarray, "_ _ 3"]]], UInt8[np.ndarray, "N H W 3"]]


def draw_restored(
    folder: Path, data: Built, evaluation: Evaluation, restore: Restore | None
) -> None:
    """Writes `restored.png`: queries from the least to the greatest resolution.

    Args:
      folder: to write to.
      data: with the split "query".
      evaluation: of that data set.
      restore: gives the images after super-resolution; None where there is none.
    """
    query = data.splits["query"]
    records = [query[int(i)] for i in _evenly(_by_resolution(evaluation), _IMAGES)]
    low = [np.asarray(decode_image(r.image, r.name)) for r in records]
    rows = [("as seen", low)]
    if restore is not None:
        rows.append(("restored", list(restore(low))))
    if all(record.target for record in records):
        rows.append(("original", [np.asarray(decode_image(r.target, r.name)) for r in records]))
    if all(record.mask for record in records):
        masks = [np.asarray(decode_mask(r.mask, r.name)) for r in records]
        rows.append(("mask", [np.repeat(mask[..., None], 3, -1) for mask in masks]))
    titles = [f"r = {record.resolution:.2f}" for record in records]
    save_png(restoration_figure(rows, titles), folder / "restored.png")


def draw_ranked(folder: Path, data: Built, evaluations: dict[str, Evaluation]) -> None:
    """Writes `ranked.png`: for queries of low resolution, the first of the gallery in every system.

    Args:
      folder: to write to.
      data: with the splits "query" and "gallery".
      evaluations: by system, of that data set; with features.
    """
    query, gallery = data.splits["query"], data.splits["gallery"]
    order = _by_resolution(next(iter(evaluations.values())))
    lists = []
    for index in _evenly(order[: len(order) // 2], _QUERIES):
        for name, evaluation in evaluations.items():
            q, g = evaluation.query, evaluation.gallery
            row = slice(index, index + 1)
            matches = top_matches(
                q.features[row],
                g.features,
                q.pids[row],
                g.pids,
                q.camids[row],
                g.camids,
                min(_RANKS, len(g.pids)),
            )[0]
            matches = matches[matches >= 0]
            found = [gallery[int(i)] for i in matches]
            lists.append(
                RankedList(
                    name=f"{name}, r = {q.resolutions[index]:.2f}",
                    query=np.asarray(decode_image(query[int(index)].image, "query")),
                    matches=[np.asarray(decode_image(r.image, r.name)) for r in found],
                    correct=g.pids[matches] == q.pids[index],
                )
            )
    save_png(ranked_figure(lists), folder / "ranked.png")


def _by_resolution(evaluation: Evaluation) -> Int[np.ndarray, " Q"]:
    return np.argsort(evaluation.query.resolutions, kind="stable")


def _evenly(values: Int[np.ndarray, " Q"], count: int) -> Int[np.ndarray, " C"]:
    return values[np.unique(np.linspace(0, len(values) - 1, count).round().astype(int))]


def restoration_figure(
    rows: Sequence[tuple[str, Sequence[Picture]]], titles: Sequence[str]
) -> Image.Image:
    """A grid of images with a title above each column and a name before each row.

    Args:
      rows: (name of the row, one image a column); uint8 images of any sizes, shown at one height.
      titles: of the columns.
    """
    pictures = [[_shown(picture) for picture in pictures] for _, pictures in rows]
    cell = max(picture.width for row in pictures for picture in row)
    margin = max(text_width(name) for name, _ in rows) + 2 * _GAP
    step = max(cell, max(map(text_width, titles))) + _GAP
    top = FONT_SIZE + 2 * _GAP
    canvas = Image.new(
        "RGB", (margin + step * len(titles), top + (_CELL_HEIGHT + _GAP) * len(rows)), PAPER
    )
    draw = ImageDraw.Draw(canvas)
    for column, title in enumerate(titles):
        centred(draw, (margin + step * column + cell // 2, _GAP), title)
    for i, ((name, _), row) in enumerate(zip(rows, pictures, strict=True)):
        y = top + i * (_CELL_HEIGHT + _GAP)
        draw.text((_GAP, y + _CELL_HEIGHT // 2 - FONT_SIZE // 2), name, INK, font())
        for column, picture in enumerate(row):
            canvas.paste(picture, (margin + step * column, y))
    return canvas


@dataclass(frozen=True)
class RankedList:
    """A query's first matches in one system.

    Attributes:
      name: of the system, and of the query.
      query: its image.
      matches: gallery images, nearest first.
      correct: whether each is of the query's identity.
    """

    name: str
    query: Picture
    matches: Sequence[Picture]
    correct: Bool[np.ndarray, " K"]


def ranked_figure(lists: Sequence[RankedList]) -> Image.Image:
    """Ranked lists under each other: query, then matches framed and marked as right or wrong."""
    cell = max(_shown(ranked.query).width for ranked in lists) + 10
    margin = max(text_width(ranked.name) for ranked in lists) + 2 * _GAP
    columns = 1 + max(len(ranked.matches) for ranked in lists)
    top = FONT_SIZE + 2 * _GAP
    row_height = _CELL_HEIGHT + 24 + _GAP
    size = (margin + columns * (cell + _GAP) + 2 * _GAP, top + row_height * len(lists))
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    left = margin + cell + 3 * _GAP
    centred(draw, (margin + cell // 2, _GAP), "query")
    for rank in range(columns - 1):
        centred(draw, (left + rank * (cell + _GAP) + cell // 2, _GAP), str(rank + 1))
    for i, ranked in enumerate(lists):
        y = top + i * row_height
        draw.text((_GAP, y + _CELL_HEIGHT // 2 - FONT_SIZE // 2), ranked.name, INK, font())
        canvas.paste(_shown(ranked.query), (margin + 5, y + 5))
        for rank, (match, correct) in enumerate(zip(ranked.matches, ranked.correct, strict=True)):
            x = left + rank * (cell + _GAP)
            picture = _shown(match)
            colour = RIGHT if correct else WRONG
            frame = (x, y, x + picture.width + 9, y + _CELL_HEIGHT + 9)
            draw.rectangle(frame, outline=colour, width=4)
            canvas.paste(picture, (x + 5, y + 5))
            _mark(draw, (x + picture.width // 2 + 5, y + _CELL_HEIGHT + 17), bool(correct))
    return canvas


def save_png(figure: Image.Image, path: Path) -> None:
    """Writes a figure whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    figure.save(temporary, "PNG")
    temporary.replace(path)


def _shown(picture: Picture) -> Image.Image:
    """At one height, pixels kept square and sharp, so that a low resolution is seen as such."""
    height, width = picture.shape[:2]
    size = (max(1, round(width * _CELL_HEIGHT / height)), _CELL_HEIGHT)
    return Image.fromarray(picture).resize(size, Image.Resampling.NEAREST)


def _mark(draw: ImageDraw.ImageDraw, centre: tuple[int, int], correct: bool) -> None:
    x, y = centre
    if correct:
        draw.line([(x - 6, y), (x - 2, y + 4), (x + 6, y - 5)], RIGHT, 3, joint="curve")
    else:
        draw.line([(x - 5, y - 5), (x + 5, y + 5)], WRONG, 3)
        draw.line([(x - 5, y + 5), (x + 5, y - 5)], WRONG, 3)


def centred(draw: ImageDraw.ImageDraw, top: tuple[int, int], text: str) -> None:
    """Writes text centred below a point."""
    draw.text(top, text, INK, font(), anchor="ma")


def text_width(text: str) -> int:
    """The width of text in pixels."""
    return round(font().getlength(text))


def font() -> ImageFont.FreeTypeFont:
    """The font of all pictures."""
    default = ImageFont.load_default(FONT_SIZE)
    assert isinstance(default, ImageFont.FreeTypeFont)  # Pillow is built with FreeType everywhere
    return default
