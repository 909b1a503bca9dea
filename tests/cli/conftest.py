"""One whole run, shared by all tests of all pytest workers."""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import TINY, overrides, succeed
from raw_folders import write_market_folder

# A package called tensorflow that writes down who imports it.
_SENTINEL = """
import os, traceback
with open(os.environ["TENSORFLOW_IMPORTS"], "a") as file:
    traceback.print_stack(file=file)
raise ImportError("not here")
"""


@dataclass(frozen=True)
class WholeRun:
    """What `--mode build` and then training left of all stages on a folder like Market-1501.

    Attributes:
      folder: holds everything.
      flags: of both commands.
      build_output: what `--mode build` printed.
      train_output: what training printed.
      train_log: what training logged.
    """

    folder: Path
    flags: list[str]
    build_output: str
    train_output: str
    train_log: str

    @property
    def workdir(self) -> Path:
        return self.folder / "run"

    @property
    def tensorflow_imports(self) -> Path:
        return self.folder / "tensorflow_imports"

    @property
    def results(self) -> dict[str, Any]:
        return json.loads((self.workdir / "results.json").read_text())


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory) -> WholeRun:
    """`configs/joint.py:vr_market1501,small`, built, trained and evaluated by the command."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    with open(folder / "whole_run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _run_or_wait_for_it(folder / "whole_run")


def _run_or_wait_for_it(folder: Path) -> WholeRun:
    # Spaces and other scripts: paths as people have them.
    raw = folder / "für Tests 人" / "Market-1501-v15.09.15"
    epochs = {"ffsr_pretrain": 4, "ffsr": 6, "backbone": 3, "rife": 6, "joint": 6, "baseline": 3}
    flags = [
        "--config=configs/joint.py:vr_market1501,small",
        f"--config.data.raw_dir={raw}",
        f"--config.data.dir={folder / 'data'}",
        *overrides(TINY | {f"stages.{stage}.epochs": n for stage, n in epochs.items()}),
        "--config.stages.rife.schedule.decay_epochs=(3,)",
        "--config.checkpoint.every_steps=4",
    ]
    outputs = folder / "outputs.json"
    if not outputs.exists():
        folder.mkdir()
        write_market_folder(
            raw, range(1, 9), range(9, 17), shots=2, distractors=2, junk=1, size=(64, 32)
        )
        package = folder / "path" / "tensorflow"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(_SENTINEL)
        environment = {
            "PYTHONPATH": str(package.parent),
            "TENSORFLOW_IMPORTS": str(folder / "tensorflow_imports"),
        }
        built = succeed(*flags, "--mode=build", **environment)
        trained = succeed(*flags, f"--workdir={folder / 'run'}", **environment)
        outputs.write_text(json.dumps([built.stdout, trained.stdout, trained.stderr]))
    return WholeRun(folder, flags, *json.loads(outputs.read_text()))
