"""Re-identification metrics by their definition: a stable sort of the gallery for each query."""

import numpy as np


def rank_one_query(query, pid, camid, gallery, pids, camids):
    """(first match, AP, INP) of one query, or None without a match, from float64 distances."""
    distance = ((gallery.astype(np.float64) - query.astype(np.float64)) ** 2).sum(axis=1)
    hits = []
    for j in np.argsort(distance, kind="stable"):
        if pids[j] == -1 or (pids[j] == pid and camids[j] == camid):
            continue
        hits.append(pids[j] == pid)
    if pid == -1 or not any(hits):
        return None
    found, precisions = 0, []
    for position, hit in enumerate(hits):
        if hit:
            found += 1
            precisions.append(found / (position + 1))
            last = position
    return hits.index(True), sum(precisions) / found, found / (last + 1)


def rank_queries(queries, gallery, qpids, gpids, qcamids, gcamids):
    return [
        rank_one_query(f, pid, camid, gallery, gpids, gcamids)
        for f, pid, camid in zip(queries, qpids, qcamids, strict=True)
    ]


def metrics(rows):
    counted = [row for row in rows if row is not None]
    first = np.array([row[0] for row in counted])
    return {
        **{f"rank{k}": np.mean(first < k) for k in (1, 5, 10, 20)},
        "mAP": np.mean([row[1] for row in counted]),
        "mINP": np.mean([row[2] for row in counted]),
        "num_query": len(counted),
        "num_skipped": len(rows) - len(counted),
    }
