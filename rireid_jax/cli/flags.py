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

from rireid_jax.config.fields import nearest, plain
from rireid_jax.config.packaged import packaged_config, packaged_names
from rireid_jax.config.renamed import RENAMED, new_name
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Config file, or the name of one that comes with the package, then a colon and the data set, then a slash and its "
    "preset, then a comma and the size: FILE[:DATASET[/PRESET][,SIZE]]. The size is small (narrow networks, images 32 "
    "pixels wide, half an hour on two CPU cores) or paper; the default is small for pedestrians and paper for all "
    "others. For configs/ablation.py a row of the paper's tables may come first: "
    "FILE:ROW[,DATASET[/PRESET][,SIZE]].",
    lock_config=True,
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder for checkpoints and results; the default is runs/CONFIG-DATASET[-PRESET][-SIZE], without the size if it is "
    "the default one.",
)
MODES = ("train", "evaluate", "build", "doctor", "report")
MODE = flags.DEFINE_enum(
    "mode",
    "train",
    MODES,
    "What to do. train: everything that is not done yet. evaluate: score what is trained. build: make the data set. "
    "doctor: say what of the data set is on disk, and what to do. report: train the rows of the paper's tables "
    "(configs/ablation.py), and write them next to the paper's figures.",
)
ROWS = flags.DEFINE_list(
    "rows", [], "With --mode report: the rows to train, such as resnet50,rife; all by default."
)
SEEDS = flags.DEFINE_list(
    "seeds",
    [],
    "With --mode report: seeds of training, such as 0,1,2; config.seed by default. Rows on which no claim about the "
    "whole system rests are trained with the first seed alone.",
)
PRINT_CONFIG = flags.DEFINE_bool(
    "print_config", False, "Prints every field of the config with its value, and does nothing else."
)
DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "Makes this process one of several that share the run. Slurm, Open MPI, TPU pods and Kubernetes say which one; "
    "elsewhere, give the three flags below.",
)
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "With several processes: HOST:PORT on which the first one listens."
)
NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "With several processes: how many there are.", lower_bound=1
)
PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "With several processes: the number of this one, from 0 on.", lower_bound=0
)
_OWN = (
    CONFIG,
    WORKDIR,
    MODE,
    ROWS,
    SEEDS,
    PRINT_CONFIG,
    DISTRIBUTED,
    COORDINATOR,
    NUM_PROCESSES,
    PROCESS_ID,
)
# In the help of `rireid`, where the mode comes first.
SHOWN = [flag.name for flag in _OWN if flag is not MODE]
_NO_CONFIG = "--config: not given, expected a file such as configs/joint.py"
_EXPECTED = {
    "mode": f"one of {', '.join(MODES)}",
    "num_processes": "a number from 1 on",
    "process_id": "a number from 0 on",
    "distributed": "true or false",
}
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
    argv = _with_config_path(argv)
    argument = _config_argument(argv)
    if argument is not None:
        _check_config_file(argument)
    try:
        rest = flags.FLAGS(argv)
        is_config = argument is None or hasattr(CONFIG.value, "items")  # raises its OSError late
    except (AttributeError, KeyError, OSError, TypeError, ValueError, flags.Error) as error:
        if argument is not None:
            path = argument.partition(":")[0]
            bug = _raised_in(path, error)
            if bug is not None:
                raise _old_field_read(path, bug) or _mistyped_field_read(path, bug) or bug from None
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
    if "size" in config_flags.get_override_values(flags.FLAGS["config"]):
        # The other fields have got their defaults by then.
        raise UserError(
            f"--config.size: found {CONFIG.value.size!r}, expected the size after the data set, as in "
            f"--config configs/joint.py:{CONFIG.value.dataset},{CONFIG.value.size}"
        )
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


def _with_config_path(argv: Sequence[str]) -> list[str]:
    """The command line with the config file's whole path: `~` and variables expanded, `joint` found in the package."""
    arguments = list(argv)
    for i, arg in enumerate(argv):
        name, equals, value = arg.partition("=")
        if name not in ("-config", "--config"):
            continue
        if equals:
            arguments[i] = f"{name}={_expanded_file(value)}"
        elif i + 1 < len(argv):
            arguments[i + 1] = _expanded_file(argv[i + 1])
    return arguments


def _expanded_file(argument: str) -> str:
    path, colon, rest = argument.partition(":")
    if not Path(path).exists():
        path = packaged_config(path) or path
    return f"{expanded(path, '--config')}{colon}{rest}"


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
        close = difflib.get_close_matches(path.name, (p.name for p in path.parent.glob("*.py")), 1)
        meant = f", perhaps {path.with_name(close[0])}" if close else ""
        if not path.suffix:  # a name alone is one of ours
            meant = f", or one of {', '.join(packaged_names())}"
        raise UserError(f"--config: found no file {path}, {expected}{meant}")
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


def _old_field_read(path: str, error: BaseException) -> UserError | None:
    """What a config file says wrong that reads a field of an older version; None for any other bug."""
    # ml_collections names the field alone, not the section that lacks it.
    name = str(error).strip("\"'")
    new = sorted({new for old, new in RENAMED.items() if old.rpartition(".")[2] == name})
    if not isinstance(error, AttributeError | KeyError) or not new:
        return None
    expected = " or ".join(f"config.{field}" for field in new)
    return UserError(
        f"--config {path}: found the field {name!r} of an older version, expected {expected}"
    )


