"""Too little of /dev/shm for the decoding processes: fewer of them, or one line that says so."""

import contextlib
import errno
import multiprocessing
import subprocess
import sys
from pathlib import Path

import grain
import pytest
from small_batches import stream

from rireid_jax.data import shared_memory
from rireid_jax.data.shared_memory import (
    Space,
    affordable,
    find_space,
    full_memory_is_named,
    refuse_dead,
)
from rireid_jax.errors import UserError

MIB = 2**20
PAPER = (32, (256, 128))  # a batch at the paper's size
_TRAINS = """
import contextlib, itertools, logging, multiprocessing, os, sys
from small_batches import stream
from rireid_jax.data import shared_memory
from rireid_jax.errors import UserError


def main():
    logging.basicConfig(format="%(message)s")
    if sys.argv[2] == "blind":  # as if another program filled the rest a moment later
        shared_memory.find_space = lambda: shared_memory.Space(2**40, 2**40)
    options = dict(image_size=(256, 128), batch_size=32, workers=int(sys.argv[1]))
    try:
        with contextlib.closing(stream(**options)) as batches:
            for _ in itertools.islice(batches, 4):
                print(len([p for p in multiprocessing.active_children() if "grain" in p.name]))
    except UserError as error:
        print(error)


if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    ("workers", "free", "expected"),
    [(8, 64 * MIB, 1), (8, 200 * MIB, 4), (8, 2**16, 0), (8, 0, 0), (2, 2**30, 2), (0, 0, 0)],
)
def test_as_many_as_there_is_room_for(monkeypatch, caplog, workers, free, expected):
    monkeypatch.setattr(shared_memory, "find_space", lambda: Space(free, 64 * MIB))
    with caplog.at_level("WARNING", "rireid_jax.data.shared_memory"):
        assert affordable(workers, *PAPER) == expected
    assert len(caplog.records) == (expected < workers)


def test_the_warning_says_what_to_do(monkeypatch, caplog):
    monkeypatch.setattr(shared_memory, "find_space", lambda: Space(60 * MIB, 64 * MIB))
    affordable(8, *PAPER)
    assert caplog.messages == [
        "config.data.workers: 8 decoding processes need 338 MiB of /dev/shm, found 60 MiB free of 64 MiB: takes 1 of "
        "them; for all, give a container more (docker run --shm-size=338m), or set config.data.workers=1"
    ]
    monkeypatch.setattr(shared_memory, "find_space", lambda: Space(0, 0))
    caplog.clear()
    affordable(8, *PAPER)
    assert "takes none of them; the main process decodes" in caplog.text


def test_a_machine_without_the_folder(monkeypatch):
    assert affordable(3, 1, (4, 4)) == 3
    monkeypatch.setattr(shared_memory, "FOLDER", "/nosuch")
    assert find_space() == Space(0, 0)
    assert affordable(3, 1, (4, 4)) == 0
    monkeypatch.setattr(sys, "platform", "darwin")
    assert find_space() is None
    assert affordable(3, 1, (4, 4)) == 3


def test_no_worker_starts_without_room(monkeypatch):
    monkeypatch.setattr(shared_memory, "find_space", lambda: Space(0, 64 * MIB))
    with contextlib.closing(stream(workers=4)) as batches:
        next(batches)
        assert multiprocessing.active_children() == []


def test_a_process_that_the_full_folder_killed():
    refuse_dead([None, 0])
    refuse_dead([None], RuntimeError("something else"))
    full = r"^/dev/shm: .* -7 \(.* free of .*--shm-size.*data\.workers"
    early = RuntimeError("Worker process was terminated unexpectedly with exit code -7. Search")
    for codes, error in (([None, -7], None), ([], early)):
        with pytest.raises(UserError, match=full):
            refuse_dead(codes, error)
    with pytest.raises(UserError, match=r"^config\.data\.workers: .* exit code -9"):
        refuse_dead([-9])


def test_another_disk_that_is_full():
    for name, kind in (
        ("/tmp/pymp-x/listener", OSError),
        ("/psm_1a2b", UserError),
        (None, UserError),
    ):
        with pytest.raises(kind), full_memory_is_named(2):
            raise OSError(errno.ENOSPC, "words", name)


class Broken:
    """A data set of Grain's that cannot begin."""

    def __init__(self, number):
        self.number = number

    def mp_prefetch(self, *_, **__):
        return self

    def __iter__(self):
        raise OSError(self.number, "words")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_an_error_of_a_decoding_process(monkeypatch, number):
    """Which Grain raises again in the main process."""
    monkeypatch.setattr(grain.MapDataset, "to_iter_dataset", lambda *_: Broken(number))
    monkeypatch.setattr(shared_memory, "find_space", lambda: Space(2**40, 2**40))
    full = UserError, "/dev/shm: found no space left"
    for workers in (0, 2):
        kind, words = full if workers and number == errno.ENOSPC else (OSError, "words")
        with (
            contextlib.closing(stream(workers=workers)) as batches,
            pytest.raises(kind, match=words),
        ):
            next(batches)


def train_with(size: str, *arguments: str) -> str:
    """What training says in a namespace with so much of /dev/shm."""
    script = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
    unshare = ["unshare", "-m", "sh", "-c", script, "sh"]
    try:
        subprocess.run([*unshare, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount another /dev/shm")
    file = Path(__file__).parent / "small_batches.py"
    code = Path(arguments[0])
    code.write_text(_TRAINS)
    (code.parent / file.name).write_text(file.read_text())
    result = subprocess.run(
        [*unshare, sys.executable, *arguments], capture_output=True, text=True, timeout=300
    )
    assert "Traceback" not in result.stderr
    return result.stdout + result.stderr


@pytest.mark.multiprocess
@pytest.mark.parametrize(("size", "workers"), [("64k", 0), ("64m", 1)])
def test_a_container_with_little_of_it(tmp_path, size, workers):
    said = train_with(size, str(tmp_path / "trains.py"), "2", "sees")
    assert said.splitlines()[:4].count(str(workers)) == 4, said
    assert f"takes {workers or 'none'} of them" in said


@pytest.mark.multiprocess
@pytest.mark.parametrize("size", ["64k", "1m"])
def test_a_folder_that_fills_up_later(tmp_path, size):
    said = train_with(size, str(tmp_path / "trains.py"), "1", "blind")
    assert said.startswith("/dev/shm: "), said
    assert "--shm-size" in said
