"""Mistakes on the command line: one line, exit status 2, and at once."""

import subprocess
import sys
from pathlib import Path

import forked
import pytest
from command import ROOT, environment
from forked import error_line

CONFIG = "--config=configs/joint.py"
MISTAKES = [
    ([], "--config: not given, expected a file such as configs/joint.py"),
    (["--workdir=x"], "--config: not given"),
    (["--config.seed=1"], "--config: not given"),
    (["--config"], "--config"),
    (["--config=nosuch.py"], "--config: found no file nosuch.py"),
    (["--config", "nosuch.py", "--config.seed=1"], "--config: found no file nosuch.py"),
    (["--config=configs"], "--config: found configs, expected a Python file"),
    (["--config=pyproject.toml"], "--config: found pyproject.toml, expected a Python file"),
    (["--config=configs/joint.py:NOSUCH"], "found 'NOSUCH', expected one of caviar, folder, "),
    (
        ["--config=configs/joint.py:mlr_viper/sing"],
        "found 'mlr_viper/sing', expected mlr_viper/di_reid or mlr_viper/vpfa",
    ),
    (["--config=configs/joint.py:vr_msmt17/x"], "found 'vr_msmt17/x', expected vr_msmt17"),
    (
        ["--config=configs/joint.py:vr_msmt17,tiny"],
        "found 'vr_msmt17,tiny', expected vr_msmt17,small or vr_msmt17,paper",
    ),
    (
        [CONFIG + ":vr_msmt17", "--config.size=small"],
        "--config.size: found 'small', expected the size after the data set, as in --config "
        "configs/joint.py:vr_msmt17,small",
    ),
    # A preset or a size is another experiment, in a folder of its own.
    (
        ["--config=configs/rife.py:folder,small", "--mode=evaluate"],
        "runs/rife-folder-small: found no config.json",
    ),
    (
        ["--config=configs/rife.py:folder,paper", "--mode=evaluate"],
        "runs/rife-folder: found no config.json",
    ),
    (
        ["--config=configs/rife.py:mlr_viper/vpfa", "--mode=evaluate"],
        "runs/rife-mlr_viper-vpfa: found no config.json",
    ),
    (
        [CONFIG + ":mlr_viper", "--config.data.trials=(0,-1)"],
        "config.data.trials: found (0, -1)",
    ),
    ([CONFIG + ":vr_msmt17", "--config.data.trials=(0,)"], "config.data.trials: found (0,)"),
    (
        [CONFIG + ":mlr_viper", "--config.data.recipe.low_camera=a"],
        "config.data.recipe.low_camera: found 'a', expected the number of a camera",
    ),
    (
        [CONFIG + ":mlr_viper", "--config.data.recipe.ratio_draw=fair"],
        "config.data.recipe.ratio_draw: found 'fair', expected one of 'even', 'independent'",
    ),
    (
        [CONFIG + ":mlr_viper", "--config.data.recipe.ratios=(0,)"],
        "config.data.recipe.ratios: found (0,), expected whole numbers n of at least 1",
    ),
    ([CONFIG, "--nosuch=1"], "--nosuch: found an unknown flag, expected --config, "),
    ([CONFIG, "--wrokdir=x"], "--wrokdir: found an unknown flag, expected --workdir"),
    ([CONFIG, "--mode=trian"], "--mode: found 'trian', expected one of train, evaluate, build"),
    ([CONFIG, "train"], "found 'train', expected flags only"),
    (["configs/joint.py"], "found 'configs/joint.py', expected flags only"),
    ([CONFIG, "--workdir"], "--workdir"),
    (["--config.seed=1", CONFIG], "--config.seed=1"),
    # Paths that no shell has expanded.
    (["--config=~nosuchuser/x.py"], "--config: found '~nosuchuser/x.py' without a user's folder"),
    (["--config=$HOME/nosuch.py"], f"--config: found no file {Path.home()}/nosuch.py"),
    (["--config", "~/nosuch.py:folder"], f"--config: found no file {Path.home()}/nosuch.py"),
    ([CONFIG, "--workdir=$NOSUCH/x"], "--workdir: found '$NOSUCH/x' without a variable $NOSUCH"),
    (
        [CONFIG, "--config.data.dir=~nosuchuser"],
        "config.data.dir: found '~nosuchuser' without a user's",
    ),
    (
        [CONFIG, "--workdir=~/nosuch", "--mode=evaluate"],
        f"{Path.home()}/nosuch: found no config.json",
    ),
    # Unknown fields.
    (
        [CONFIG, "--config.checkpoint.kepp=5"],
        "--config.checkpoint.kepp: found an unknown field, expected --config.checkpoint.keep",
    ),
    ([CONFIG, "--config.keep=1"], "expected --config.checkpoint.keep"),
    ([CONFIG, "--config.epochs=1"], ".epochs or --config.stages."),
    ([CONFIG, "--config.zzz=1"], "expected a field of config: baseline, batch_size, "),
    (
        [CONFIG, "--config.eval.zzzzzzzz=1"],
        "a field of config.eval: batch_size, bins, every_epochs",
    ),
    ([CONFIG, "--config.seed.zzz=1"], "--config.seed.zzz: found an unknown field"),
    # Spelled in other ways, which ml_collections fails at in ways of its own.
    *(
        (
            [CONFIG, *flags],
            f"{flags[0].partition('=')[0]}: found an unknown {kind}, expected {field}",
        )
        for kind, field, *spellings in (
            (
                *("field", "--config.batch_size"),
                *(
                    ["--config.batch-size=4"],
                    ["--config.batch-size", "4"],
                    ["--config.BatchSize=4"],
                ),
                *(
                    ["--config.batch_size:4"],
                    ["--config..batch_size=4"],
                    ["--config.batch_size.x=4"],
                ),
            ),
            ("field", "a field of config: baseline, ", ["--config.=4"]),
            ("field", "the flag --workdir", ["--config.workdir=x"]),
            (
                *("field", "a field of config.stages.joint.losses: "),
                ["--config.stages.joint.losses.nosuch.weight=1"],
            ),
            ("field", "--config.data.dir", ["--config.data.dir.x=4"], ["--config.data.dri=x"]),
            (
                *("field", "--config.stages.joint.optimizer.extractor.weight_decay"),
                ["--config.stages.joint.optimizer.extractor.weight-decay=1", "--config.seed=5"],
            ),
            (
                *("field", "a field of config.stages.joint.optimizer.extractor: gate_factor, "),
                ["--config.stages.joint.optimizer.extractor.lr=1"],
            ),
            (
                *("flag", "--config.batch_size"),
                *(["--batch_size=4"], ["--batch-size=4"], ["--config-batch_size=4"]),
                *(["--config['batch_size']=4"], ["--noconfig.batch_size"]),
            ),
            ("flag", "--config.data.dir", ["--data.dir=x"]),
            ("flag", "--config.stages.backbone.epochs or --config.", ["--epochs=3"]),
            ("flag", "--workdir", ["--work-dir=x"], ["--Workdir=x"]),
        )
        for flags in spellings
    ),
    (["--config=configs/jiont.py"], "such as configs/joint.py, perhaps configs/joint.py"),
    ([CONFIG, "--flagfile=nosuch"], "--flagfile: "),
    # Fields of older versions.
    (
        [CONFIG, "--config.loss.beta=0.2"],
        "--config.loss.beta: found a field of an older version, expected "
        "--config.stages.STAGE.losses.resolution.weight",
    ),
    (
        [CONFIG, "--config.stages.joint.sr_weight=1"],
        "expected --config.stages.joint.losses.restoration.weight",
    ),
    ([CONFIG, "--config.profile=(3,2)"], "config.profile: found (3, 2), expected () or"),
    ([CONFIG, "--config.imports=('no.such',)"], "config.imports: found no module 'no.such'"),
    ([CONFIG, "--config.zzz=1", "--config.yyy=2"], "--config.yyy: found an unknown field"),
    # Wrong types.
    ([CONFIG, "--config.batch_size=abc"], "--config.batch_size: found 'abc', expected an int"),
    ([CONFIG, "--config.batch_size=1.5"], "--config.batch_size: found '1.5', expected an int"),
    ([CONFIG, "--config.batch_size=a: b=c"], "found 'a: b=c', expected an integer"),
    ([CONFIG, "--config.model.width=x"], "--config.model.width: found 'x', expected a number"),
    ([CONFIG, "--config.model.stage_sizes=(1,"], "found '(1,', expected a tuple such as"),
    ([CONFIG, "--config.data=3"], "--config.data: found '3', expected one of its fields"),
    ([CONFIG, "--config.data.dir"], "--config.data.dir"),
    (
        ["--config=configs/joint.py:folder", "--config.data.recipe.degrade=maybe"],
        "--config.data.recipe.degrade: found 'maybe', expected true or false",
    ),
    # Wrong values.
    (
        [CONFIG, "--config.data.image_size=64"],
        "config.data.image_size: found (64,), expected (height, width), two positive multiples",
    ),
    (
        [CONFIG, "--config.data.dir="],
        "config.data.dir: found '', expected a folder, such as 'data'",
    ),
    ([CONFIG, "--verbosity=x"], "--verbosity: found 'x', expected another value"),
    ([CONFIG, "--config.data.image_size=64x32"], "config.data.image_size: found ('64x32',)"),
    ([CONFIG, "--config.others=([1],)"], "config.others: found ([1],), expected names of stages"),
    ([CONFIG, "--config.data={'dir': 'x'}"], "config.data.raw_dir: found no such field"),
    (
        [CONFIG, "--config.dataset=folder"],
        "choose the data set after the config file, as in --config configs/joint.py:folder",
    ),
]


