"""Scores labelled features: CMC, mAP and mINP, under one of the protocols in `evaluation.protocols`.

An image of identity -1 is junk and is never ranked; identity 0 is an identity like any other. A query without
a correct match is not counted.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

from rireid_jax.components import PROTOCOLS
from rireid_jax.errors import UserError
from rireid_jax.evaluation.distances import LabelledFeatures, Reranker, labelled_features
from rireid_jax.evaluation.k_reciprocal import KReciprocal
from rireid_jax.evaluation.ranking import Ranking
from rireid_jax.parallel import find_devices

CMC_RANKS = (1, 5, 10, 20)

_DISTANCES = ("euclidean", "cosine")
_RERANKERS = {"k_reciprocal": KReciprocal}


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What a system makes of each of Q queries, in the order of the split.

    Attributes:
        pids: identities.
        resolutions: r in (0, 1].
        rank1: whether the first image is a correct match, as 0 or 1, or the mean of it over the draws of
            the gallery; nan where the query does not count.
        average_precision: likewise.
    """

    pids: Int[np.ndarray, " Q"]
    resolutions: Float[np.ndarray, " Q"]
    rank1: Float[np.ndarray, " Q"]
    average_precision: Float[np.ndarray, " Q"]

    def counted(self) -> Bool[np.ndarray, " Q"]:
        """Whether each query counts."""
        return ~np.isnan(self.rank1)


def rank(
    query_features: npt.ArrayLike,
    gallery_features: npt.ArrayLike,
    query_pids: npt.ArrayLike,
    gallery_pids: npt.ArrayLike,
    query_camids: npt.ArrayLike,
    gallery_camids: npt.ArrayLike,
    protocol: str = "market",
    *,
    repeats: int = 10,
    seed: int = 0,
    distance: str = "euclidean",
    rerank: str | Reranker = "",
) -> dict[str, float | int]:
    """Scores features by their distances under a protocol.

    Args:
        query_features: `[Q, D]`, converted to float32.
        gallery_features: `[G, D]`, converted to float32.
        query_pids: `[Q]` integers, identities.
        gallery_pids: `[G]` integers, identities; -1 is junk.
        query_camids: `[Q]` integers, cameras. Where cameras are unknown, give query and gallery
            different numbers.
        gallery_camids: `[G]` integers, cameras.
        protocol: "market", "single_shot" or "cuhk03", or the name of a registered one.
        repeats: number of random draws, for a protocol that draws: `single_shot` and `cuhk03`.
        seed: of these draws, not negative.
        distance: "euclidean", or "cosine", which is the Euclidean one of features divided by their L2
            norm: its square is twice 1 - cosine.
        rerank: "" for the order of the distances; "k_reciprocal" for `evaluation.k_reciprocal` with the
            paper's parameters; or a `KReciprocal` with others. Each draw of `single_shot` is re-ranked
            by the queries and its own images, and `cuhk03` draws from the whole gallery re-ranked.

    Returns:
        "rank1", "rank5", "rank10", "rank20", "mAP", "mINP": fractions in [0, 1].
        "num_query": the queries counted; "num_skipped": those that have no correct match.
        "num_gallery": the images ranked for a query; in `single_shot`, one for each identity.
        `single_shot` and `cuhk03` add "rank1_std" and its like, the standard deviation of each
        rate over the draws (divided by `repeats`, not `repeats` - 1).

    Raises:
        UserError: an array has the wrong shape or type, features are not finite, the protocol, the
            distance or the re-ranking is unknown, features without a direction are compared by their
            cosine, no query has a correct match, or the protocol's own conditions are not met.
    """
    ranking = rank_queries(
        query_features,
        gallery_features,
        query_pids,
        gallery_pids,
        query_camids,
        gallery_camids,
        protocol,
        repeats=repeats,
        seed=seed,
        distance=distance,
        rerank=rerank,
    )
    return summarize(ranking, deviation=PROTOCOLS[protocol].draws)


def rank_queries(
    query_features: npt.ArrayLike,
    gallery_features: npt.ArrayLike,
    query_pids: npt.ArrayLike,
    gallery_pids: npt.ArrayLike,
    query_camids: npt.ArrayLike,
    gallery_camids: npt.ArrayLike,
    protocol: str = "market",
    *,
    repeats: int = 10,
    seed: int = 0,
    distance: str = "euclidean",
    rerank: str | Reranker = "",
) -> Ranking:
    """As `rank`, but the result of each query, for `summarize` and `by_resolution`."""
    find_devices(alone=True)
    if not isinstance(protocol, str):
        raise UserError(f"protocol: found {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    chosen = PROTOCOLS[protocol]
    whole = (isinstance(n, int | np.integer) and not isinstance(n, bool) for n in (repeats, seed))
    if not all(whole) or repeats < 1 or seed < 0:
        raise UserError(
            f"repeats, seed: found {repeats!r}, {seed!r}, expected repeats >= 1 and seed >= 0, whole numbers"
        )
    query = labelled_features("query", query_features, query_pids, query_camids)
    gallery = labelled_features("gallery", gallery_features, gallery_pids, gallery_camids)
    if distance not in _DISTANCES:
        raise UserError(f"distance: found {distance!r}, expected one of {', '.join(_DISTANCES)}")
    if distance == "cosine":
        query, gallery = _directions("query", query), _directions("gallery", gallery)
    gallery = dataclasses.replace(gallery, rerank=_reranker(rerank))
    ranking: Ranking = (
        chosen.rank(query, gallery, repeats, seed) if chosen.draws else chosen.rank(query, gallery)
    )
    if not ranking.valid.any():
        shared = np.count_nonzero(np.isin(query.pids, gallery.pids))
        raise UserError(
            f"no query has a correct match: {shared} of {len(query)} queries have their identity "
            "in the gallery, expected at least one with the same identity and another camera"
        )
    return ranking


def _reranker(rerank: str | Reranker) -> Reranker | None:
    if callable(rerank):
        return rerank
    if isinstance(rerank, str) and rerank == "":
        return None
    if not isinstance(rerank, str) or rerank not in _RERANKERS:
        names = ", ".join(map(repr, ("", *_RERANKERS)))
        raise UserError(f"rerank: found {rerank!r}, expected one of {names}, or a KReciprocal")
    return _RERANKERS[rerank]()


def _directions(name: str, side: LabelledFeatures) -> LabelledFeatures:
    """Features divided by their L2 norm."""
    greatest = np.abs(side.features).max(axis=1, keepdims=True)
    if not greatest.all():
        raise UserError(
            f"{name}_features: {np.count_nonzero(greatest == 0)} of {len(side)} rows are 0, expected features with a "
            "direction for distance 'cosine'"
        )
    scaled = side.features / greatest  # whose squares neither vanish nor overflow
    norms = np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))
    return dataclasses.replace(side, features=scaled / norms)


