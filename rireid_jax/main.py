"""The command line: `python -m rireid_jax.main --config configs/joint.py[:DATASET]`."""

import difflib
import errno
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

from rireid_jax.config import validate
from rireid_jax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Config file, after a colon the data set, after a slash its preset.",
    lock_config=True,
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where checkpoints and results go; default runs/CONFIG-DATASET[-PRESET]."
)
_MODES = ("train", "evaluate", "build", "doctor", "report")
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    _MODES,
    "What to do; build makes the data set only, doctor says what of it is on disk and what to do, report trains the "
    "rows of the paper's tables (configs/ablation.py) and writes them beside the paper's.",
)
_ROWS = flags.DEFINE_list(
    "rows", [], "With --mode report: rows to train, such as resnet50,rife; all."
)
_SEEDS = flags.DEFINE_list(
    "seeds",
    [],
    "With --mode report: of training, such as 0,1,2; default config.seed. Rows on which no claim "
    "about the whole system rests are trained with the first.",
)
_NO_CONFIG = "--config: not given, expected a file such as configs/joint.py"
_EXPECTED_TYPE = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    tuple: "a tuple such as '(1, 2)'",
}


def main() -> None:
    """Parses flags, runs, and turns a user's mistake into one line and exit status 2."""
    _log_to_stderr()
    try:
        app.run(_main, flags_parser=_parse_flags)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        # At once: after a failed save, Orbax's threads would tell of it at length while Python ends.
        os._exit(2)
    except KeyboardInterrupt:  # while training, the loop saves first and raises Stopped
        sys.exit(128 + signal.SIGINT)


def _main(argv: list[str]) -> None:
    config = _CONFIG.value
    validate(config)
    if _MODE.value == "doctor":
        from rireid_jax.doctor import doctor

        logging.getLogger("rireid_jax").setLevel(logging.ERROR)  # the report says it all
        doctor(config, sys.argv[1:])
        return
    seeds = _seeds(config)
    # Imported after the flags are checked: a mistake in them need not wait for JAX.
    from rireid_jax.run import run
    from rireid_jax.training.loop import Stopped

    path, _, dataset = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    # A preset is another experiment, and so is a row of the paper's tables.
    title = (dataset or config.dataset).replace("/", "-").replace(",", "-")
    workdir = _WORKDIR.value or f"runs/{Path(path).stem}-{title}"
    try:
        if _MODE.value == "report":
            from rireid_jax.ablation import report

            report(config, workdir, _ROWS.value, seeds)
        else:
            run(config, workdir, _MODE.value)
    except Stopped as stopped:
        print(f"{stopped}; run the same command to go on", file=sys.stderr)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise UserError(
            f"{error.filename or workdir}: no space left to write to it, free some and run the "
            "same command again"
        ) from error


def _seeds(config: ConfigDict) -> list[int]:
    """Those of `--mode report`. Raises UserError for its flags without it, and for what is no number."""
    for flag in (_ROWS, _SEEDS):
        if flag.value and _MODE.value != "report":
            raise UserError(
                f"--{flag.name}: found with --mode {_MODE.value}, expected --mode report"
            )
    wrong = [seed for seed in _SEEDS.value if not seed.isdecimal()]
    if wrong:
        raise UserError(f"--seeds: found {wrong[0]!r}, expected numbers such as 0,1,2")
    return [int(seed) for seed in _SEEDS.value] or [config.seed]


def _parse_flags(argv: list[str]) -> list[str]:
    """Parses the command line. Raises UserError for what is wrong with it.

    An exception of the config file's own code is raised as it is: its author needs the traceback.
    """
    argument = _config_argument(argv)
    if argument is not None:
        _check_config_file(argument)
    try:
        rest = flags.FLAGS(argv)
        is_config = argument is None or hasattr(_CONFIG.value, "items")  # raises its OSError late
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
        close = difflib.get_close_matches(
            error.flagname, ["config", "workdir", "mode", "rows", "seeds"], 1
        )
        expected = f"--{close[0]}" if close else "--config, --config.FIELD, --workdir or --mode"
        return f"--{error.flagname}: found an unknown flag, expected {expected}"
    config = _load(argument) if argument is not None else None
    if isinstance(error, flags.IllegalFlagValueError) and config is not None:
        # absl writes "flag --NAME=VALUE: REASON", and the value may hold anything.
        name, _, rest = str(error).removeprefix("flag --").partition("=")
        found = f"--{name}: found {rest.removesuffix(f': {error.__context__}')!r}"
        if name == "mode":
            return f"{found}, expected one of {', '.join(_MODES)}"
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


def _log_to_stderr() -> None:
    # Only our own log: through absl, Orbax and others tell every step of theirs, and every exception
    # that they then raise.
    absl_logging.set_verbosity(absl_logging.FATAL)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("rireid_jax")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


if __name__ == "__main__":
    main()
