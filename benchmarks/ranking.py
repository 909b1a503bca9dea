"""Ranking at the sizes of Market-1501 and MSMT17, compared with NumPy evaluators as the field writes them.

python benchmarks/ranking.py
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import measuring
import numpy as np

from rireid_jax.evaluation import rank

DIM = 256
ROUNDS = 3
LITERAL_QUERIES = 20  # queries for the evaluator with a Python loop over the gallery, which is slow


class Size(NamedTuple):
    """The size of a benchmark's query and gallery. To save memory and time, NumPy only ranks `of_numpy` queries."""

    queries: int
    gallery: int
    identities: int
    cameras: int
    of_numpy: int


SIZES = {
    "Market-1501": Size(3_368, 15_913, 751, 6, 800),
    "MSMT17": Size(11_659, 82_161, 3_060, 15, 300),
}


def search(size: Size) -> tuple[np.ndarray, ...]:
    """Returns features (noise around a centre per identity) and labels, in the order of `rank`'s arguments."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((size.identities, DIM), np.float32)
    pids, camids = (
        [rng.integers(0, high, count) for count in (size.queries, size.gallery)]
        for high in (size.identities, size.cameras)
    )
    features = [centres[p] + 2 * rng.standard_normal((len(p), DIM), np.float32) for p in pids]
    return (*features, *pids, *camids)


def evaluate_by_sorting(
    query: np.ndarray,
    gallery: np.ndarray,
    query_pids: np.ndarray,
    gallery_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_camids: np.ndarray,
    *,
    literal: bool,
) -> tuple[float, float]:
    """Returns (Rank-1, mAP) by an argsort of the whole distance matrix and a loop over queries.

    Args:
      query: `[Q, D]`.
      gallery: `[G, D]`.
      query_pids: `[Q]`.
      gallery_pids: `[G]`.
      query_camids: `[Q]`.
      gallery_camids: `[G]`.
      literal: whether precisions are computed by a list comprehension over the gallery, as in the field's libraries,
        and not by NumPy, which is faster.
    """
    distances = (query**2).sum(1)[:, None] + (gallery**2).sum(1)
    distances -= 2 * (query @ gallery.T)
    indices = np.argsort(distances, axis=1)
    matches = (gallery_pids[indices] == query_pids[:, None]).astype(np.int32)
    first, average = [], []
    for row, order in enumerate(indices):
        own = gallery_pids[order] == query_pids[row]
        kept = matches[row][~(own & (gallery_camids[order] == query_camids[row]))]
        if not kept.any():
            continue
        found = kept.cumsum()
        first.append(found[0] > 0)
        if literal:
            precision = np.asarray([f / (place + 1.0) for place, f in enumerate(found)])
        else:
            precision = found / np.arange(1.0, len(found) + 1)
        average.append((precision * kept).sum() / kept.sum())
    return float(np.mean(first)), float(np.mean(average))


def peak_memory(name: str) -> dict[str, float]:
    """Measures the peak memory of ranking in MiB, above what the process holds with the features alone."""
    arrays = search(SIZES[name])
    before = _status("VmRSS")
    rank(*arrays)
    return {"over": _status("VmHWM") - before}


def _status(field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def row(name: str, size: Size, ceiling: float) -> dict[str, Any]:
    arrays = search(size)
    chosen = np.random.default_rng(1).permutation(size.queries)[: size.of_numpy]

    def first(count: int) -> tuple[np.ndarray, ...]:
        """Returns the search restricted to `count` random queries."""
        return tuple(x if i % 2 else x[chosen[:count]] for i, x in enumerate(arrays))

    part, few = first(size.of_numpy), first(LITERAL_QUERIES)
    found = rank(*part)
    np.testing.assert_allclose(
        evaluate_by_sorting(*part, literal=False), (found["rank1"], found["mAP"]), rtol=1e-5
    )
    seconds = measuring.interleaved(
        {
            "ours": lambda: rank(*arrays),
            "numpy": lambda: evaluate_by_sorting(*part, literal=False),
            "literal": lambda: evaluate_by_sorting(*few, literal=True),
        },
        ROUNDS,
    )
    numpy = [s * size.queries / size.of_numpy for s in seconds["numpy"]]
    literal = [s * size.queries / LITERAL_QUERIES for s in seconds["literal"]]
    ours = statistics.median(seconds["ours"])
    child = subprocess.run(
        [sys.executable, __file__, "--memory", name], stdout=subprocess.PIPE, check=True
    )
    flops = 2 * size.queries * size.gallery * DIM
    return {
        "size": f"{name}, {size.queries:,} x {size.gallery:,}",
        "ours s": ours,
        "NumPy s": statistics.median(numpy),
        "NumPy / ours": measuring.ratio(numpy, seconds["ours"]),
        "with a list s": statistics.median(literal),
        "with a list / ours": measuring.ratio(literal, seconds["ours"]),
        "MiB over the features": json.loads(child.stdout)["over"],
        "GFLOP": flops / 1e9,
        "GFLOP/s": flops / 1e9 / ours,
        "of matmul ceiling": f"{flops / ours / ceiling:.0%}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", choices=SIZES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(peak_memory(arguments.memory)))
        return
    started = time.perf_counter()
    ceiling = measuring.ceilings()["jax matmul"]
    rows = [row(name, size, ceiling) for name, size in SIZES.items()]
    counts = " and ".join(f"{size.of_numpy:,}" for size in SIZES.values())
    measuring.publish(
        "ranking",
        "Ranking",
        rows,
        [
            f"Features of {DIM} dimensions. Seconds of NumPy are scaled to all queries from {counts} of them, drawn at "
            f"random, and `with a list` from {LITERAL_QUERIES}; Rank-1 and mAP of NumPy's agree with ours on these.",
            "NumPy has the whole matrix of distances and an argsort of it (float32 and int64: 11.5 GB at the size of "
            "MSMT17); `with a list` computes precisions by a list comprehension over the gallery, as the field's "
            "libraries do.",
            "GFLOP are those of the matrix product; comparing each distance with each match is the rest of the work.",
            f"Ceiling: {ceiling / 1e9:.0f} GFLOP/s. Median of {ROUNDS} rounds; all took "
            f"{time.perf_counter() - started:.0f} s.",
        ],
    )


if __name__ == "__main__":
    main()