def summarize(ranking: Ranking, deviation: bool = False) -> dict[str, float | int]:
    """The means over queries and draws that `rank` returns; with `deviation`, also "_std"."""
    valid = ranking.valid
    position = ranking.first_match[:, valid]
    rates = {f"rank{k}": np.mean(position < k, axis=1) for k in CMC_RANKS}
    rates["mAP"] = np.mean(ranking.average_precision[:, valid], axis=1)
    rates["mINP"] = np.mean(ranking.inverse_negative_penalty[:, valid], axis=1)
    summary: dict[str, float | int] = {name: float(rate.mean()) for name, rate in rates.items()}
    if deviation:
        summary |= {f"{name}_std": float(rate.std()) for name, rate in rates.items()}
    num_query = int(np.count_nonzero(valid))
    return summary | {
        "num_query": num_query,
        "num_skipped": len(valid) - num_query,
        "num_gallery": ranking.num_gallery,
    }


def outcomes(
    ranking: Ranking, query_pids: npt.ArrayLike, query_resolutions: npt.ArrayLike
) -> Outcomes:
    """The outcome of each query, whose means over what counts are Rank-1 and mAP of `summarize`."""
    return Outcomes(
        np.asarray(query_pids),
        np.asarray(query_resolutions, np.float32),
        np.where(ranking.valid, np.mean(ranking.first_match == 0, axis=0), np.nan),
        np.where(ranking.valid, np.mean(ranking.average_precision, axis=0), np.nan),
    )


def by_resolution(
    ranking: Ranking,
    query_resolutions: npt.ArrayLike,
    edges: Sequence[float | int] = (0.0, 1 / 3, 2 / 3, 1.0),
) -> list[dict[str, float | int | None]]:
    """Rank-1 and mAP of the queries in each bin of resolution.

    Args:
        ranking: of Q queries.
        query_resolutions: `[Q]`, the resolution r in (0, 1] of each query.
        edges: ascending; bin i holds edges[i] < r <= edges[i + 1].

    Returns:
        One `{"low", "high", "num_query", "rank1", "mAP"}` a bin; rates are None in a bin without
        counted queries.

    Raises:
        UserError: the edges do not ascend, or a resolution is in none of the bins.
    """
    if np.shape(query_resolutions) != ranking.valid.shape:
        raise UserError(
            f"query_resolutions: found shape {list(np.shape(query_resolutions))}, "
            f"expected [{len(ranking.valid)}], one a query"
        )
    bin_of_query = bins_of(query_resolutions, edges)
    bins: list[dict[str, float | int | None]] = []
    for i, (low, high) in enumerate(itertools.pairwise(edges)):
        member = (bin_of_query == i) & ranking.valid
        num_query = int(np.count_nonzero(member))
        rank1 = float(np.mean(ranking.first_match[:, member] == 0)) if num_query else None
        mean_ap = float(np.mean(ranking.average_precision[:, member])) if num_query else None
        bins.append(
            {
                "low": float(low),
                "high": float(high),
                "num_query": num_query,
                "rank1": rank1,
                "mAP": mean_ap,
            }
        )
    return bins


def bins_of(
    query_resolutions: npt.ArrayLike, edges: Sequence[float | int]
) -> Int[np.ndarray, " Q"]:
    """The bin of resolution of each query, from 0 on; arguments and errors are those of `by_resolution`."""
    # In float32, as records store r, so that a ratio of 1/3 is on the edge 1/3 and not next to it.
    bounds = np.asarray(edges, np.float32)
    resolution = np.asarray(query_resolutions, np.float32)
    if bounds.ndim != 1 or len(bounds) < 2 or not (np.diff(bounds) > 0).all():
        raise UserError(f"edges: found {list(edges)}, expected two or more ascending numbers")
    inside = (bounds[0] < resolution) & (resolution <= bounds[-1])
    if not inside.all():
        raise UserError(
            f"query_resolutions: {np.count_nonzero(~inside)} of {len(inside)} lie outside "
            f"({edges[0]}, {edges[-1]}], first {resolution[~inside][0]}"
        )
    return np.searchsorted(bounds, resolution, side="left") - 1
