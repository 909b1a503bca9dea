"""Starts the command as a user does, in processes of its own, on networks that compile fast."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Networks of the paper's shape that fit into a second of compilation or so.
TINY = {
    "data.image_size": "(32,16)",
    "data.workers": 0,
    "data.validation": 0.0,
    "natural_images.size": "(32,16)",
    "natural_images.count": 24,
    "model.width": 0.125,
    "model.ffsr_width": 0.125,
    "model.stage_sizes": "(1,1,1,1)",
    "batch_size": 8,
    "eval.batch_size": 24,
    "log_every": 1,
    # Batches of eight images diverge at the rates of real ones.
    "stages.rife.optimizer.extractor.rate": 0.05,
    "stages.baseline.optimizer.extractor.rate": 0.05,
    "stages.joint.optimizer.extractor.rate": 0.05,
    "stages.joint.optimizer.super_resolution.rate": 0.001,
}
# Eight identities before two cameras, for training and for testing.
FEW_PEDESTRIANS = {
    "data.recipe.train_identities": 8,
    "data.recipe.test_identities": 8,
    "data.recipe.cameras": 2,
    "data.recipe.train_shots": 1,
    "data.recipe.height": 32,
    "data.recipe.width": 16,
    "data.recipe.min_width": 4,
}
_LOG = re.compile(r"\d\d:\d\d:\d\d ")


def overrides(fields: Mapping[str, object]) -> list[str]:
    """Fields of the config as flags."""
    return [f"--config.{name}={value}" for name, value in fields.items()]


def command(*flags: str | Path) -> list[str]:
    """The command as a list of arguments."""
    return [sys.executable, "-m", "rireid_jax.main", *map(str, flags)]


def environment(devices: int = 1, **variables: str) -> dict[str, str]:
    """This process's environment with so many virtual devices, and with fast compilation."""
    jax = {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    return {**os.environ, **jax, **variables}


def start(
    *flags: str | Path, devices: int = 1, start_new_session: bool = False, **variables: str
) -> subprocess.Popen[str]:
    """Starts the command; its output is read by `communicate`."""
    return subprocess.Popen(
        command(*flags),
        cwd=ROOT,
        env=environment(devices, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
    )


def run(*flags: str | Path, devices: int = 1, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    process = start(*flags, devices=devices, **variables)
    stdout, stderr = process.communicate(timeout=900)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def succeed(*flags: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs the command, which must end well."""
    result = run(*flags, **options)  # type: ignore[arg-type]
    assert result.returncode == 0, result.stderr
    return result


def error_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that ends with a user's mistake; our own log may come before it."""
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if not _LOG.match(line)]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def only_line(result: subprocess.CompletedProcess[str]) -> str:
    """As `error_line`, of a mistake that is found before anything is done and logged."""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stdout == ""
    return error_line(result)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder: its bytes, and when it was written."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
