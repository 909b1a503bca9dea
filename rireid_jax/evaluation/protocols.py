"""The evaluation protocols of re-identification: CMC, mAP and mINP from labelled features.

- `market`: the whole gallery is ranked, without the images of the query's own identity and camera.
- `single_shot`: the gallery is one random image of each identity, the same for all queries; mean
  over draws.
- `cuhk03`: as `market`, but the CMC of a query is taken on one random image of each identity, drawn
  for that query from what remains, mean over draws; mAP and mINP are those of the whole gallery. It
  is what torchreid calls `use_metric_cuhk03`, for CUHK03's 1367/100 splits, where query and gallery
  are the same images.

In all of them an image of identity -1 is junk and never ranked, identity 0 is an identity like any
other, and a query without a correct match is not counted.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Int

from rireid_jax.errors import UserError
from rireid_jax.evaluation.distances import (
    JUNK_PID,
    LabelledFeatures,
    distances,
    identity_camera_groups,
    labelled_features,
    strips,
)
from rireid_jax.evaluation.ranking import Matches, Ranking, rank_matches

CMC_RANKS = (1, 5, 10, 20)


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
) -> dict[str, float | int]:
    """Scores features by Euclidean distance under a protocol.

    Args:
        query_features: `[Q, D]`, converted to float32.
        gallery_features: `[G, D]`, converted to float32.
        query_pids: `[Q]` integers, identities.
        gallery_pids: `[G]` integers, identities; -1 is junk.
        query_camids: `[Q]` integers, cameras. Where cameras are unknown, give query and gallery
            different numbers.
        gallery_camids: `[G]` integers, cameras.
        protocol: "market", "single_shot" or "cuhk03".
        repeats: number of random draws of `single_shot` and `cuhk03`.
        seed: of these draws, not negative.

    Returns:
        "rank1", "rank5", "rank10", "rank20", "mAP", "mINP": fractions in [0, 1].
        "num_query": the queries counted; "num_skipped": those that have no correct match.
        "num_gallery": the images ranked for a query; in `single_shot`, one for each identity.
        `single_shot` and `cuhk03` add "rank1_std" and its like, the standard deviation of each
        rate over the draws (divided by `repeats`, not `repeats` - 1).

    Raises:
        UserError: an array has the wrong shape or type, features are not finite, the protocol is
            unknown, no query has a correct match, or the protocol's own conditions are not met.
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
    )
    return summarize(ranking, deviation=protocol != "market")


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
) -> Ranking:
    """As `rank`, but the result of each query, for `summarize` and `by_resolution`."""
    if protocol not in PROTOCOLS:
        raise UserError(f"protocol: found {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    if repeats < 1 or seed < 0:
        raise UserError(
            f"repeats, seed: found {repeats}, {seed}, expected repeats >= 1 and seed >= 0"
        )
    query = labelled_features("query", query_features, query_pids, query_camids)
    gallery = labelled_features("gallery", gallery_features, gallery_pids, gallery_camids)
    ranking = PROTOCOLS[protocol](query, gallery, repeats, seed)
    if not ranking.valid.any():
        shared = np.count_nonzero(np.isin(query.pids, gallery.pids))
        raise UserError(
            f"no query has a correct match: {shared} of {len(query)} queries have their identity "
            "in the gallery, expected at least one with the same identity and another camera"
        )
    return ranking


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
    # In float32, as records store r, so that a ratio of 1/3 is on the edge 1/3 and not beside it.
    bounds = np.asarray(edges, np.float32)
    resolution = np.asarray(query_resolutions, np.float32)
    if bounds.ndim != 1 or len(bounds) < 2 or not (np.diff(bounds) > 0).all():
        raise UserError(f"edges: found {list(edges)}, expected two or more ascending numbers")
    if resolution.shape != ranking.valid.shape:
        raise UserError(
            f"query_resolutions: found shape {list(resolution.shape)}, "
            f"expected [{len(ranking.valid)}], one a query"
        )
    inside = (bounds[0] < resolution) & (resolution <= bounds[-1])
    if not inside.all():
        raise UserError(
            f"query_resolutions: {np.count_nonzero(~inside)} of {len(inside)} lie outside "
            f"({edges[0]}, {edges[-1]}], first {resolution[~inside][0]}"
        )
    bins: list[dict[str, float | int | None]] = []
    bin_of_query = np.searchsorted(bounds, resolution, side="left") - 1
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


def draw_single_shot_gallery(
    gallery_pids: Int[np.ndarray, " G"], seed: int, repeat: int
) -> Int[np.ndarray, " I"]:
    """Draws one image of each of I identities, junk left out; ascending gallery indices."""
    ranked = np.flatnonzero(gallery_pids != JUNK_PID)
    by_pid = ranked[np.argsort(gallery_pids[ranked], kind="stable")]
    _, starts, sizes = np.unique(gallery_pids[by_pid], return_index=True, return_counts=True)
    rng = np.random.default_rng([seed, repeat])
    return np.sort(by_pid[starts + rng.integers(0, sizes)])


def _market(query: LabelledFeatures, gallery: LabelledFeatures, repeats: int, seed: int) -> Ranking:
    del repeats, seed  # nothing is drawn
    return rank_matches(query, gallery)


def _single_shot(
    query: LabelledFeatures, gallery: LabelledFeatures, repeats: int, seed: int
) -> Ranking:
    # The gallery is one for all queries, so an image that is no fair match of one query cannot be
    # left out of it.
    unfair = np.isin(*identity_camera_groups(query, gallery)) & (query.pids != JUNK_PID)
    if unfair.any():
        raise UserError(
            f"protocol single_shot: {np.count_nonzero(unfair)} of {len(query)} queries have "
            "gallery images of their own identity and camera, expected a gallery of other cameras "
            "(protocol cuhk03 draws a gallery for each query)"
        )
    draws = [draw_single_shot_gallery(gallery.pids, seed, repeat) for repeat in range(repeats)]
    rankings = [rank_matches(query, gallery[drawn]) for drawn in draws]
    return Ranking(
        np.concatenate([ranking.first_match for ranking in rankings]),
        np.concatenate([ranking.average_precision for ranking in rankings]),
        np.concatenate([ranking.inverse_negative_penalty for ranking in rankings]),
        valid=rankings[0].valid,
        num_gallery=rankings[0].num_gallery,
    )


def _cuhk03(query: LabelledFeatures, gallery: LabelledFeatures, repeats: int, seed: int) -> Ranking:
    whole = rank_matches(query, gallery)
    matches = Matches(query, gallery)
    drawn_from = np.flatnonzero((matches.sizes > 0) & (matches.pids != JUNK_PID))
    first_match = np.full((repeats, len(query)), -1, np.int64)
    for rows, strip in strips(query, gallery, np.flatnonzero(whole.valid)):
        for row, distance in zip(rows, np.asarray(distances(strip))[: len(rows)], strict=True):
            own = matches.indices(np.array([row]), int(matches.counts[row]))[0]
            rng = np.random.default_rng([seed, row])
            place = rng.integers(0, matches.sizes[drawn_from], size=(repeats, len(drawn_from)))
            drawn = matches.by_pid[matches.starts[drawn_from] + place]
            column = np.searchsorted(drawn_from, matches.query_identity[row])
            drawn[:, column] = rng.choice(own, repeats)
            match, drawn_distance = drawn[:, column, None], distance[drawn]
            bound = drawn_distance[:, column, None]
            precedes = (drawn_distance < bound) | ((drawn_distance == bound) & (drawn < match))
            first_match[:, row] = np.count_nonzero(precedes, axis=1)
    shape = first_match.shape
    return Ranking(
        first_match,
        np.broadcast_to(whole.average_precision, shape),
        np.broadcast_to(whole.inverse_negative_penalty, shape),
        valid=whole.valid,
        num_gallery=whole.num_gallery,
    )


PROTOCOLS: dict[str, Callable[[LabelledFeatures, LabelledFeatures, int, int], Ranking]] = {
    "market": _market,
    "single_shot": _single_shot,
    "cuhk03": _cuhk03,
}
