"""Time and memory of k-reciprocal re-ranking at the size of Market-1501: 19,281 images, features of 2048 dimensions.

python benchmarks/reranking.py
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import measuring
import numpy as np

from rireid_jax.evaluation import rank

QUERIES, GALLERY, IDENTITIES, CAMERAS, DIM = 3_368, 15_913, 751, 6, 2_048
NOISE = 3.0  # deviation of a feature, where that of the centres of identities is 1
LIMIT = 2 * 1024  # MiB, that re-ranking may take in addition to the features


def search() -> tuple[np.ndarray, ...]:
    """Returns features around a centre per identity, and labels, in the order of `rank`'s arguments."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((IDENTITIES, DIM), np.float32)
    pids, cameras = (
        [rng.integers(0, high, count) for count in (QUERIES, GALLERY)]
        for high in (IDENTITIES, CAMERAS)
    )
    features = [centres[p] + NOISE * rng.standard_normal((len(p), DIM), np.float32) for p in pids]
    return (*features, *pids, *cameras)


def measure(rerank: str) -> dict[str, float]:
    """Ranks once in this process: rates, seconds with compilation, and MiB at the peak above what it held before."""
    arrays = search()
    # Making the features took more memory than they do; the peak is counted from here on.
    Path("/proc/self/clear_refs").write_text("5")
    before, started = _status("VmRSS"), time.perf_counter()
    found = rank(*arrays, rerank=rerank)
    seconds = time.perf_counter() - started
    peak = _status("VmHWM") - before
    return {"rank1": found["rank1"], "mAP": found["mAP"], "seconds": seconds, "peak": peak}


def _status(field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", choices=("", "k_reciprocal"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        print(json.dumps(measure(arguments.child)))
        return
    rows, count = [], QUERIES + GALLERY
    for rerank, title in (("", "distances alone"), ("k_reciprocal", "k-reciprocal")):
        command = [sys.executable, __file__, "--child", rerank]
        child = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found = json.loads(child.stdout)
        rows.append(
            {
                "ranked by": title,
                "Rank-1": 100 * found["rank1"],
                "mAP": 100 * found["mAP"],
                "s": found["seconds"],
                "MiB over the features": found["peak"],
            }
        )
        if found["peak"] > LIMIT:
            print(f"above the {LIMIT} MiB that it may take: {found['peak']:.0f}", file=sys.stderr)
    measuring.publish(
        "reranking",
        "Re-ranking",
        rows,
        [
            f"{QUERIES:,} queries and {GALLERY:,} gallery images with features of {DIM:,} dimensions, which are noise "
            f"around a centre for each of {IDENTITIES} identities, so rates say only that re-ranking finds the "
            "clusters.",
            f"The limit is {LIMIT:,} MiB. Whole matrices of all {count:,} images would take "
            f"{4 * count**2 / 2**20:,.0f} MiB for the distances in float32, {8 * count**2 / 2**20:,.0f} MiB for their "
            "order and as much as the distances for the encodings.",
            "One call in a process of its own, with compilation; the peak is the kernel's VmHWM.",
        ],
    )


if __name__ == "__main__":
    main()
