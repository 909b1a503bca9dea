"""A run that one process begins, two go on with, and one ends, against a run of one process."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_loop import (
    STEPS,
    CompiledOnce,
    ask_to_stop,
    interrupting,
    logged,
    saved,
    stage_config,
    train,
)
from tiny_training import assert_near
from training_process import STAGE

from rireid_jax.training.loop import Stopped

pytestmark = pytest.mark.multiprocess
KINDS = ("pmap", "shard_map")


def start(**arguments) -> subprocess.Popen[str]:
    """Starts a process of two devices."""
    here = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, here / "training_process.py", json.dumps(arguments)],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def config(float64):
    return stage_config("float64")


@pytest.fixture(scope="module")
def devices():
    return CompiledOnce("pmap")


@pytest.fixture(scope="module")
def one(config, devices, tmp_path_factory):
    """The work directory of a run of one process."""
    workdir = tmp_path_factory.mktemp("one")
    train(workdir, devices, config=config, stage=STAGE)
    return workdir


@pytest.fixture(scope="module")
def two(config, devices, tmp_path_factory):
    """A folder of work directories, by kind of parallelism, in which two processes went on from step 4."""
    folder = tmp_path_factory.mktemp("two")
    begun, other = (folder / kind for kind in KINDS)
    with pytest.raises(Stopped, match="stopped at step 4 of 12"):
        train(begun, devices, config=config, stage=STAGE, log=interrupting(2, ask_to_stop))
    shutil.copytree(begun, other)
    common = {"out": str(folder), "count": 2, "port": free_port(), "kinds": KINDS}
    processes = [start(index=index, **common) for index in range(2)]
    for process, (stdout, stderr) in [(p, p.communicate(timeout=300)) for p in processes]:
        assert process.returncode == 0, stderr
        assert stdout.splitlines()[-1] == "4"  # devices
    return folder


def results(workdir: Path) -> dict[str, Any]:
    """The last state of a run, and all its metrics."""
    steps, found = saved(workdir, STAGE, "float64")
    assert steps[-1] == STEPS
    for record in logged(workdir):
        numbers = {k: v for k, v in record.items() if k not in ("stage", "images_per_second")}
        found |= {f"{record['step']}/{name}": value for name, value in numbers.items()}
    return found


def assert_same_run(workdir: Path, expected: Path) -> None:
    wanted = results(expected)
    assert any("batch_stats" in name for name in wanted)
    assert abs(wanted[f"{STEPS}/loss"] - wanted["2/loss"]) > 1e-3  # else it would say little
    assert_near([results(workdir)], [wanted], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_with_synchronised_batch_norm(one, two, kind):
    assert_same_run(two / kind, one)


def test_one_process_ends_what_two_have_trained(one, two, config, devices):
    workdir = two / "pmap"
    shutil.rmtree(workdir / "checkpoints" / STAGE / str(STEPS))
    train(workdir, devices, config=config, stage=STAGE)
    assert_same_run(workdir, one)
