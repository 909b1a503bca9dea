"""The pictures of a run: what was restored, and whom the features find."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from rireid_jax.data.build import Built
from rireid_jax.data.records import decode_image, decode_mask
from rireid_jax.evaluation.evaluate import Evaluation
from rireid_jax.evaluation.ranking import top_matches
from rireid_jax.runs.figures import RankedList, ranked_figure, restoration_figure, save_png

_IMAGES = 8  # columns of restored.png
_QUERIES = 4  # ranked lists of each system in ranked.png
_RANKS = 10

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
