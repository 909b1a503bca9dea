"""The flags of the command line, and one line about what is wrong with them."""

import difflib
import os
import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from rireid_jax.errors import UserError

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Config file, after a colon the data set, after a slash its preset.",
    lock_config=True,
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where checkpoints and results go; default runs/CONFIG-DATASET[-PRESET]."
)
MODES = ("train", "evaluate", "build", "doctor", "report")
MODE = flags.DEFINE_enum(
    "mode",
    "train",
    MODES,
    "What to do; build makes the data set only, doctor says what of it is on disk and what to do, report trains the "
    "rows of the paper's tables (configs/ablation.py) and writes them beside the paper's.",
)
ROWS = flags.DEFINE_list(
    "rows", [], "With --mode report: rows to train, such as resnet50,rife; all."
)
SEEDS = flags.DEFINE_list(
    "seeds",
    [],
    "With --mode report: of training, such as 0,1,2; default config.seed. Rows on which no claim "
    "about the whole system rests are trained with the first.",
)
DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "Whether this is one of several processes that do the run together. Slurm, Open MPI, TPU pods and Kubernetes say "
    "which; elsewhere the three flags below do.",
)
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "Of several processes: HOST:PORT on which the first one listens."
)
NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "Of several processes: how many.", lower_bound=1
)
PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "Of several processes: the number of this one, from 0 on.", lower_bound=0
)
_NO_CONFIG = "--config: not given, expected a file such as configs/joint.py"
_EXPECTED_TYPE = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    tuple: "a tuple such as '(1, 2)'",
}


def parse_flags(argv: list[str]) -> list[str]:
    """Parses the command line. Raises UserError for what is wrong with it.

    An exception of the config file's own code is raised as it is: its author needs the traceback.
    """
    argument = _config_argument(argv)
    if argument is not None:
        _check_config_file(argument)
    try:
        rest = flags.FLAGS(argv)
        is_config = argument is None or hasattr(CONFIG.value, "items")  # raises its OSError late
    except (AttributeError, KeyError, OSError, TypeError, ValueError, flags.Error) as error:
        if argument is not None:
            bug = _raised_in(argument.partition(":")[0], error)
            if bug is not None:
                raise bug from None
        raise UserError(_flag_problem(error, argument, argv)) from error
    if len(rest) > 1:
        raise UserError(f"command line: found {rest[1]!r}, expected flags only; see --help")
    if argument is None:
        raise UserError(_NO_CONFIG)
    if not is_config:
        raise UserError(f"--config: get_config of {argument} returned no ConfigDict")
    return rest


def check_flags() -> None:
    """Raises UserError for flags that do not go together."""
    mode = MODE.value
    for flag in (ROWS, SEEDS):
        if flag.value and mode != "report":
            raise UserError(f"--{flag.name}: found with --mode {mode}, expected --mode report")
    wrong = [seed for seed in SEEDS.value if not seed.isdecimal()]
    if wrong:
        raise UserError(f"--seeds: found {wrong[0]!r}, expected numbers such as 0,1,2")
    coordinator, number, process = COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value
    if coordinator is None and number is None and process is None:
        if not DISTRIBUTED.value:
            return
    elif coordinator is None or number is None or process is None:
        raise UserError(
            "--coordinator, --num_processes, --process_id: found some of them, expected all or, where the cluster "
            "says, --distributed"
        )
    else:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal():
            raise UserError(f"--coordinator: found {coordinator!r}, expected HOST:PORT")
        if process >= number:
            raise UserError(f"--process_id: found {process}, expected less than {number}")
    if mode == "report":
        raise UserError(
            "--mode report: found with --distributed, expected one process; several can train a row, by --config "
            "configs/ablation.py:ROW[,DATASET] --workdir WORKDIR/ROW/seed0, which the report then finds"
        )
    if mode == "doctor":
        raise UserError("--mode doctor: found with --distributed, expected one process")


def _config_argument(argv: Sequence[str]) -> str | None:
    """What follows the last `--config`: FILE or FILE:DATASET."""
    found = None
    for i, arg in enumerate(argv):
        name, equals, value = arg.partition("=")
        if name in ("-config", "--config"):
            found = value if equals else next(iter(argv[i + 1 :]), None)
    return found


