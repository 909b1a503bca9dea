"""Decoding processes live exactly as long as the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from command import FEW_PEDESTRIANS, ROOT, TINY, command, environment, overrides

_ENDLESS = """
import sys
from rireid_jax.config import base_config
from rireid_jax.data.augmentation import Augmentation
from rireid_jax.data.builders import build
from rireid_jax.data.pipeline import train_batches

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


def test_interrupt_of_the_whole_group(tmp_path):
    """Ctrl-C in a terminal, and many schedulers, signal the workers too."""
    workdir = tmp_path / "run"
    process = subprocess.Popen(
        command(
            "--config=configs/ffsr.py",
            f"--workdir={workdir}",
            f"--config.data.dir={tmp_path / 'data'}",
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
    wait_until((workdir / "checkpoints" / "ffsr_pretrain" / "10").exists)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0
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
