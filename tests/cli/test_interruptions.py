"""Runs that are out of disk go on where they were, to the same bits."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import forked
import pytest
from checkpoints import assert_same_bits, logged, saved
from command import (
    FEW_PEDESTRIANS,
    ROOT,
    TINY,
    command,
    environment,
    error_line,
    overrides,
    start,
)

from rireid_jax.training.checkpoint import Checkpoints

# What a run writes, in the order in which it does, and how often before there is no space left.
FILES = (
    ("/run/.lock", 0),
    ("/run/config.json", 0),
    ("/run/data.json", 0),
    ("/run/tensorboard", 0),
    ("/run/metrics.jsonl", 6),
    ("/run/metrics.jsonl.tmp", 0),  # without what it logged after the checkpoint
    ("/run/checkpoints", 0),
    ("/run/restored.png", 0),
    ("/run/results.txt", 0),
    ("/run/queries.npz", 0),
    ("/run/results.json", 0),
)


def test_no_space_for_any_file(whole_run, tmp_path):
    """Each process ends at the next file, and goes on where the one before had saved."""
    workdir, output, stage = tmp_path / "run", tmp_path / "output", "ffsr_pretrain"
    flags = [
        *whole_run.flags,
        f"--workdir={workdir}",
        f"--config.run=('{stage}',)",
        "--config.baseline=",
    ]
    last: list[int] = []
    for name, spared in FILES:
        process = forked.start(
            *flags,
            output=output,
            full="" if name == "/run/checkpoints" else name,
            spared=spared,
            # As a disk quota: Orbax writes where no hook is.
            file_size=32_000 if name == "/run/checkpoints" else resource.RLIM_INFINITY,
        )
        process.join()
        text = output.read_text()
        assert process.exitcode == 2, text
        lines = [line for line in text.splitlines() if re.match("error|Traceback|.*Error", line)]
        assert lines == text.splitlines()[-1:], text
        assert re.match(f"error: [^ ]*{name}[^ ]*: no space left", lines[0]), text
        if last and "metrics" not in name:
            assert re.search(f"{stage}: (resumes at step {last[0]} |finished before)", text)
        assert saved(workdir, stage)[-1:] >= last
        last = saved(workdir, stage)[-1:]
        if name.startswith("/run/metrics"):
            assert last == [4]

    # What was compiled can be compiled again.
    compiled = tmp_path / "compiled"
    process = forked.start(*flags, output=output, compiled=compiled, full=f"{compiled}/")
    process.join()
    assert process.exitcode == 0, output.read_text()
    assert_same_bits(workdir, whole_run.workdir, stage)
    expected = [r for r in logged(whole_run.workdir) if r["stage"] == stage]
    assert logged(workdir) == expected
    assert json.loads((workdir / "results.json").read_text())["step"] == expected[-1]["step"]


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


def test_a_build_is_stopped_in_a_line(tmp_path):
    """From the command's first lines on, and whatever draws the images."""
    flags = (
        "--config=configs/joint.py",
        f"--config.data.dir={tmp_path / 'data'}",
        "--config.data.recipe.train_identities=2000",  # more than can be drawn in a minute
        "--config.data.build_threads=2",
        "--mode=build",
    )
    for number, pattern in ((signal.SIGTERM, ""), (signal.SIGINT, f"*-00000.{'?' * 32}")):
        process = start(*flags, start_new_session=True)
        status = Path(f"/proc/{process.pid}/status")
        deadline = time.monotonic() + 60
        # The mask of signals that it handles, of which SIGTERM is the 15th.
        while not int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16) >> 14 & 1 or (
            pattern and not list(tmp_path.rglob(pattern))
        ):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, number)
        _, stderr = process.communicate(timeout=60)  # its workers hold the pipes too
        assert process.returncode == 128 + number
        line = f"{number.name}: stopped, nothing had to be saved; run the same command to go on"
        assert stderr.splitlines()[-1] == line
