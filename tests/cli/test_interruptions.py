"""Runs that are stopped, killed or out of disk go on where they were, to the same bits."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
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
    succeed,
)

from rireid_jax.training.checkpoint import Checkpoints


def logged(workdir: Path) -> list[dict]:
    """The records of metrics.jsonl without what depends on the machine."""
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        del record["images_per_second"]
    return records


def test_stopped_and_killed_run_ends_at_the_same_bits(whole_run, tmp_path):
    workdir = tmp_path / "run"
    # FFSR first; the baseline would add nothing but time.
    stages = ("ffsr_pretrain", "ffsr", "rife", "joint")
    flags = [
        *whole_run.flags,
        f"--workdir={workdir}",
        f"--config.run={stages}",
        "--config.baseline=",
    ]
    rng = random.Random(0)

    process = start(*flags)
    wait_until(committed(workdir, "ffsr", 4), process)
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    last = stderr.splitlines()[-1]
    assert last.startswith("ffsr: stopped at step ")
    assert last.endswith(" of 48, saved; run the same command to go on")
    with Checkpoints(str(workdir), "ffsr") as checkpoints:
        assert last.split()[4] == str(checkpoints.steps[-1])
    assert not (workdir / "results.json").exists()
    finished = contents(workdir / "checkpoints" / "ffsr_pretrain")

    for stage, step in (("rife", 8), ("joint", 4)):
        process = start(*flags)
        wait_until(committed(workdir, stage, step), process)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate(timeout=60)
        assert not committed(workdir, stage, 48)(), "killed too late to prove anything"

    result = succeed(*flags)
    assert "joint: resumes at step" in result.stderr
    assert "rife: finished before" in result.stderr
    assert contents(workdir / "checkpoints" / "ffsr_pretrain") == finished
    for stage in stages:
        assert_same_bits(workdir, whole_run.workdir, stage)
    # Every step is logged once, whatever was logged and lost in between.
    uninterrupted = logged(whole_run.workdir)
    assert logged(workdir) == [r for s in stages for r in uninterrupted if r["stage"] == s]
    ours, theirs = json.loads((workdir / "results.json").read_text()), whole_run.results
    for key in ("seconds", "baseline", "config"):
        del ours[key], theirs[key]
    assert ours == theirs


# Bytes of a file: room for logs, not for a checkpoint.
_SMALL_FILES = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (32_000, 32_000))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_file_too_large(whole_run, tmp_path):
    """What a disk quota or a full disk does, by a limit on the size of a file."""
    workdir = tmp_path / "run"
    shutil.copytree(whole_run.workdir, workdir)
    shutil.rmtree(workdir / "checkpoints" / "ffsr")
    (workdir / "metrics.jsonl").unlink()
    flags = [
        *whole_run.flags,
        f"--workdir={workdir}",
        "--config.run=('ffsr_pretrain', 'ffsr')",
        "--config.baseline=",
    ]
    before = contents(workdir / "checkpoints")

    result = subprocess.run(
        [sys.executable, "-c", _SMALL_FILES, *command(*flags)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=900,
    )
    message = error_line(result)
    assert str(workdir / "checkpoints" / "ffsr") in message
    assert "no space left" in message
    assert before.items() <= contents(workdir / "checkpoints").items()
    with Checkpoints(str(workdir), "ffsr") as checkpoints:
        assert checkpoints.steps == []

    succeed(*flags)
    assert_same_bits(workdir, whole_run.workdir, "ffsr")


_FULL_DISK = """
mount -t tmpfs -o size=1500k none "$DISK" || exit 77
"$@" >"$OUT/full.stdout" 2>"$OUT/full.stderr"
echo $? >"$OUT/full.status"
cp -a "$DISK" "$OUT/full"
mount -o remount,size=100m none "$DISK" || exit 77
"$@" >"$OUT/free.stdout" 2>"$OUT/free.stderr"
echo $? >"$OUT/free.status"
cp -a "$DISK" "$OUT/free"
"""


def test_full_disk(tmp_path):
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    epochs = {"stages.ffsr_pretrain.epochs": 2, "stages.ffsr.epochs": 2}
    flags = [
        "--config=configs/ffsr.py",
        f"--workdir={disk / 'run'}",
        f"--config.data.dir={tmp_path / 'data'}",
        *overrides(TINY | FEW_PEDESTRIANS | epochs),
        "--config.checkpoint.every_steps=1",
        "--config.checkpoint.keep=100",
    ]
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, to mount a file system that nobody else sees")
    # A file system of our own, which nobody else sees.
    shell = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", _FULL_DISK, "sh", *command(*flags)],
        cwd=ROOT,
        env=environment(DISK=str(disk), OUT=str(out)),
        capture_output=True,
        text=True,
        timeout=900,
    )
    if not (out / "full").exists():
        pytest.skip(f"cannot mount a file system of its own here: {shell.stderr.strip()}")

    def ended(name: str) -> subprocess.CompletedProcess[str]:
        status = int((out / f"{name}.status").read_text())
        texts = [(out / f"{name}.{stream}").read_text() for stream in ("stdout", "stderr")]
        return subprocess.CompletedProcess([], status, *texts)

    message = error_line(ended("full"))
    assert "no space left" in message
    assert str(disk / "run") in message
    saved = {}
    for stage in ("ffsr_pretrain", "ffsr"):
        if not (out / "full" / "run" / "checkpoints" / stage).exists():
            continue
        with Checkpoints(str(out / "full" / "run"), stage, keep=100) as checkpoints:
            for step in checkpoints.steps:
                checkpoints.load_variables(step)
            saved[stage] = checkpoints.steps
    assert saved["ffsr_pretrain"][:2] == [1, 2]

    assert ended("free").returncode == 0, ended("free").stderr
    workdir = out / "free" / "run"
    steps = [(record["stage"], record["step"]) for record in logged(workdir)]
    # 24 natural images and 16 pedestrians in batches of 8.
    assert steps == [("ffsr_pretrain", s) for s in range(1, 7)] + [("ffsr", s) for s in range(1, 5)]
    results = json.loads((workdir / "results.json").read_text())
    assert results["stage"] == "ffsr"
    assert results["baseline"] is None
    # It restores, and extracts nothing.
    for name in ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP"):
        assert results[name] is None
    assert results["by_resolution"] == []
    for name in ("psnr", "psnr_bilinear", "psnr_foreground", "psnr_foreground_bilinear"):
        assert 5 < results["restoration"][name] < 60
    assert (workdir / "restored.png").exists()
    assert not (workdir / "ranked.png").exists()
    table = (workdir / "results.txt").read_text()
    assert "\nbilinear " in table


def test_a_build_that_is_terminated_leaves_nothing(tmp_path):
    flags = (
        "--config=configs/joint.py",
        f"--config.data.dir={tmp_path / 'data'}",
        "--config.data.recipe.train_identities=2000",  # more than can be drawn in a minute
        "--mode=build",
    )
    process = start(*flags)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.plan")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not list((tmp_path / "data").rglob("*"))
