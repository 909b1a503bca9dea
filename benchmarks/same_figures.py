"""Checks that a change of the code changes no figure, with the same runs by an earlier commit and by this one.

    python benchmarks/same_figures.py [RUN ...] [--before=COMMIT] [--folder=FOLDER]

Each run is made twice on the same built data, by `COMMIT` in a temporary worktree and by the working tree. The two
`results.json` must be equal to the last digit, except for config, versions, seconds and comparison. Runs that `FOLDER`
already holds are not repeated. All runs take about 50 minutes on two idle cores; `joint_short` alone takes three.

Fields have moved since, so the two versions need different flags (`_EPOCH`, `_TRICKS`). In the earlier version the
stage `backbone` of configs/strong.py shared the tricks of the other stages. Tricks are now settings of a stage, so the
later version gets them by flags for `backbone`, and everything else can be compared.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

BEFORE = flags.DEFINE_string("before", "99a42b3", "Commit to compare with.")
FOLDER = flags.DEFINE_string("folder", "runs/same-figures", "Where runs, logs and data go.")
ROOT = Path(__file__).parents[1]
_IGNORED = (
    "config",
    "seconds",
    "versions",
    "comparison",
)  # the last follows from the others' queries

# Flags that cut a stage to one epoch, in the earlier and in the later version.
_EPOCH = (
    ("--config.stages.{}.epochs=1", "--config.stages.{}.decay_epochs=()"),
    ("--config.stages.{}.epochs=1", "--config.stages.{}.schedule.decay_epochs=()"),
)
# Settings that configs/strong.py made for all stages in the earlier version.
_TRICKS = [
    f"--config.stages.backbone.{field}"
    for field in (
        "neck=batch_norm",
        "last_stride=1",
        "images_per_identity=4",
        "losses.identity.smoothing=0.1",
        "losses.triplet.weight=1.0",
        "augmentation.degrade=0.5",
        "augmentation.degrade_targets=0.5",
    )
]
# By name: the config, the stages that are cut to one epoch, and flags for the later version.
RUNS: dict[str, tuple[str, str, list[str]]] = {
    "joint_short": ("joint.py", "backbone ffsr_pretrain ffsr rife joint baseline", []),
    "joint": ("joint.py", "", []),
    "released": ("released.py", "released", []),
    "strong": ("strong.py", "backbone ffsr_pretrain ffsr strong_joint strong", _TRICKS),
    "srcnn": ("ablation.py:srcnn", "", []),
    "csr_gan": ("ablation.py:csr_gan", "", []),
    "sing": ("ablation.py:sing", "", []),
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
    differing = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    rates = f"Rank-1 {before['rank1']!r} and {after['rank1']!r}"
    verdict = f"differ in {', '.join(differing)}" if differing else "are equal to the last digit"
    print(f"{name}: {len(before)} fields {verdict} ({rates})", flush=True)
    return not differing


def _results(name: str, version: int, code: Path, folder: Path) -> dict[str, object]:
    """Returns the figures of a run by the earlier (0) or the later (1) version, and runs it first if necessary."""
    config, stages, changes = RUNS[name]
    workdir = folder / ("before", "after")[version] / name
    path = workdir / "results.json"
    if not path.exists():
        command = [sys.executable, "-m", "rireid_jax.main", "--config", f"configs/{config}"]
        command += [f"--config.data.dir={folder / 'data'}", f"--workdir={workdir}"]
        command += [flag.format(stage) for stage in stages.split() for flag in _EPOCH[version]]
        command += changes if version else []
        print(f"{name} {('before', 'after')[version]}: runs in {workdir}", flush=True)
        workdir.mkdir(parents=True, exist_ok=True)
        with (workdir / "log.txt").open("w") as log:
            environment = {**os.environ, "PYTHONPATH": str(code)}
            subprocess.run(command, cwd=code, env=environment, stdout=log, stderr=log, check=True)
    results = json.loads(path.read_text())
    return {key: value for key, value in results.items() if key not in _IGNORED}


if __name__ == "__main__":
    app.run(main)
