"""Measures how fast data sets are built and how much memory that takes, and prints benchmarks/build.md.

The downloads have 2,000 and 20,000 files, copies of a few hundred drawn images under many names. They are built into
VR-MSMT17 (JPEG of 48 to 176 pixels' width, down-sampled) and natural images (JPEG of 500x375 pixels, as is usual
in ImageNet, cropped to 256x128), by threads of one process and by Apache Beam's DirectRunner in two processes. Every
build runs in a new process, so that its peak memory can be measured; the disk cache is warm for all of them.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build
from rireid_jax.data.dead_leaves import dead_leaves
from rireid_jax.data.pedestrians import render
from rireid_jax.data.records import encode_jpeg

SIZES = (2_000, 20_000)  # numbers of images
REPEATS = 3  # builds of the smaller size, for a median; the larger size is built once
DRAWN = 200  # number of different images
EXECUTORS = {
    "threads": {},
    "Beam, 2 processes": {
        "beam": "--runner=DirectRunner --direct_num_workers=2 --direct_running_mode=multi_processing"
    },
}


def recipe(dataset: str, count: int) -> dict[str, Any]:
    """Returns the recipe of a data set of `count` images."""
    if dataset == "natural_images":
        return dict(count=count, size=(256, 128), seed=0)
    return recipe_of(dataset)


def write_msmt17(folder: Path, count: int) -> Path:
    """Writes a folder MSMT17_V1 of `count` images; half are for training, the others are queries and gallery."""
    rng = np.random.default_rng(0)
    drawn = []
    for n in range(DRAWN):
        width = int(rng.integers(48, 177))
        pixels, _ = render(0, n, n % 4, 0, size=(2 * width, width))
        drawn.append(encode_jpeg(Image.fromarray(pixels), 90))
    lists: dict[str, list[str]] = {"train": [], "val": [], "query": [], "gallery": []}
    for n in range(count):
        shot, place = divmod(n, count // 20)  # every identity has twenty images
        half, role = ("train", "val" if shot == 9 else "train")
        if shot >= 10:
            half, role = ("test", "query" if shot < 12 else "gallery")
        camera = shot % 2 + 1
        name = f"{place:04d}/{place:04d}_{shot:03d}_{camera:02d}_0303morning_{n:06d}_0.jpg"
        path = folder / half / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn[n % DRAWN])
        lists[role].append(f"{name} {place}")
    for role, lines in lists.items():
        (folder / f"list_{role}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_photographs(folder: Path, count: int) -> Path:
    """Writes JPEG images of 500x375 pixels, a thousand per folder and a tenth more than the build chooses."""
    drawn = [encode_jpeg(Image.fromarray(dead_leaves(0, n, (375, 500))), 90) for n in range(DRAWN)]
    for n in range(count + count // 10):
        path = folder / f"n{n // 1000:08d}" / f"{n:08d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn[n % DRAWN])
    return folder


WRITERS = {"vr_msmt17": write_msmt17, "natural_images": write_photographs}


def build_once(
    dataset: str, executor: str, count: str, raw: str, data_dir: str
) -> dict[str, float]:
    """Builds in this process; returns seconds and MiB."""
    start, before = time.perf_counter(), _peak(os.getpid())
    made_by = recipe(dataset, int(count))
    build(dataset, made_by, data_dir=data_dir, raw_dir=raw, **EXECUTORS[executor])
    return {"seconds": time.perf_counter() - start, "before": before, "peak": _peak(os.getpid())}


def measure(dataset: str, executor: str, raw: Path, count: int) -> dict[str, Any]:
    """Builds every data set in a process of its own."""
    runs = []
    for _ in range(REPEATS if count == min(SIZES) else 1):
        with tempfile.TemporaryDirectory(dir=raw.parent) as data_dir:
            once = [dataset, executor, str(count), str(raw), data_dir]
            command = [sys.executable, __file__, "--once", *once]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                workers = 0.0
                while process.poll() is None:
                    workers = max([workers, *map(_peak, _descendants(process.pid))])
                    time.sleep(0.05)
                assert process.stdout is not None
                output = process.stdout.read()
            if process.returncode:
                sys.exit(f"error: {' '.join(command)} ended with status {process.returncode}")
            runs.append(json.loads(output.splitlines()[-1]) | {"peak_of_workers": workers})
    median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    row = {"dataset": dataset, "executor": executor, "images": count, **median}
    row["images_per_second"] = count / row["seconds"]
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def rows() -> Iterator[dict[str, Any]]:
    for dataset, write in WRITERS.items():
        for count in SIZES:
            folder = Path(tempfile.mkdtemp(prefix="rireid-build-"))
            try:
                raw = write(folder / "raw", count)
                for executor in EXECUTORS:
                    yield measure(dataset, executor, raw, count)
            finally:
                shutil.rmtree(folder)


def page(rows: list[dict[str, Any]]) -> str:
    """Returns the table in Markdown, and sentences on how time and memory grow."""
    lines = [
        "| data set | built by | images | seconds | images/s | peak MiB | largest worker MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        workers = f"{row['peak_of_workers']:.0f}" if "Beam" in row["executor"] else "-"
        lines.append(
            f"| {row['dataset']} | {row['executor']} | {row['images']:,} | {row['seconds']:.1f} | "
            f"{row['images_per_second']:.0f} | {row['peak']:.0f} | {workers} |"
        )
    lines += ["", f"From {SIZES[0]:,} to {SIZES[1]:,} images, ten times as many:", ""]
    for few, many in zip(rows, rows[len(EXECUTORS) :], strict=False):
        if (few["dataset"], few["executor"]) != (many["dataset"], many["executor"]):
            continue
        more = many["peak"] - few["peak"]
        lines.append(
            f"- {few['dataset']}, {few['executor']}: images/s times "
            f"{many['images_per_second'] / few['images_per_second']:.2f}, peak memory "
            f"{more:+.0f} MiB, {1024 * more / (SIZES[1] - SIZES[0]):+.1f} KiB an image more."
        )
    lines += [
        "",
        f"Measured by `make bench-build` on {os.cpu_count()} cores ({platform.machine()}, Python "
        f"{platform.python_version()}, Pillow {version('pillow')}, tensorflow-datasets "
        f"{version('tensorflow-datasets')}, apache-beam {version('apache-beam')}). The median of {REPEATS} "
        f"builds of {SIZES[0]:,} images, one build of {SIZES[1]:,}. A process that has only imported what it "
        f"needs holds {min(row['before'] for row in rows):.0f} MiB.",
    ]
    return "\n".join(lines)


def _peak(pid: int) -> float:
    """Returns the peak memory of a process in MiB; 0 if it has ended.

    It does not use getrusage, whose peak is inherited from the parent.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def _descendants(pid: int) -> Iterator[int]:
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the process has ended meanwhile
            for child in map(int, file.read_text().split()):
                yield child
                yield from _descendants(child)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--once",
        nargs=5,
        metavar=("DATASET", "EXECUTOR", "COUNT", "RAW", "DATA"),
        help=argparse.SUPPRESS,
    )
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(build_once(*arguments.once)))
    else:
        print(page(list(rows())))


if __name__ == "__main__":
    main()
