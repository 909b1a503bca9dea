"""What a gallery has acknowledged survives `kill -9`, and a removal that was killed is completed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gallery_forks
import numpy as np
import pytest
from gallery_rows import MODEL, features, holds

from rireid_jax.gallery import Entry, Gallery

Forks = "subprocess.Popen[str]"


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    script = [sys.executable, gallery_forks.__file__]
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()
    assert process.returncode == 0


def start(forks: Forks, action: str, path: Path, number: int) -> int:
    """Starts a process; returns its id."""
    print(action, path, number, file=forks.stdin, flush=True)
    return int(forks.stdout.readline())


def lines(forks: Forks) -> list[str]:
    """What the process printed until it ended."""
    return list(iter(lambda: forks.stdout.readline().strip(), "ended"))


def test_no_acknowledged_row_is_lost_in_twenty_kills(forks, tmp_path):
    rng = random.Random(0)
    path = tmp_path / "people.db"
    acknowledged = 0
    in_batches = 0
    for kill in range(20):
        process = start(forks, "add", path, acknowledged)
        for _ in range(rng.randint(0, 8) if kill else 1):
            acknowledged = int(forks.stdout.readline())
        time.sleep(rng.uniform(0, 0.05))
        os.kill(process, signal.SIGKILL)
        rest = lines(forks)
        in_batches += len(rest)
        acknowledged = int(rest[-1]) if rest else acknowledged
        if kill % 4 == 3:
            rows = features(50_000)[:acknowledged]
            with Gallery.open(str(path), *MODEL) as gallery:
                hits = [found[0] for found in gallery.search(rows, 1)]
                assert [hit.entry.name for hit in hits] == [str(i) for i in range(acknowledged)]
                assert not any(hit.distance for hit in hits)
                # The batch that was being written may be there; nothing else.
                assert gallery.stats().rows in (acknowledged, acknowledged + gallery_forks.BATCH)
    assert acknowledged > 200


@pytest.mark.parametrize(
    "point", range(len(gallery_forks.POINTS)), ids=lambda i: str(gallery_forks.POINTS[i])
)
def test_a_killed_removal_is_completed(forks, tmp_path, point):
    path = tmp_path / "people.db"
    rows = features(20)
    entries = [Entry(f"{p}-{i}.png", p) for i in range(10) for p in ("Anastasia", "Bob")]
    with Gallery.open(str(path), *MODEL, create=True) as gallery:
        gallery.add(entries, rows)
    start(forks, "remove", path, point)
    assert lines(forks) == []
    with Gallery.open(str(path), *MODEL) as gallery:
        stays = point < gallery_forks.POINTS.index(("delete", 1, True))
        wanted = entries if stays else entries[1::2]
        found = {hit.entry.name: hit.distance for hit in gallery.search(rows[:1], 100)[0]}
        assert sorted(found) == sorted(entry.name for entry in wanted)
        distances = [found[entry.name] for entry in entries[1::2]]
        np.testing.assert_allclose(distances, np.linalg.norm(rows[1::2] - rows[0], axis=1), 1e-5)
    assert any(holds(str(path), "Anastasia", row) for row in rows[::2]) == stays
    assert [p.name for p in (path / "collections").iterdir()] == ["rireid_gallery"]
