"""Interrupts a run of the paper's size at twenty seeded moments, and checks what every signal leads to.

The command trains `configs/joint.py:folder` on a few crops drawn here: the paper's networks and input, few steps. At
each moment it gets SIGTERM, SIGINT as from a terminal (to all its processes), or SIGKILL, and is started again. The
laws: SIGTERM and SIGINT are acknowledged within a second, the process and its workers have ended within a minute, no
traceback is printed, and the run ends with the bits of one that was never interrupted.

python benchmarks/signals.py
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image

from rireid_jax.text_table import aligned
from rireid_jax.training.checkpoint import Checkpoints

ROOT = Path(__file__).parents[1]
ACKNOWLEDGED, ENDED = 1.0, 60.0  # seconds, at most
STAGES = ("rife", "ffsr_pretrain", "ffsr", "joint", "baseline")  # in the order of the run
# A kill -9 acknowledges nothing; the run must only go on from it.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
PEOPLE, CROPS = 8, (4, 6)  # identities, and how many crops each has
# All that is not of the paper's size: the number of images, steps and workers.
SHORT = {
    "natural_images.count": 16,
    "batch_size": 4,
    "eval.batch_size": 8,
    "data.workers": 1,
    "data.allow_unmatched_queries": True,
    "log_every": 1,
    "checkpoint.every_steps": 3,
    "checkpoint.keep": 2,
    **{f"stages.{stage}.epochs": 1 if stage.startswith("ffsr") else 2 for stage in STAGES},
}


class Moment(NamedTuple):
    """When a signal is sent.

    Attributes:
      name: for the table.
      event: whether the run has come to it.
      delay: seconds after that.
    """

    name: str
    event: Callable[["Run"], bool]
    delay: float


class Law(Exception):
    """Raised where the benchmark cannot go on."""


class Run:
    """One process of the command, and what it prints, line by line."""

    def __init__(self, folder: Path, name: str, size: str):
        """Starts it on the crops of a folder, in a work directory `name` with data of its own."""
        self.workdir = folder / name / "run"
        flags = SHORT | {"data.raw_dir": folder / "crops", "data.dir": folder / name / "data"}
        self.lines: list[tuple[float, str]] = []
        self._process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "rireid_jax.main",
                    f"--config=configs/joint.py:folder{size}",
                ),
                f"--workdir={self.workdir}",
                *(f"--config.{field}={value}" for field, value in flags.items()),
            ],
            cwd=ROOT,
            env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append((time.monotonic(), line.rstrip()))

    def printed(self, pattern: str) -> bool:
        return any(re.search(pattern, line) for _, line in list(self.lines))

    def answers(self) -> bool:
        """Whether `main` has begun: before, Python and its imports come first."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return True
        caught = re.search(r"SigCgt:\s*(\w+)", status)
        return caught is None or bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)

    def wait_for(self, moment: Moment) -> None:
        """Waits until a moment. Raises Law where the run ends before."""
        while not moment.event(self):
            self._check_running(moment)
            time.sleep(0.005)
        time.sleep(moment.delay)
        self._check_running(moment)

    def _check_running(self, moment: Moment) -> None:
        if self._process.poll() is not None:
            raise Law(f"ended with {self._process.returncode} before: {moment.name}\n{self.text()}")

    def send(self, number: signal.Signals) -> float:
        """Sends a signal, and returns when. Ctrl-C in a terminal goes to all processes of a run."""
        sent = time.monotonic()
        send = os.killpg if number == signal.SIGINT else os.kill
        send(self._process.pid, number)
        return sent

    def end(self) -> tuple[int, float]:
        """Waits for the end of the process and of its workers, and returns its exit status and when it ended."""
        status = self._process.wait()
        ended = time.monotonic()
        self._reader.join(ENDED)
        if self._reader.is_alive():
            raise Law(f"a worker outlives the run by {ENDED} s\n{self.text()}")
        return status, ended

    def doing(self) -> str:
        """The last line, without its time."""
        line = self.lines[-1][1] if self.lines else "imports"
        return re.sub(r"^[\d:]{8} ", "", line)[:48]

    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)


def draw_crops(folder: Path, rng: random.Random) -> None:
    """Draws crops of several sizes up to 256x128: noise about a colour of each identity."""
    noise = np.random.default_rng(rng.randrange(2**32))
    for pid in range(1, PEOPLE + 1):
        colour = noise.uniform(0, 255, 3)
        for shot in range(rng.randint(*CROPS)):
            width = rng.randint(24, 128)
            pixels = np.clip(colour + noise.normal(0, 40, (2 * width, width, 3)), 0, 255)
            place = folder / "crops" / str(pid) / f"{shot}_c{shot % 2 + 1}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(place)