def test_a_mistake_in_a_file_of_flags(tmp_path):
    (tmp_path / "flags").write_text("--config.batch-size=4\n")
    line = error_line(tmp_path / "output", CONFIG, f"--flagfile={tmp_path / 'flags'}")
    expected = "expected --config.batch_size"
    assert line == f"--config.batch-size: found an unknown field, {expected}"


def test_mistakes(tmp_path):
    for flags, expected in MISTAKES:
        assert expected in error_line(tmp_path / "output", *flags), flags


def test_all_wrong_values_are_named_at_once(tmp_path):
    resolution = "config.stages.rife.losses.resolution.weight"
    flags = ("--config.batch_size=-3", "--config.dtype=float16", f"--{resolution}=nan")
    line = error_line(tmp_path / "output", CONFIG, f"--workdir={tmp_path / 'run'}", *flags)
    assert "config.batch_size: found -3, expected a number above 0" in line
    assert "config.dtype: found 'float16', expected one of 'float32', 'bfloat16'" in line
    assert f"{resolution}: found nan, expected a number of at least 0" in line
    assert not (tmp_path / "run").exists()


def test_mistakes_do_not_wait_for_what_training_needs():
    """To import that takes seconds."""
    result = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", "-m", "rireid_jax.main"),
            *(CONFIG, "--config.batch_size=-3"),
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 2
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "rireid_jax.config" in imported
    assert not imported & {"orbax", "tensorflow_datasets", "grain", "array_record"}


