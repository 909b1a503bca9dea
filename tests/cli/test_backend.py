"""A backend of JAX that is not there: one line that names the variable and what to install."""

import subprocess
import sys

import jax
import pytest
from command import FEW_PEDESTRIANS, TINY, environment, error_line, overrides, run

from rireid_jax import parallel
from rireid_jax.errors import UserError

CUDA = "JAX with CUDA, pip install 'rireid_jax[cuda13]', or 'rireid_jax[cuda12]'; or cpu"
BACKENDS = {
    "cuda": f"found 'cuda', which JAX cannot start, expected {CUDA}",
    "gpu": f"found 'gpu', which JAX cannot start, expected {CUDA}",
    "tpu,cpu": "found 'tpu,cpu', which JAX cannot start, expected a TPU and its library, "
    "pip install 'rireid_jax[tpu]'; or cpu",
    "rocm": "found 'rocm', which JAX cannot start, expected JAX's plugin for rocm; or cpu",
    "cdua": "found 'cdua', expected cuda",
    "nosuch": "found 'nosuch', expected cpu, cuda or tpu",
}
# Whoever needs devices, in processes that must not share JAX's state.
_CALLS = """
import sys
import numpy as np
import rireid_jax
from rireid_jax.errors import UserError
from rireid_jax.evaluation import rank
from rireid_jax.parallel import Parallel
calls = (
    lambda: Parallel("pmap"),
    lambda: rireid_jax.Extractor.from_workdir(sys.argv[1]),
    lambda: rireid_jax.Extractor.from_torch(sys.argv[1], "resnet50"),
    lambda: rank(np.eye(2), np.eye(2), [0, 1], [0, 1], [0, 0], [1, 1]),
)
for call in calls:
    try:
        call()
    except UserError as error:
        print(error)
"""


@pytest.mark.parametrize("variable", ["JAX_PLATFORMS", "JAX_PLATFORM_NAME"])
def test_the_variable_and_the_extra_are_named(monkeypatch, variable):
    def fail():
        raise AssertionError  # as JAX does for CUDA

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.setattr(parallel, "_installed", lambda *modules: False)
    for other in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME"):
        monkeypatch.delenv(other, raising=False)
    for value, expected in BACKENDS.items():
        monkeypatch.setenv(variable, value)
        with pytest.raises(UserError) as caught:
            parallel.find_devices()
        assert str(caught.value) == f"{variable}: {expected}"


def test_a_driver_that_is_not_there(monkeypatch):
    def fail():
        raise RuntimeError("no supported devices found for platform CUDA\nmore")

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.setattr(parallel, "_installed", lambda *modules: True)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(UserError, match=r"\(no supported devices .*nvidia-smi.*--gpus all"):
        parallel.find_devices()


def test_a_gpu_that_is_not_used_is_said(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(parallel, "_NVIDIA_DRIVER", str(tmp_path))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    caplog.set_level("WARNING", "rireid_jax.parallel")
    assert not parallel._unused_gpu(jax.devices()[0])
    parallel.Parallel("shard_map")
    assert not caplog.records
    monkeypatch.setattr(parallel, "_unused_gpu", lambda device: True)
    parallel.Parallel("shard_map")
    assert "NVIDIA GPU: pip install 'rireid_jax[cuda13]'" in caplog.text


@pytest.mark.parametrize(
    ("config", "flags"),
    [
        ("joint", ("--config.parallel=shard_map",)),
        ("joint", ("--mode=doctor",)),
        ("ablation", ("--mode=report",)),
    ],
)
def test_a_command_without_its_backend(tmp_path, config, flags):
    folders = (f"--workdir={tmp_path / 'run'}", f"--config.data.dir={tmp_path / 'data'}")
    small = overrides(TINY | FEW_PEDESTRIANS)
    result = run(f"--config=configs/{config}.py", *folders, *small, *flags, JAX_PLATFORMS="cuda")
    assert error_line(result) == f"JAX_PLATFORMS: {BACKENDS['cuda']}"
    assert list(tmp_path.iterdir()) == []


def test_a_variable_that_jax_cannot_read():
    for name, value in (("JAX_NUM_CPU_DEVICES", "two"), ("JAX_ENABLE_X64", "maybe")):
        result = run("--config=configs/joint.py", "--mode=doctor", **{name: value})
        assert error_line(result) == f"{name}: found {value!r}, expected a value that JAX takes"


def test_the_python_interface(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", _CALLS, tmp_path],
        env=environment(JAX_PLATFORMS="cuda"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.stdout.splitlines() == 4 * [f"JAX_PLATFORMS: {BACKENDS['cuda']}"], result.stderr


@pytest.mark.parametrize(("given", "level"), [({}, "3"), ({"TF_CPP_MIN_LOG_LEVEL": "0"}, "0")])
def test_xla_prints_only_what_ends_a_run(given, level, tmp_path, monkeypatch):
    """Not that a compilation is slow, unless the user asks for it."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    config = tmp_path / "level.py"
    config.write_text('import os\nos.write(1, os.environ["TF_CPP_MIN_LOG_LEVEL"].encode())\n')
    assert set(run(f"--config={config}", **given).stdout) == {level}
