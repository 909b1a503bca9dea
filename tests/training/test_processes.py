"""Two processes of two devices against one of four and one of one; a run that one begins and two go on with."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from test_loop import STEPS, CompiledOnce, stage_config, train
from tiny_training import initial_state, leaves, one_device_step, random_batch, small_config
from training_process import BATCH_NORM
from training_process import STEPS as SIX

from rireid_jax.parallel import Parallel
from rireid_jax.runs.metrics import MetricsWriter
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.loop import Stopped

pytestmark = pytest.mark.multiprocess
KINDS = ("pmap", "shard_map")
STAGE = "ffsr"  # the quickest to compile


def start(devices: int, **arguments) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, here / "training_process.py", json.dumps(arguments)],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> dict:
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return json.loads(stdout.splitlines()[-1])


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        return sock.getsockname()[1]


class StoppingLog(MetricsWriter):
    def write(self, record):
        super().write(record)
        if record["step"] == 2:  # known while step 4 runs
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def config(float64):
    config = stage_config()
    config.dtype = "float64"
    return config


@pytest.fixture(scope="module")
def devices():
    return CompiledOnce("pmap")


@pytest.fixture(scope="module")
def runs(config, devices, tmp_path_factory):
    """Folders of four devices in two processes and in one. The former goes on with a run that this process began."""
    two, one = (tmp_path_factory.mktemp(name) for name in ("two", "one"))
    with pytest.raises(Stopped, match="stopped at step 4 of 12"):
        train(two / "run", devices, config=config, log=StoppingLog)
    four = start(4, out=str(one), index=0, count=1, port=0, kinds=["pmap"])
    common = {"out": str(two), "count": 2, "port": free_port(), "stage": STAGE, "kinds": KINDS}
    signal_to = {"victim": 1, "at": 3}  # of its batches: that of step 7
    pair = [start(2, index=index, **common, **signal_to) for index in range(2)]
    assert ended(four)["devices"] == 4
    ends = [ended(process) for process in pair]
    assert [end["devices"] for end in ends] == [4, 4]
    return two, one, [end["ended"] for end in ends]


@pytest.fixture(scope="module")
def one_device(float64):
    """As `training_process.six_steps`."""
    config = small_config("float64")
    step = one_device_step(config, BATCH_NORM)
    state, history = initial_state(config, BATCH_NORM), {}
    for number in range(SIX):
        state, metrics = step(state, random_batch(number))
        history |= {f"{number}/{name}": leaf for name, leaf in leaves(state).items()}
        history |= {f"{number}/metrics/{k}": leaf for k, leaf in leaves(metrics).items()}
    return history


@pytest.mark.parametrize(
    ("processes", "kind"), [("two", "pmap"), ("two", "shard_map"), ("one", "pmap")]
)
def test_six_steps_with_synchronised_batch_norm(runs, one_device, processes, kind):
    two, one, _ = runs
    with np.load({"two": two, "one": one}[processes] / f"{kind}.npz") as found:
        assert set(found) == set(one_device)
        for name, expected in one_device.items():
            np.testing.assert_allclose(found[name], expected, rtol=1e-10, atol=1e-10, err_msg=name)
    assert any("batch_stats" in name for name in one_device)


def last_checkpoint(workdir: Path, config: ConfigDict) -> dict[str, np.ndarray]:
    with Checkpoints(str(workdir), STAGE) as checkpoints:
        abstract = Parallel("pmap").abstract(initial_state(config, STAGE))
        return leaves(checkpoints.restore(abstract))


def test_from_one_process_to_two_to_one(runs, config, devices, tmp_path):
    two, _, ends = runs
    # Whichever process was asked, and whenever: all stopped behind the same step, and saved it once.
    assert len(set(ends)) == 1
    assert ends[0].startswith(f"{STAGE}: stopped at step ")
    stopped = int(ends[0].split()[4])
    assert 7 <= stopped < STEPS
    assert last_checkpoint(two / "run", config)["step"] == stopped
    train(two / "run", devices, config=config)
    train(tmp_path, devices, config=config)
    state, expected = (last_checkpoint(path, config) for path in (two / "run", tmp_path))
    assert state["step"] == STEPS
    assert state.keys() == expected.keys()
    moved = 0.0
    initial = leaves(initial_state(config, STAGE))
    for name in expected:
        np.testing.assert_allclose(state[name], expected[name], rtol=1e-10, atol=1e-10)
        if name in initial:
            moved = max(moved, np.abs(expected[name] - initial[name]).max())
    assert moved > 1e-3  # else it would say little