def moments(rng: random.Random) -> Iterator[Moment]:
    """Twenty moments in the order of a run."""

    def printed(pattern: str) -> Callable[[Run], bool]:
        return lambda run: run.printed(pattern)

    yield Moment("imports", Run.answers, rng.uniform(0, 1))
    yield Moment("imports", Run.answers, rng.uniform(1, 3))
    yield Moment("building", printed("folder: builds"), rng.uniform(0, 0.2))
    yield Moment("building", printed("natural_images: builds"), rng.uniform(0, 1))
    for stage in STAGES:
        compiles = printed(f"{stage}: .*the first one compiles")
        yield Moment(f"{stage} compiles", compiles, rng.uniform(0, 2))
        first = rng.randint(1, 3)
        yield Moment(
            f"{stage} step {first}", printed(f"{stage} +step +{first}/"), rng.uniform(0, 1)
        )
        if not stage.startswith("ffsr"):
            yield Moment(f"{stage} saves", _saves(stage), rng.uniform(0, 0.5))
    for stage in ("joint", "baseline"):
        yield Moment(f"evaluates {stage}", printed(f"{stage}: evaluates"), rng.uniform(0, 3))
    yield Moment("pictures", lambda run: (run.workdir / "restored.png").exists(), 0.0)


def _saves(stage: str) -> Callable[[Run], bool]:
    """Whether a checkpoint of a stage is being written."""

    def event(run: Run) -> bool:
        unfinished = (run.workdir / "checkpoints" / stage).glob("*tmp*")
        return run.printed(f" {stage} +step ") and any(unfinished)

    return event


def interrupt(run: Run, moment: Moment, number: signal.Signals) -> tuple[list[str], list[str]]:
    """Sends a signal at a moment; returns a row of the table and the laws that were broken."""
    run.wait_for(moment)
    doing = run.doing()
    sent = run.send(number)
    status, ended = run.end()
    broken = []
    answers = [then - sent for then, line in run.lines if line.startswith(f"{number.name}: ")]
    if number == signal.SIGKILL:
        acknowledged = "-"
    else:
        acknowledged = f"{answers[0]:.2f}" if answers else "never"
        if not answers or answers[0] > ACKNOWLEDGED:
            broken.append(f"{moment.name}: {number.name} acknowledged after {acknowledged} s")
        if status not in (0, 128 + number):
            broken.append(f"{moment.name}: {number.name} ended it with status {status}")
    if ended - sent > ENDED:
        broken.append(f"{moment.name}: {number.name} ended it after {ended - sent:.0f} s")
    if run.printed("^Traceback|Error|Warning"):
        broken.append(f"{moment.name}: {number.name} printed\n{run.text()}")
    row = [moment.name, doing, number.name, acknowledged, f"{ended - sent:.2f}", str(status)]
    return row, broken


def differences(ours: Path, theirs: Path) -> Iterator[str]:
    """What two work directories do not have in common: bits of checkpoints, logged metrics, figures."""
    for stage in STAGES:
        first, second = _bits(ours, stage), _bits(theirs, stage)
        if first != second:
            yield f"{stage}: other bits than without interruptions"
    if _logged(ours) != _logged(theirs):
        yield "metrics.jsonl: other metrics than without interruptions"
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (ours, theirs))
    for key in sorted(first.keys() | second.keys()):
        if key not in ("seconds", "config") and first.get(key) != second.get(key):
            yield f"results.json: {key} is {first.get(key)}, without interruptions {second.get(key)}"


def _bits(workdir: Path, stage: str) -> dict[str, bytes]:
    with Checkpoints(str(workdir), stage) as checkpoints:
        leaves = jax.tree.leaves_with_path(checkpoints.load_variables(checkpoints.steps[-1]))
    return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}


def _logged(workdir: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        del record["images_per_second"]
    return records


def finish(folder: Path, name: str, size: str) -> Run:
    run = Run(folder, name, size)
    status, _ = run.end()
    if status:
        raise Law(f"ended with {status}\n{run.text()}")
    return run


def measure(folder: Path, seed: int, size: str) -> list[str]:
    """Interrupts a run at all moments, prints the table, and returns the laws that were broken."""
    rng = random.Random(seed)
    draw_crops(folder, rng)
    begun = time.monotonic()
    rows = [["moment", "last line before", "signal", "acknowledged s", "ended s", "status"]]
    broken: list[str] = []
    for turn, moment in enumerate(moments(rng)):
        number = SIGNALS[turn % len(SIGNALS)]
        row, own = interrupt(Run(folder, "interrupted", size), moment, number)
        print("  ".join(row), *own, sep="\n  ", flush=True)
        rows.append(row)
        broken += own
    interrupted = finish(folder, "interrupted", size)
    whole = finish(folder, "whole", size)  # with the programs that the interrupted one compiled
    broken += differences(interrupted.workdir, whole.workdir)
    print(f"\n{aligned(rows)}\n\n{len(rows) - 1} moments, {time.monotonic() - begun:.0f} s in all")
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the crops")
    parser.add_argument("--size", default="", help=",small tries the script itself")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rireid-signals-"))
    try:
        broken = measure(folder, arguments.seed, arguments.size)
    except Law as error:
        broken = [str(error)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(broken) or "every law held, and the bits and figures are the same")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