@pytest.mark.parametrize(
    ("content", "last"),
    [
        ("def get_config(dataset='x'):\n    return {}['y']\n", "KeyError: 'y'"),
        ("def get_config(dataset='x'):\n    raise ValueError('two\\nlines')\n", "lines"),
        ("def get_config(dataset='x'):\n    open('/nosuch')\n", "'/nosuch'"),
        ("def get_config(dataset='x'):\n    nosuch\n", "name 'nosuch' is not defined"),
        ("def get_config(dataset='x'\n", "SyntaxError: '(' was never closed"),
    ],
)
def test_a_bug_in_a_config_file_gives_a_traceback(tmp_path, content, last):
    path, output = tmp_path / "mine.py", tmp_path / "output"
    path.write_text(content)
    for dataset in ("", ":folder"):
        flags = f"--config={path}{dataset}", "--config.seed=1"
        process = forked.start(*flags, output=output)
        process.join()
        text = output.read_text()
        assert process.exitcode == 1
        assert "Traceback" in text
        assert str(path) in text
        assert text.rstrip().endswith(last)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "defines no get_config"),
        ("def get_config(): pass", "takes 0 positional arguments but 1 was given"),
        ("def get_config(dataset): pass", "returned no ConfigDict"),
        (
            "from rireid_jax.config import base_config\n"
            "def get_config(dataset):\n"
            "    config = base_config(dataset)\n"
            "    config.run = ('rife',)\n"
            "    config.checkpoint.kepp = 5\n"
            "    return config\n",
            "config.checkpoint.kepp: found an unknown field, expected config.checkpoint.keep",
        ),
        (
            "from rireid_jax.config import base_config\n"
            "def get_config(dataset):\n"
            "    config = base_config(dataset)\n"
            "    config.loss.beta = 0.2\n"
            "    return config\n",
            "found the field 'loss' of an older version, expected config.stages.STAGE.losses",
        ),
        (
            "from rireid_jax.config import base_config\n"
            "def get_config(dataset):\n"
            "    config = base_config(dataset)\n"
            "    config.stages.jiont.epochs = 3\n"
            "    return config\n",
            "mine.py, line 4: found an unknown field 'jiont', expected joint",
        ),
        (
            "from rireid_jax.config import base_config\n"
            "def get_config(dataset):\n"
            "    config = base_config(dataset)\n"
            "    config.run = ('rife',)\n"
            "    config.data.recipe.degrad = True\n"
            "    return config\n",
            "config.data.recipe.degrad: found an unknown field, expected config.data.recipe.degrade",
        ),
    ],
)
def test_a_config_file_that_is_no_config(tmp_path, content, expected):
    path = tmp_path / "mine.py"
    path.write_text(content)
    assert expected in error_line(tmp_path / "output", f"--config={path}:folder")