def _mistyped_field_read(path: str, error: BaseException) -> UserError | None:
    """What a config file says wrong that reads a mistyped field; None for any other bug."""
    meant = re.search(r'Did you mean "([^"]+)" instead of "([^"]+)"', str(error))
    if not isinstance(error, AttributeError | KeyError) or meant is None:
        return None
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if os.path.realpath(frame.filename) == os.path.realpath(path)
    ]
    return UserError(
        f"--config {path}, line {lines[-1]}: found an unknown field {meant[2]!r}, expected {meant[1]}"
    )


def _flag_problem(error: Exception, argument: str | None, argv: Sequence[str]) -> str:
    """One line about what absl or ml_collections could not parse."""
    if isinstance(error, flags.CantOpenFlagFileError):
        return f"--flagfile: {error.__context__ or error}, expected a file with a flag on each line"
    config = _load(argument) if argument is not None else None
    if isinstance(error, flags.UnrecognizedFlagError):
        return _unknown_flag(error.flagname, argument, config)
    if config is not None:
        # First of all: ml_collections may fail at a mistyped field in many ways.
        unknown = list(_unknown_fields(config, _with_flag_files(argv)))
        if unknown:
            return "; ".join(unknown)
        if isinstance(error, flags.IllegalFlagValueError):
            return _wrong_value(error, config)
    elif argument is not None and isinstance(error, AttributeError):
        return f"--config: {argument} defines no get_config, expected a config as in configs/"
    reason = str(error).strip().rpartition("\n")[2]
    if config is None and argument is not None:
        return f"--config {argument}: {reason}"
    return f"command line: {reason}"


def _with_flag_files(argv: Sequence[str]) -> list[str]:
    """The command line, with the content of files that `--flagfile` names in its place."""
    arguments: list[str] = flags.FLAGS.read_flags_from_files(list(argv), force_gnu=False)
    return arguments


def _unknown_flag(name: str, argument: str | None, config: ConfigDict | None) -> str:
    if argument is None and name.startswith("config."):
        return _NO_CONFIG
    known = {plain(flag.name): flag.name for flag in _OWN}
    found = known.get(plain(name)) or nearest(name, known.values())
    if not found and config is not None:
        # A field without `config.`, or with another sign behind it.
        field = re.sub(r"^(no)?config[^a-z]*", "", name)
        found = " or --".join(f"config.{field}" for field in _meant(config, field))
    expected = f"--{found}" if found else "--config, --config.FIELD, --workdir or --mode"
    return f"--{name}: found an unknown flag, expected {expected}"


def _wrong_value(error: flags.IllegalFlagValueError, config: ConfigDict) -> str:
    # absl writes "flag --NAME=VALUE: REASON", and the value may hold anything.
    name, _, rest = str(error).removeprefix("flag --").partition("=")
    value = rest.removesuffix(f": {error.__context__}")
    default = _field(config, name.removeprefix("config."))
    if name in _EXPECTED:
        expected = _EXPECTED[name]
    elif isinstance(default, ConfigDict):
        expected = f"one of its fields, such as --{name}.{next(iter(default))}"
    elif type(default) in _EXPECTED_TYPE:
        expected = _EXPECTED_TYPE[type(default)]
    else:  # a flag of absl's
        expected = f"another value ({error.__context__})"
    return f"--{name}: found {value!r}, expected {expected}"


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
        match = re.match(r"--?(?:no)?config\.([^=]*)", arg)
        if not match or match[1] in known:
            continue
        field = match[1]
        new = new_name(field)
        if new:
            yield f"--config.{field}: found a field of an older version, expected --config.{new}"
            continue
        close = _meant(config, field)
        flag = next((flag.name for flag in _OWN if plain(flag.name) == plain(field)), "")
        if flag:
            expected = f"the flag --{flag}"
        elif close:
            expected = " or ".join(f"--config.{name}" for name in close)
        else:
            parent = field
            while parent and not isinstance(_field(config, parent), ConfigDict):
                parent = parent.rpartition(".")[0]
            inner = _field(config, parent) if parent else config
            expected = f"a field of config{'.' * bool(parent)}{parent}: {', '.join(inner)}"
        yield f"--config.{field}: found an unknown field, expected {expected}"


def _meant(config: ConfigDict, field: str) -> list[str]:
    """At most three fields of the config that a mistyped one may be; none if it is like no other."""
    known = list(_fields(config))
    parts = [part for part in re.split(r"[^A-Za-z0-9_-]+", field) if part]
    same = [name for name in known if parts and plain(name) == plain("".join(parts))]
    if same:
        return same[:1]
    # Part by part: of two long names that differ in their last word alone, each would be like the other.
    section, path = config, []
    for part in parts:
        found = part if part in section else nearest(part, section)
        if not found:
            break
        path.append(found)
        if not isinstance(section[found], ConfigDict):
            return [".".join(path)]
        section = section[found]
    else:
        return [".".join(path)] if path else []
    # What follows may be another section's.
    rest = "." + ".".join(map(plain, parts[len(path) :]))
    return [name for name in known if f".{'.'.join(map(plain, name.split('.')))}".endswith(rest)][
        :3
    ]


def field_values(config: ConfigDict) -> Iterator[str]:
    """`--config.FIELD=VALUE` of every field, as the command line takes them."""
    for name in _fields(config):
        value = _field(config, name)
        if not isinstance(value, ConfigDict):
            yield f"--config.{name}={value}"


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
