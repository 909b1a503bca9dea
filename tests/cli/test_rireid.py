"""The command `rireid`: its help, and a work directory in place of a config."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import environment, error_line

from rireid_jax.cli import stored_config
from rireid_jax.cli.rireid import help_text, modes_arguments
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError

STORED = f"--config={stored_config.__file__}:"


def rireid(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "from rireid_jax.main import rireid; rireid()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("build --config joint:folder", "--mode=build --config joint:folder"),
        ("train --print-config --config x", "--mode=train --print_config --config x"),
        ("evaluate run", f"--mode=evaluate {STORED}run --workdir=run"),
        ("train run", f"--mode=train {STORED}run --workdir=run"),
        (
            "evaluate run/ --on joint:mlr_viper/vpfa,small --config.data.raw_dir=x",
            f"--mode=evaluate {STORED}run/::mlr_viper/vpfa --workdir=run/on/mlr_viper-vpfa "
            "--config.data.raw_dir=x",
        ),
        (
            "train --from run --config.seed=1",
            f"--mode=train {STORED}CWD/run --workdir=CWD/run-continued --config.seed=1 "
            "--config.init.workdir=CWD/run",
        ),
        (
            "train --from=run --config joint:folder --workdir new",
            "--mode=train --config joint:folder --workdir new --config.init.workdir=CWD/run",
        ),
    ],
)
def test_modes(given, expected):
    assert modes_arguments(given.split())[1:] == expected.replace("CWD", os.getcwd()).split()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("build run", "rireid build: found 'run', expected flags"),
        ("train run --on folder", "--on: found with rireid train"),
        ("train run --from other", "--from: found with rireid train run"),
        ("evaluate run --config x", "--config: found with run"),
        ("train --from", "--from: found no value"),
    ],
)
def test_modes_that_do_not_go_together(given, problem):
    with pytest.raises(UserError, match=f"^{problem}"):
        modes_arguments(given.split())


def test_help_names_every_command_and_needs_nothing_heavy(tmp_path):
    text = help_text()
    for name in ("train", "evaluate", "build", "doctor", "report", *COMMANDS):
        assert f"\n  {name} " in text
        assert f"\n  rireid {name} " in text or name in ("build", "doctor", "report")
    code = (
        "import sys; from rireid_jax.main import rireid; sys.argv = ['rireid', '--help']; rireid();"
        "print({'jax', 'orbax', 'tensorflow_datasets', 'pymilvus', 'gradio'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert result.stdout == f"{text}\nset()\n", result.stderr


def test_mistakes_are_one_line(tmp_path):
    for arguments in (["nosuch"], ["evaluate", "nosuch"], ["train", "--config", "jiont:folder"]):
        assert arguments[-1].partition(":")[0] in error_line(rireid(*arguments, cwd=tmp_path))


def test_a_work_directory_is_scored_from_any_folder(whole_run, tmp_path):
    before = whole_run.results
    flags = [
        f"--config.data.raw_dir={before['config']['data']['raw_dir']}",
        "--config.data.recipe.seed=7",
    ]
    on = rireid(
        *("-q", "evaluate", whole_run.workdir, "--on", "joint:vr_market1501"), *flags, cwd=tmp_path
    )
    assert on.returncode == 0, on.stderr
    assert "evaluates step" not in on.stderr  # -q: warnings alone
    assert "on/vr_market1501/results.json" in on.stdout
    assert whole_run.results == before
    printed = rireid("train", "--print-config", "--config", "joint:folder,small", cwd=tmp_path)
    assert "--config.size=small\n" in printed.stdout
    assert [path.name for path in tmp_path.iterdir()] == []
