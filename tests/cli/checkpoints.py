"""What a run has saved and logged, and waiting for it."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from rireid_jax.training.checkpoint import Checkpoints


def parameters(workdir: Path, stage: str) -> dict[str, np.ndarray]:
    """Parameters and running statistics of a stage's last checkpoint, by path."""
    with Checkpoints(str(workdir), stage) as checkpoints:
        variables = checkpoints.load_variables(checkpoints.steps[-1])
    leaves = jax.tree.leaves_with_path(variables)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_bits(workdir: Path, other: Path, stage: str) -> None:
    ours, theirs = parameters(workdir, stage), parameters(other, stage)
    assert ours.keys() == theirs.keys()
    for path in ours:
        np.testing.assert_array_equal(ours[path], theirs[path], err_msg=f"{stage} {path}")


def logged(workdir: Path) -> list[dict]:
    """The records of metrics.jsonl without what depends on the machine; without a line half written."""
    path = workdir / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("\n")]
    for record in records:
        del record["images_per_second"]
    return records


def saved(workdir: Path, stage: str) -> list[int]:
    """Steps of a stage's complete checkpoints."""
    names = [path.name for path in (workdir / "checkpoints" / stage).glob("*")]
    return sorted(int(name) for name in names if name.isdecimal())


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def committed(workdir: Path, stage: str, step: int) -> Callable[[], bool]:
    return (workdir / "checkpoints" / stage / str(step)).exists
