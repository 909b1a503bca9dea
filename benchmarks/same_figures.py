"""Checks that a change of the code changes no figure, with the same runs by a commit and by the working tree.

    python benchmarks/same_figures.py [RUN ...] [--before=COMMIT] [--folder=FOLDER]

Each run is made twice on the same built data, by `COMMIT` in a temporary worktree and by the working tree. All figures
that both `results.json` hold must be equal to the last digit. Runs that `FOLDER` already holds are not repeated. All
runs take about an hour on two idle cores; `joint_short` alone takes five minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

BEFORE = flags.DEFINE_string("before", "HEAD", "Commit to compare with.")
FOLDER = flags.DEFINE_string("folder", "runs/same-figures", "Where runs, logs and data go.")
ROOT = Path(__file__).parents[1]
_IGNORED = ("config", "seconds", "versions")

# Flags that cut a stage to one epoch.
_EPOCH = ("--config.stages.{}.epochs=1", "--config.stages.{}.schedule.decay_epochs=()")
# By name: the config, and the stages that are cut to one epoch.
RUNS: dict[str, tuple[str, str]] = {
    "joint_short": ("joint.py", "backbone ffsr_pretrain ffsr rife joint baseline"),
    "joint": ("joint.py", ""),
    "released": ("released.py", "released"),
    "strong": ("strong.py", "backbone ffsr_pretrain ffsr strong_joint strong"),
    "srcnn": ("ablation.py:srcnn", ""),
    "csr_gan": ("ablation.py:csr_gan", ""),
    "sing": ("ablation.py:sing", ""),
}


def main(argv: list[str]) -> None:
    names = argv[1:] or list(RUNS)
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        raise app.UsageError(f"found {unknown[0]!r}, expected some of {', '.join(RUNS)}")
    folder = Path(FOLDER.value).absolute()
    with tempfile.TemporaryDirectory() as scratch:
        earlier = Path(scratch) / "before"
        git = ("git", "-C", str(ROOT), "worktree")
        subprocess.run([*git, "add", "--detach", "--quiet", earlier, BEFORE.value], check=True)
        try:
            same = [_compare(name, earlier, folder) for name in names]
        finally:
            subprocess.run([*git, "remove", "--force", earlier], check=True)
    sys.exit(0 if all(same) else 1)


def _compare(name: str, earlier: Path, folder: Path) -> bool:
    before, after = (
        _results(name, version, code, folder) for version, code in enumerate((earlier, ROOT))
    )
    shared = sorted(before.keys() & after.keys())
    differing = [key for key in shared if before[key] != after[key]]
    rates = f"Rank-1 {before['rank1']!r} and {after['rank1']!r}"
    verdict = f"differ in {', '.join(differing)}" if differing else "are equal to the last digit"
    print(f"{name}: {len(shared)} fields {verdict} ({rates})", flush=True)
    return not differing


def _results(name: str, version: int, code: Path, folder: Path) -> dict[str, object]:
    """Returns the figures of a run by the earlier (0) or the later (1) version, and runs it first if necessary."""
    config, stages = RUNS[name]
    workdir = folder / ("before", "after")[version] / name
    path = workdir / "results.json"
    if not path.exists():
        command = [sys.executable, "-m", "rireid_jax.main", "--config", f"configs/{config}"]
        command += [f"--config.data.dir={folder / 'data'}", f"--workdir={workdir}"]
        command += [flag.format(stage) for stage in stages.split() for flag in _EPOCH]
        print(f"{name} {('before', 'after')[version]}: runs in {workdir}", flush=True)
        workdir.mkdir(parents=True, exist_ok=True)
        with (workdir / "log.txt").open("w") as log:
            environment = {**os.environ, "PYTHONPATH": str(code)}
            subprocess.run(command, cwd=code, env=environment, stdout=log, stderr=log, check=True)
    results = json.loads(path.read_text())
    return {key: value for key, value in results.items() if key not in _IGNORED}


if __name__ == "__main__":
    app.run(main)
