"""Decoding processes live exactly as long as the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from checkpoints import saved
from command import FEW_PEDESTRIANS, ROOT, TINY, command, environment, overrides

STAGE = "ffsr_pretrain"
_ENDLESS = """
import sys
from rireid_jax.config import base_config
from rireid_jax.data.augmentation import Augmentation
from rireid_jax.data.build import build
from rireid_jax.data.loader import train_batches

recipe = base_config("pedestrians").data.recipe.to_dict()
recipe |= {"train_identities": 2, "test_identities": 1, "cameras": 2}
data = build("pedestrians", recipe, data_dir=sys.argv[1])
batches = train_batches(
    data.splits["train"],
    image_size=(32, 16),
    batch_size=2,
    seed=0,
    augmentation=Augmentation(),
    workers=1,
)
next(batches)
print("ready", flush=True)
sys.stdin.read()
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Processes that any thread of a process has started."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in lists for child in path.read_text().split()]


def lives(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # empty once it has ended
    except FileNotFoundError:
        return False


def start(folder: Path) -> subprocess.Popen[str]:
    """A run that would take days, with a decoding process, which saves every ten steps."""
    return subprocess.Popen(
        command(
            "--config=configs/ffsr.py",
            f"--workdir={folder / 'run'}",
            f"--config.data.dir={folder / 'data'}",
            *overrides(TINY | FEW_PEDESTRIANS),
            "--config.data.workers=1",
            "--config.stages.ffsr_pretrain.epochs=100000",
            "--config.checkpoint.every_steps=10",
        ),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_worker_is_killed_and_then_the_run_interrupted(tmp_path):
    process = start(tmp_path)
    wait_until(lambda: bool(saved(tmp_path / "run", STAGE)))
    (worker,) = (
        pid
        for pid in children(process.pid)
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(worker, signal.SIGKILL)
    killed = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - killed < 60
    assert process.returncode == 2
    (line,) = (line for line in stderr.splitlines() if line.startswith("error: "))
    assert "config.data.workers: a decoding process ended with exit code -9" in line
    assert "Traceback" not in stderr
    before = saved(tmp_path / "run", STAGE)

    # Ctrl-C in a terminal, and many schedulers, signal the workers too.
    process = start(tmp_path)
    wait_until(lambda: saved(tmp_path / "run", STAGE)[-1] > before[-1])
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0
    assert f"ffsr_pretrain: resumes at step {before[-1]} of" in stderr
    assert stderr.splitlines()[-1].startswith("ffsr_pretrain: stopped at step ")
    assert "Traceback" not in stderr
    assert "Warning" not in stderr


def test_workers_of_a_killed_run_end(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(tmp_path)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    workers = children(process.pid)
    assert workers
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    wait_until(lambda: not any(map(lives, workers)))
