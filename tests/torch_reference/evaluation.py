"""CMC, mAP and mINP under Market-1501's protocol, by sorting the full distance matrix."""

import numpy as np


def euclidean_distances(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Distances `[Q, G]` between features `[Q, D]` and `[G, D]`, in float64, differences first."""
    difference = query.astype(np.float64)[:, None, :] - gallery.astype(np.float64)[None, :, :]
    return np.sqrt(np.sum(np.square(difference), axis=2))


def evaluate_market(
    distances: np.ndarray,
    query_pids: np.ndarray,
    gallery_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_camids: np.ndarray,
) -> dict[str, float]:
    """Ranks the gallery for every query, less the images of its own identity and camera.

    Queries without a match left are not counted. AP is the mean of the precisions at the matches,
    mINP the number of matches over the rank of the last one. Equal distances keep gallery order.

    Args:
      distances: `[Q, G]`.
      query_pids: `[Q]` identities; likewise the gallery's, `[G]`.
      gallery_pids: `[G]`.
      query_camids: `[Q]` cameras; likewise the gallery's, `[G]`.
      gallery_camids: `[G]`.

    Returns:
      `rank1`, `rank5`, `rank10`, `rank20`, `mAP`, `mINP`, fractions in [0, 1].

    Raises:
      ValueError: no query has a match.
    """
    first_ranks, precisions, penalties = [], [], []
    for distance, pid, camid in zip(distances, query_pids, query_camids, strict=True):
        order = np.argsort(distance, kind="stable")
        own = (gallery_pids[order] == pid) & (gallery_camids[order] == camid)
        matches = gallery_pids[order][~own] == pid
        ranks = np.flatnonzero(matches) + 1  # 1-based places of the matches
        if not ranks.size:
            continue
        found = np.arange(1, ranks.size + 1)
        first_ranks.append(ranks[0])
        precisions.append(np.mean(found / ranks))
        penalties.append(ranks.size / ranks[-1])
    if not first_ranks:
        raise ValueError("no query has a match in the gallery")
    cmc = {f"rank{k}": float(np.mean(np.array(first_ranks) <= k)) for k in (1, 5, 10, 20)}
    return {**cmc, "mAP": float(np.mean(precisions)), "mINP": float(np.mean(penalties))}
