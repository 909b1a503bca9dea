"""Scores a stage's network on query and gallery, or on the validation identities."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.components import PROTOCOLS
from rireid_jax.config import evaluation_protocol
from rireid_jax.evaluation.distances import Reranker
from rireid_jax.evaluation.embed import Embedder, Embedding
from rireid_jax.evaluation.k_reciprocal import KReciprocal
from rireid_jax.evaluation.ranking import Ranking
from rireid_jax.evaluation.scoring import Outcomes, by_resolution, outcomes, rank_queries, summarize

RATES = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")
VALIDATION_RATES = ("rank1", "mAP")  # by which settings and checkpoints are chosen


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a stage, and the embeddings that they come from.

    Attributes:
      metrics: as `results.json` holds them; what does not apply is None.
      query: embedding of the queries.
      gallery: embedding of the gallery.
      outcomes: of the queries, in the first process; None in the others, and without an extractor.
    """

    metrics: dict[str, Any]
    query: Embedding
    gallery: Embedding
    outcomes: Outcomes | None = None


def reranker(config: ConfigDict) -> Reranker | None:
    """What `config.eval.rerank` names, with its options; None where it names nothing."""
    if not config.eval.rerank:
        return None
    return KReciprocal(**config.eval[config.eval.rerank].to_dict())


def evaluate(
    config: ConfigDict,
    embedder: Embedder,
    variables: Any,
    data: Any,
    split: str = "query",
    rerank: Reranker | None = None,
) -> Evaluation:
    """Embeds query and gallery and scores them under the data set's protocol.

    Every image of a validation identity is a query and in the gallery of all others, under the protocol `market`
    whatever the data set's own is: a match must be from another camera, so no image meets itself. The protocols that
    draw a gallery of one image per identity would say little about the few identities that are held out.

    Args:
      config: the whole config.
      embedder: of the stage.
      variables: {"params": ..., "batch_stats": ...} of the stage.
      data: a built data set with the splits "query" and "gallery", or "validation".
      split: "query" or "validation". In the latter re-ranking meets each image twice, as query and in the gallery, so
        that half as many others are among a number of neighbours.
      rerank: whose rates are wanted too, as "reranked": those of the fields next to it with the same names.
    """
    query = embedder(variables, data.splits[split])
    if split == "validation":
        gallery, scoring = query, {"protocol": "market"}
    else:
        gallery = embedder(variables, data.splits["gallery"])
        scoring = evaluation_protocol(config)
    kept: list[Outcomes] = []

    def score() -> dict[str, Any]:
        metrics, found = _rates(config, query, gallery, scoring, rerank)
        kept.extend(found)
        metrics["restoration"] = _restoration(query, gallery)
        metrics["gates"] = _gates(config, query)
        return metrics

    # All processes have all features; for one to rank them leaves the machine's cores to it.
    metrics = distributed.from_first(score)
    return Evaluation(metrics, query, gallery, kept[0] if kept else None)


def _rates(
    config: ConfigDict,
    query: Embedding,
    gallery: Embedding,
    scoring: Mapping[str, Any],
    rerank: Reranker | None,
) -> tuple[dict[str, Any], list[Outcomes]]:
    """Rates, and the outcomes that they are means of; no outcomes without an extractor."""
    metrics: dict[str, Any] = {"protocol": scoring["protocol"]}
    if not query.features.shape[1]:
        counts = {"num_query": len(query.pids), "num_gallery": len(gallery.pids)}
        return metrics | dict.fromkeys(RATES) | counts | {"by_resolution": []}, []
    deviation = PROTOCOLS[scoring["protocol"]].draws

    def ranked(rerank: str | Reranker) -> tuple[dict[str, Any], Ranking]:
        labels = query.pids, gallery.pids, query.camids, gallery.camids
        ranking = rank_queries(query.features, gallery.features, *labels, **scoring, rerank=rerank)
        bins = by_resolution(ranking, query.resolutions, config.eval.bins)
        return summarize(ranking, deviation) | {"by_resolution": bins}, ranking

    rates, ranking = ranked("")
    metrics |= rates
    if rerank:
        metrics["reranked"] = ranked(rerank)[0]
    return metrics, [outcomes(ranking, query.pids, query.resolutions)]


def _restoration(query: Embedding, gallery: Embedding) -> dict[str, float | None]:
    """Means over the images that have a target; None where none has."""
    means: dict[str, float | None] = {}
    for name in query.restoration:
        values = np.concatenate([query.restoration[name], gallery.restoration[name]])
        # An image restored without error has an infinite PSNR, which no mean survives.
        values = values[np.isfinite(values)]
        means[name] = float(values.mean()) if len(values) else None
    return means


def _gates(config: ConfigDict, query: Embedding) -> list[dict[str, Any]]:
    """Mean (wL, wH) of every dual-stream block in each bin of the query resolution r."""
    rows = []
    edges = config.eval.bins
    for low, high in pairwise(edges):
        inside = (low < query.resolutions) & (query.resolutions <= np.float32(high))
        if query.gates.shape[1] and inside.any():
            low_weights, high_weights = query.gates[inside].mean(0).T
            rows.append(
                {
                    "low": low,
                    "high": high,
                    "wL": low_weights.tolist(),
                    "wH": high_weights.tolist(),
                }
            )
    return rows