def _check_config_file(argument: str) -> None:
    path = Path(argument.partition(":")[0])
    expected = "expected a Python file that defines get_config, such as configs/joint.py"
    if not path.exists():
        raise UserError(f"--config: found no file {path}, {expected}")
    if path.is_dir() or path.suffix != ".py":
        raise UserError(f"--config: found {path}, {expected}")


def _raised_in(path: str, error: BaseException | None) -> BaseException | None:
    """The exception, out of those that led to `error`, that passed through the code of a file."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if os.path.realpath(frame.f_code.co_filename) == os.path.realpath(path):
                return error
        error = error.__cause__ or error.__context__
    return None


def _flag_problem(error: Exception, argument: str | None, argv: Sequence[str]) -> str:
    """One line about what absl or ml_collections could not parse."""
    if isinstance(error, flags.UnrecognizedFlagError):
        if argument is None and error.flagname.startswith("config."):
            return _NO_CONFIG
        own = (
            CONFIG,
            WORKDIR,
            MODE,
            ROWS,
            SEEDS,
            DISTRIBUTED,
            COORDINATOR,
            NUM_PROCESSES,
            PROCESS_ID,
        )
        close = difflib.get_close_matches(error.flagname, [flag.name for flag in own], 1)
        expected = f"--{close[0]}" if close else "--config, --config.FIELD, --workdir or --mode"
        return f"--{error.flagname}: found an unknown flag, expected {expected}"
    config = _load(argument) if argument is not None else None
    if isinstance(error, flags.IllegalFlagValueError) and config is not None:
        # absl writes "flag --NAME=VALUE: REASON", and the value may hold anything.
        name, _, rest = str(error).removeprefix("flag --").partition("=")
        found = f"--{name}: found {rest.removesuffix(f': {error.__context__}')!r}"
        if name == "mode":
            return f"{found}, expected one of {', '.join(MODES)}"
        if name in ("num_processes", "process_id"):
            return f"{found}, expected a number from {int(name == 'num_processes')} on"
        if name == "distributed":
            return f"{found}, expected true or false"
        old = _field(config, name.removeprefix("config."))
        if isinstance(old, ConfigDict):
            return f"{found}, expected one of its fields, such as --{name}.{next(iter(old))}"
        return f"{found}, expected {_EXPECTED_TYPE[type(old)]}"
    if isinstance(error, AttributeError | KeyError) and config is not None:
        unknown = list(_unknown_fields(config, argv))
        if unknown:
            return "; ".join(unknown)
    if isinstance(error, AttributeError) and config is None:
        return f"--config: {argument} defines no get_config, expected a config as in configs/"
    reason = str(error).strip().rpartition("\n")[2]
    if config is None and argument is not None:
        return f"--config {argument}: {reason}"
    return f"command line: {reason}"


def _load(argument: str) -> ConfigDict | None:
    """The config without the command line's overrides; None if it is at fault itself."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=[])
    try:
        values(["", f"--config={argument}"])
    except (AttributeError, flags.Error):
        return None
    return values.config


def _unknown_fields(config: ConfigDict, argv: Sequence[str]) -> Iterator[str]:
    """A sentence about each override of a field that the config does not have."""
    known = list(_fields(config))
    for arg in argv:
        match = re.match(r"--?config\.([^=]+)", arg)
        if not match or match[1] in known:
            continue
        field = match[1]
        close = [name for name in known if name.endswith(f".{field}")]
        close = close or difflib.get_close_matches(field, known, 1, cutoff=0.75)
        if close:
            expected = " or ".join(f"--config.{name}" for name in close[:3])
        else:
            parent = field
            while parent and not isinstance(_field(config, parent), ConfigDict):
                parent = parent.rpartition(".")[0]
            inner = _field(config, parent) if parent else config
            expected = f"a field of config{'.' * bool(parent)}{parent}: {', '.join(inner)}"
        yield f"--config.{field}: found an unknown field, expected {expected}"


def _fields(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """Names of all fields, with dots."""
    for name, value in config.items():
        yield prefix + name
        if isinstance(value, ConfigDict):
            yield from _fields(value, f"{prefix}{name}.")


def _field(config: ConfigDict, name: str) -> Any:
    """The value of a field given with dots; None where there is none."""
    value: Any = config
    for part in name.split("."):
        if not isinstance(value, ConfigDict) or part not in value:
            return None
        value = value[part]
    return value
