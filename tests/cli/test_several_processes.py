"""The command as several processes: they build, train, stop, resume, score and fail together."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import assert_same_bits, committed, wait_until
from command import (
    FEW_PEDESTRIANS,
    ROOT,
    TINY,
    command,
    contents,
    environment,
    error_line,
    overrides,
    start,
)

pytestmark = pytest.mark.multiprocess
STAGE, STEPS = "backbone", 24
FIELDS = {
    **TINY,
    **FEW_PEDESTRIANS,
    "run": "('backbone',)",
    "baseline": "",
    "stages.backbone.epochs": STEPS // 2,  # 16 images in batches of 8
    "stages.backbone.schedule.decay_epochs": "(6,)",
    "checkpoint.every_steps": 4,
    "checkpoint.keep": 100,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("processes")


def flags(folder: Path, workdir: Path) -> list[str]:
    data = f"--config.data.dir={folder / 'data'}"
    return ["--config=configs/rife.py", f"--workdir={workdir}", data, *overrides(FIELDS)]


def free_port(start: int = 0, stop: int = 1) -> int:
    for port in range(start, stop):
        with socket.socket() as sock:
            try:
                sock.bind(("localhost", port))
            except OSError:
                continue
            return sock.getsockname()[1]
    raise AssertionError("no port is free")


def start_two(*own: list[str], **variables: str) -> list[subprocess.Popen[str]]:
    """Starts two processes with flags of their own."""
    together = [f"--coordinator=localhost:{free_port()}", "--num_processes=2"]
    return [start(*own[i], *together, f"--process_id={i}", **variables) for i in range(2)]


def ended(processes: list[subprocess.Popen[str]]) -> list[subprocess.CompletedProcess[str]]:
    results = []
    for process in processes:
        stdout, stderr = process.communicate(timeout=300)
        results.append(
            subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
        )
    return results


def spoken(text: str) -> str:
    """What is printed, but for the collectives' own library."""
    return "".join(line for line in text.splitlines(keepends=True) if "[Gloo]" not in line)


