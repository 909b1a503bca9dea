"""A run that is killed at many moments, and asked to stop once, ends at the bits of one that was not."""

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import forked
from checkpoints import assert_same_bits, logged, saved
from command import contents

STAGES = ("ffsr_pretrain", "ffsr", "backbone", "rife", "joint")
EVERY = 4  # config.checkpoint.every_steps of the shared run

Event = Callable[[], bool]


def moments(
    rng: random.Random, workdir: Path, data: Path, output: Path, steps: dict[str, int]
) -> Iterator[tuple[Event, float]]:
    """Twenty moments of a run in their order, each an event and seconds after it.

    Two are before the training, two while evaluating, and four in every stage but `backbone`, which is trained as
    `rife` is: when a step is logged, or a checkpoint begun or complete.
    """
    yield (lambda: True), rng.uniform(0, 1)
    # While something is being built. What a build holds for a moment only, such as a plan, might never be seen.
    yield (lambda: any(data.rglob("*"))), rng.uniform(0, 0.1)
    for stage, last in steps.items():
        if stage == "backbone":
            continue
        events: list[Event] = []
        for step in range(1, last + 1):
            line = f'"stage": "{stage}", "step": {step},'
            events.append(lambda line=line: line in text_of(workdir / "metrics.jsonl"))
            if step % EVERY == 0 or step == last:
                begun = workdir / "checkpoints" / stage / f"{step}.orbax-checkpoint-tmp"
                complete = workdir / "checkpoints" / stage / str(step)
                events.append(lambda b=begun, c=complete: b.exists() or c.exists())
                events.append(complete.exists)
        for place in sorted(rng.sample(range(len(events)), 4)):
            yield events[place], rng.uniform(0, 0.1)
    yield (lambda: "joint: evaluates step" in text_of(output)), rng.uniform(0, 0.5)
    yield (workdir / "restored.png").exists, 0


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def flags_of(whole_run, workdir: Path) -> list[str]:
    """Of its stages again, but for the baseline, which would add nothing but time."""
    run = f"--config.run={STAGES}"
    return [*whole_run.flags, f"--workdir={workdir}", run, "--config.baseline="]


def finish(whole_run, flags: list[str], output: Path) -> None:
    process = forked.start(*flags, output=output)
    process.join()
    assert process.exitcode == 0, output.read_text()


def assert_same_results(workdir: Path, whole_run) -> None:
    ours, theirs = json.loads((workdir / "results.json").read_text()), whole_run.results
    for key in ("seconds", "baseline", "comparison", "config"):
        del ours[key], theirs[key]
    assert ours == theirs


def wait_for(event: Event, process: ForkServerProcess, output: Path) -> None:
    deadline = time.monotonic() + 300
    while not event():
        assert process.is_alive(), output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.002)


def test_killed_at_twenty_moments(whole_run, tmp_path):
    workdir, data, output = tmp_path / "run", tmp_path / "data", tmp_path / "output"
    flags = [*flags_of(whole_run, workdir), f"--config.data.dir={data}"]
    uninterrupted = logged(whole_run.workdir)
    steps = {s: max(r["step"] for r in uninterrupted if r["stage"] == s) for s in STAGES}
    before = dict.fromkeys(STAGES, 0)  # the last step saved
    finished: dict[str, dict[str, tuple[bytes, int]]] = {}  # the files of last checkpoints

    def check() -> None:
        """That a process has gone on where the one before had saved, and what it leaves."""
        text = output.read_text()
        for stage, step in re.findall(r"(\w+): resumes at step (\d+) of", text):
            assert int(step) == before[stage]
        assert finished.keys().isdisjoint(re.findall(r"(?m)^[\d:]+ (\w+) +step ", text))
        for stage in STAGES:
            before[stage] = max(saved(workdir, stage), default=0)
            if before[stage] == steps[stage]:
                files = contents(workdir / "checkpoints" / stage / str(steps[stage]))
                assert files == finished.setdefault(stage, files)
            # Steps lost are those of an interval, and those made while the save before was being written,
            # which is complete before the next one begins.
            done = max((r["step"] for r in logged(workdir) if r["stage"] == stage), default=0)
            assert done - before[stage] <= 2 * EVERY

    def interrupt(number: signal.Signals, event: Event, delay: float) -> int | None:
        process = forked.start(*flags, output=output)
        wait_for(event, process, output)
        time.sleep(delay)
        os.kill(process.pid, number)
        process.join()
        check()
        return process.exitcode

    def trains_ffsr() -> bool:
        return re.search(" ffsr +step ", text_of(output)) is not None

    kills = 0
    for event, delay in moments(random.Random(0), workdir, data, output, steps):
        assert interrupt(signal.SIGKILL, event, delay) == -signal.SIGKILL
        kills += 1
        if kills == 6:  # next is "ffsr"
            assert interrupt(signal.SIGTERM, trains_ffsr, 0) == 0
            assert output.read_text().splitlines()[-1] == (
                f"ffsr: stopped at step {before['ffsr']} of 24, saved; run the same command to go on"
            )
            assert logged(workdir)[-1]["step"] == before["ffsr"]
    assert kills == 20

    finish(whole_run, flags, output)
    check()
    for stage in STAGES:
        assert_same_bits(workdir, whole_run.workdir, stage)
    # Every step is logged once, whatever was logged and lost in between.
    assert logged(workdir) == [r for s in STAGES for r in uninterrupted if r["stage"] == s]
    assert_same_results(workdir, whole_run)


def test_finished_stages_that_are_damaged(whole_run, tmp_path):
    """One goes on from the checkpoint before, one without any is trained again, and no other stage is."""
    workdir, output = tmp_path / "run", tmp_path / "output"
    shutil.copytree(whole_run.workdir, workdir)
    (workdir / "results.json").unlink()
    checkpoints = workdir / "checkpoints"
    for path in checkpoints.glob("ffsr_pretrain/*/variables/manifest.ocdbt"):
        path.write_bytes(path.read_bytes()[:50])
    (checkpoints / "rife" / "24" / "variables" / "_METADATA").unlink()
    others = {stage: contents(checkpoints / stage) for stage in ("ffsr", "joint")}

    finish(whole_run, flags_of(whole_run, workdir), output)
    text = output.read_text()
    assert f"{checkpoints}/ffsr_pretrain/12 is damaged and skipped: " in text
    assert "ffsr_pretrain: resumes" not in text
    assert f"{checkpoints}/rife/24 is damaged and skipped: " in text
    assert "rife: resumes at step 20 of 24" in text
    assert others == {stage: contents(checkpoints / stage) for stage in others}
    for stage in STAGES:
        assert_same_bits(workdir, whole_run.workdir, stage)
    assert_same_results(workdir, whole_run)
