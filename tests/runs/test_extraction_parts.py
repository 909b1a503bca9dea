"""Which parts of a killed extraction are taken over."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest
from tiny_extractor import write_images

from rireid_jax.errors import UserError
from rireid_jax.runs import extraction_parts
from rireid_jax.runs.extraction_parts import Described, parts_folder, parts_of
from rireid_jax.runs.image_lists import list_images


class Killed(Exception):
    pass


@pytest.fixture
def images(tmp_path):
    write_images(tmp_path / "crops", [f"{n}.png" for n in range(8)])
    for path in (tmp_path / "crops").iterdir():
        os.utime(path, (1e9, 1e9))
    return list_images([str(tmp_path / "crops")])


@pytest.fixture
def run(tmp_path, images, monkeypatch):
    """Goes on, adds batches of two whose features are `value`, and is killed; returns the features found before."""
    monkeypatch.setattr(extraction_parts, "_PART_SECONDS", 0)

    def go(add=0, value=0.0, bad=False, skip_bad=False, fingerprint="a", batch_size=2):
        with (
            contextlib.suppress(Killed),
            parts_of(tmp_path / "f", images, fingerprint, batch_size) as parts,
        ):
            found = [list(part.features[:, 0]) for part in parts.read(skip_bad)]
            for _ in range(add):
                kept = np.array([True, not bad])
                row = np.full(kept.sum(), value, np.float32)
                parts.add(Described(kept, row[:, None], row.astype(np.int32), row))
            raise Killed
        return found

    return go


def test_parts_follow_each_other(run, tmp_path):
    assert run(add=2, value=1) == []
    assert run(add=1, value=2) == [[1, 1]] * 2
    assert run() == [[1, 1], [1, 1], [2, 2]]
    assert run(batch_size=4) == run(fingerprint="b") == []
    assert len(list(parts_folder(tmp_path / "f").glob("*/*.npz"))) == 3


def test_an_image_that_has_changed(run, images):
    run(add=3, value=1)
    os.utime(images[2].path)
    assert run() == [[1, 1]]
    assert run(add=1, value=2) == [[1, 1]]
    assert run() == [[1, 1], [2, 2], [1, 1]]
    os.utime(images[0].path, (4e9, 4e9))  # the clock of a camera
    assert run() == [[1, 1], [2, 2], [1, 1]]


def test_a_damaged_part(run, tmp_path):
    run(add=2, value=1)
    first, second = sorted(parts_folder(tmp_path / "f").glob("*/*.npz"))
    second.write_bytes(first.read_bytes()[:99])
    assert run() == [[1, 1]]


def test_bad_images_are_skipped_only_if_asked(run):
    run(add=1, value=1)
    run(add=1, value=2, bad=True, skip_bad=True)
    assert run(skip_bad=True) == [[1, 1], [2]]
    assert run() == [[1, 1]]


def test_folder_is_removed(run, images, tmp_path):
    run()
    assert not parts_folder(tmp_path / "f").exists()
    run(add=1, fingerprint="b")
    with parts_of(tmp_path / "f", images, "a", 2):
        pass
    assert not parts_folder(tmp_path / "f").exists()


def test_one_process_at_a_time(run, images, tmp_path):
    run(add=1)
    lock = parts_folder(tmp_path / "f") / ".lock"
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with (
            pytest.raises(UserError, match="f: another process is writing it"),
            parts_of(tmp_path / "f", images, "a", 2),
        ):
            pass
        other.communicate(b"\n")
