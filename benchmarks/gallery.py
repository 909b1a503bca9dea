"""How a gallery in a file grows: rate of adding, time of a search, size, memory. Rewrites docs/gallery.md's table.

python benchmarks/gallery.py [--rows=1000,10000,100000]
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np

from rireid_jax.gallery import Entry, Gallery, matching
from rireid_jax.text_table import aligned

DIM = 256
BATCH = 500  # rows of one call of `add`
QUERIES = 16  # of the search with many
ROUNDS = 3
PAGE = Path(__file__).parents[1] / "docs" / "gallery.md"
TITLES = ["rows", "add, rows/s", "open, s", "search 1, ms", "of a camera, ms", "search 16, ms"]
TITLES += ["remove, s", "on disk, MB", "memory, MB"]


def seconds(action: Callable[[], object]) -> float:
    """Processor time of an action: the engine runs in this process, and other programs may share the cores."""
    start = time.process_time()
    action()
    return time.process_time() - start


def measure(rows: int) -> list[str]:
    """One row of the table, in a process of its own because of its memory."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((rows, DIM), np.float32)
    entries = [Entry(f"p{i // 10:05}/{i}.jpg", f"p{i // 10:05}", f"c{i % 8}") for i in range(rows)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        uri, model = f"{folder}/people.db", ("benchmark", 128)
        with Gallery.open(uri, *model, create=True) as gallery:
            added = seconds(
                lambda: [
                    gallery.add(entries[i : i + BATCH], features[i : i + BATCH])
                    for i in range(0, rows, BATCH)
                ]
            )
        opened = seconds(lambda: Gallery.open(uri, *model).close())
        with Gallery.open(uri, *model) as gallery:
            gallery.search(features[:1])  # reads the files
            searches = [
                (1, ""),
                (1, matching(cameras=["c3"])),
                (QUERIES, ""),
            ]
            times = [
                statistics.median(
                    seconds(lambda n=n, where=where: gallery.search(features[:n], 10, where))
                    for _ in range(ROUNDS)
                )
                for n, where in searches
            ]
            removed = seconds(lambda: gallery.remove(matching(persons=["p00007"])))
            size = gallery.stats().bytes_on_disk
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    figures = [f"{rows / added:,.0f}", f"{opened:.1f}", *(f"{1000 * t:,.0f}" for t in times)]
    return [f"{rows:,}", *figures, f"{removed:.1f}", f"{size / 1e6:.1f}", f"{peak:,.0f}"]


def main() -> None:
    """Measures every size and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="1000,10000,100000")
    parser.add_argument("--only", type=int, help="print the row of one size")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only)))
        return
    table = [TITLES]
    load = os.getloadavg()[0]
    for rows in arguments.rows.split(","):
        command = [sys.executable, __file__, f"--only={rows}"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        table.append(json.loads(output))
        print(aligned(table[:1] + table[-1:]), flush=True)
    said = (
        f"{date.today()}, {os.cpu_count()} CPU cores ({platform.machine()}), load {load:.1f} at the start; "
        f"milvus-lite {version('milvus-lite')}, pymilvus {version('pymilvus')}; {DIM} dimensions, "
        f"{BATCH} rows a call of `add`."
    )
    text = "".join(f"    {line}\n" for line in aligned(table).splitlines())
    marks = "<!-- table of benchmarks/gallery.py -->", "<!-- end of the table -->"
    block = f"{marks[0]}\n\n{text}\n{said}\n\n{marks[1]}"
    page = re.sub(f"{marks[0]}.*{marks[1]}", lambda _: block, PAGE.read_text(), flags=re.DOTALL)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