@pytest.fixture(scope="module")
def whole(folder) -> tuple[Path, subprocess.CompletedProcess[str], list[str]]:
    """A run that nothing interrupts, by `launch/slurm.sh` and a stand-in for srun; and srun's options."""
    job = free_port(61440, 65536) - 61440  # JAX takes the port from the number of the job
    options = folder / "srun_options"
    slurm = {
        "SLURM_JOB_ID": str(job),
        "SLURM_NTASKS": "2",
        "SLURM_SUBMIT_DIR": str(ROOT),
        "SLURM_CPUS_PER_TASK": "1",
        "SRUN_OPTIONS": str(options),
        "PYTHON": sys.executable,
        "PATH": f"{ROOT / 'tests' / 'launch'}:{os.environ['PATH']}",
    }
    result = subprocess.run(
        [ROOT / "launch" / "slurm.sh", *flags(folder, folder / "whole")],
        cwd=folder,
        env=environment(1, **slurm),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return folder / "whole", result, options.read_text().split()


def logged(workdir: Path) -> list[dict]:
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        del record["images_per_second"]
    return records


def test_slurm(whole):
    workdir, result, options = whole
    assert options == ["--kill-on-bad-exit=1"]
    # One of the two has built, printed and written.
    assert result.stderr.count("pedestrians: builds") == 1
    assert spoken(result.stdout).count("figures in") == 1
    assert [record["step"] for record in logged(workdir)] == list(range(1, STEPS + 1))
    assert len(list((workdir / "tensorboard").iterdir())) == 1
    results = json.loads((workdir / "results.json").read_text())
    assert results["versions"]["num_devices"] == 2
    assert (results["num_query"], results["num_gallery"]) == (32, 32)
    assert {"restored.png", "ranked.png", "results.txt", "queries.npz", "calibration.json"} <= {
        p.name for p in workdir.iterdir()
    }
    assert not list(workdir.rglob("*tmp*"))


def test_one_process_scores_what_two_have_trained(whole, folder, tmp_path):
    """Whose features were computed in halves, and gathered."""
    workdir, _, _ = whole
    before = json.loads((workdir / "results.json").read_text())
    (one,) = ended([start(*flags(folder, workdir), "--mode=evaluate")])
    assert one.returncode == 0, one.stderr
    after = json.loads((workdir / "results.json").read_text())
    assert after["versions"]["num_devices"] == 1
    for name in ("rank1", "rank5", "mAP", "mINP"):
        assert after[name] == pytest.approx(before[name], abs=0.02)
    for name, value in before["restoration"].items():
        assert after["restoration"][name] == pytest.approx(value, rel=1e-5)


def test_stopped_by_either_process_and_resumed(whole, folder, tmp_path):
    workdir = tmp_path / "run"
    own = flags(folder, workdir)
    at = 0
    for victim in range(2):
        processes = start_two(own, own)
        wait_until(committed(workdir, STAGE, at + 4), processes[0])
        processes[victim].send_signal(signal.SIGTERM)
        results = ended(processes)
        assert [result.returncode for result in results] == [0, 0], results
        last = results[0].stderr.splitlines()[-1]
        assert last.startswith(f"{STAGE}: stopped at step ")
        assert last.endswith(f" of {STEPS}, saved; run the same command to go on")
        assert results[1].stderr == spoken(results[1].stdout) == ""
        at = int(last.split()[4])
        steps = sorted(int(path.name) for path in (workdir / "checkpoints" / STAGE).iterdir())
        assert steps[-1] == at < STEPS, "stopped too late to prove anything"
        regular = set(range(4, at, 4))
        assert regular <= set(steps)
        assert len(steps) - len(regular) <= victim + 1  # one for each time it was stopped
        at -= at % 4

    # `launch/local.sh` to the end.
    result = subprocess.run(
        [ROOT / "launch" / "local.sh", *own],
        env=environment(1, PYTHON=sys.executable),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert f"{STAGE}: resumes at step" in result.stderr
    assert_same_bits(workdir, whole[0], STAGE)
    assert logged(workdir) == logged(whole[0])
    for name in ("restored.png", "ranked.png"):
        assert contents(workdir)[name][0] == contents(whole[0])[name][0]


def test_killed_process_ends_the_other(whole, folder, tmp_path):
    """The first one, through which they talk."""
    workdir = tmp_path / "run"
    own = flags(folder, workdir)
    processes = start_two(own, own)
    wait_until(committed(workdir, STAGE, 4), processes[1])
    processes[0].kill()
    processes[1].wait(timeout=60)
    killed, other = ended(processes)
    assert killed.returncode == -signal.SIGKILL
    assert other.returncode not in (0, 2), other.stderr
    assert committed(workdir, STAGE, 4)()


def test_a_mistake_that_all_make(folder, tmp_path):
    own = [*flags(folder, tmp_path / "run"), "--config.batch_size=7"]
    results = ended(start_two(own, own))
    assert [result.returncode for result in results] == [2, 2]
    assert {result.stderr for result in results} == {
        "",
        "error: config.batch_size: found 7, expected a multiple of the 2 devices\n",
    }
    assert not (tmp_path / "run").exists()


def test_a_mistake_in_one_process_ends_both(folder, tmp_path):
    """Here of the data that a process sees, which the other one waits for."""
    own = flags(folder, tmp_path / "run")
    other = [*own, f"--config.data.dir={tmp_path / 'data'}", "--config.data.recipe.seed=1"]
    results = ended(start_two(own, other))
    assert results[0].returncode == 2
    line = error_line(results[1])
    assert line.startswith("config.data.dir: process 1 found pedestrians of protocol ")
    assert "error" not in results[0].stderr


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--process_id=0"], "--coordinator, --num_processes, --process_id: found some of them"),
        (
            ["--coordinator=x", "--num_processes=2", "--process_id=0"],
            "--coordinator: found 'x', expected HOST:PORT",
        ),
        (
            ["--coordinator=x:1", "--num_processes=2", "--process_id=2"],
            "--process_id: found 2, expected less than 2",
        ),
        (["--num_processes=two"], "--num_processes: found 'two', expected a number from 1 on"),
        (
            ["--distributed", "--mode=report"],
            "--mode report: found with --distributed, expected one process",
        ),
        (
            ["--distributed", "--mode=doctor"],
            "--mode doctor: found with --distributed, expected one process",
        ),
        (["--distributed"], "--distributed: a cluster could not be joined"),
    ],
)
def test_flags_that_do_not_go_together(flags, expected):
    result = subprocess.run(
        command("--config=configs/joint.py", *flags),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert error_line(result).startswith(expected)
