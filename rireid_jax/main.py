"""The command line: `python -m rireid_jax.main --config configs/joint.py[:DATASET[,SIZE]]`, and `rireid`."""

import errno
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TextIO

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

from rireid_jax import distributed
from rireid_jax.cli import flags as command_line
from rireid_jax.cli import rireid as commands
from rireid_jax.cli import stored_config
from rireid_jax.config import default_title, smaller_argument, validate, with_defaults, with_paths
from rireid_jax.config.imports import import_modules
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded
from rireid_jax.progress_bar import hide_bars, on_terminal, write_above
from rireid_jax.signals import Answers

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LEVELS = {"-q": logging.WARNING, "-v": logging.INFO}


def main() -> None:
    """Parses flags, runs, and turns a user's mistake into one line and exit status 2."""
    _run_to_the_end(_run_mode)


def rireid() -> None:
    """The command `rireid`: the modes of `main` and the commands of `cli.commands`, with the same errors."""
    _run_to_the_end(lambda: _rireid(sys.argv[1:]))


def _rireid(argv: list[str]) -> None:
    while argv and argv[0] in _LEVELS:
        logging.getLogger("rireid_jax").setLevel(_LEVELS[argv[0]])
        if argv.pop(0) == "-v":
            absl_logging.set_verbosity(absl_logging.INFO)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(commands.help_text())
    elif argv[0] == "--version":
        print(f"rireid_jax {version('rireid_jax')}")
    elif argv[0] in command_line.MODES and {"-h", "--help"} & {*argv[1:]}:
        print(commands.mode_help(argv[0]))
    elif argv[0] in command_line.MODES:
        sys.argv = commands.modes_arguments(argv)
        _run_mode()
    else:
        _run_command(argv[0], argv[1:])


def _run_command(name: str, argv: list[str]) -> None:
    def terminate(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)  # what is open is closed and removed on the way

    signal.signal(signal.SIGTERM, terminate)
    try:
        commands.run_command(name, argv)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS, *_FULL):
            raise
        raise UserError(
            f"{error.filename or name}: {error.strerror}, expected a place to write to"
        ) from error


def _run_mode() -> None:
    with Answers(distributed.end_by_signal):  # while training, the loop has an answer of its own
        app.run(_main, flags_parser=command_line.parse_flags)


def _run_to_the_end(action: Callable[[], None]) -> None:
    """Does all that a command asks, and turns a user's mistake into one line and exit status 2."""
    # XLA would print a page about a long compilation, where our log has a line. It takes effect as JAX is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    log_to_stderr()
    try:
        action()
    except UserError as error:
        distributed.end(2, f"error: {error}")
    except KeyboardInterrupt:
        distributed.end(128 + signal.SIGINT, "")
    except BaseException as error:
        variable = _variable_at_fault(error)
        if variable:
            distributed.end(2, f"error: {variable}")
        if distributed.count() == 1:
            raise
        # Python would wait for the other processes, and they for this one.
        if isinstance(error, SystemExit):
            distributed.end(error.code if isinstance(error.code, int) else 1, "")
        distributed.end(1, traceback.format_exc().rstrip())


def _main(argv: list[str]) -> None:
    config = command_line.CONFIG.value
    imported = config.get("imports", ())
    if imported:
        import_modules(imported)
        config = with_defaults(config)  # with the fields that these modules bring
    validate(config)
    config = with_paths(config)
    command_line.check_flags()
    if command_line.PRINT_CONFIG.value:
        print("\n".join(command_line.field_values(config)))
        return
    if command_line.MODE.value == "doctor":
        from rireid_jax.doctor import doctor

        logging.getLogger("rireid_jax").setLevel(logging.ERROR)  # what it prints says it all
        doctor(config, sys.argv[1:])
        if os.environ.get("JAX_PLATFORMS") or os.environ.get("JAX_PLATFORM_NAME"):
            _check_devices()  # it needs none itself, but the run that it leads to does
        return
    if command_line.DISTRIBUTED.value or command_line.COORDINATOR.value:
        distributed.join(
            command_line.COORDINATOR.value,
            command_line.NUM_PROCESSES.value,
            command_line.PROCESS_ID.value,
        )
        if not distributed.is_first():  # only one of them speaks
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 to the end
            logging.getLogger("rireid_jax").setLevel(logging.ERROR)
            hide_bars()
    _run(config)
    distributed.leave()


def _variable_at_fault(error: BaseException) -> str:
    """One line about a variable of the environment that JAX refused while it was imported; "" for another error."""
    frames = traceback.extract_tb(error.__traceback__)
    name = re.search(r"\bjax_\w+", str(error), re.IGNORECASE)
    if name is None or not frames or not frames[-1].filename.endswith("jax/_src/config.py"):
        return ""
    variable = name[0].upper()
    if variable not in os.environ:
        return ""
    return f"{variable}: found {os.environ[variable]!r}, expected a value that JAX takes"


def _check_devices() -> None:
    """Raises UserError where JAX has no such backend as the environment asks for."""
    from rireid_jax.parallel import find_devices

    find_devices()


def _run(config: ConfigDict) -> None:
    # Imported after the flags are checked: a mistake in them need not wait for Orbax and TFDS.
    from rireid_jax.cli.compilation import keep_compiled_programs
    from rireid_jax.runs.run import run
    from rireid_jax.training.loop import Stopped

    keep_compiled_programs()
    if command_line.MODE.value != "build":
        _check_devices()  # before hours of building
    path, _, argument = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    title = f"{Path(path).stem}-{default_title(argument, config)}"
    workdir = expanded(command_line.WORKDIR.value or f"runs/{title}", "--workdir")
    small = "" if path == stored_config.__file__ else smaller_argument(argument, config)
    smaller = f"{path}:{small}" if small else ""
    try:
        if command_line.MODE.value == "report":
            from rireid_jax.paper.report import make_report

            seeds = [int(seed) for seed in command_line.SEEDS.value] or [config.seed]
            make_report(config, workdir, command_line.ROWS.value, seeds, smaller)
        else:
            run(config, workdir, command_line.MODE.value, smaller)
    except Stopped as stopped:
        if distributed.is_first():
            print(f"{stopped}; run the same command to go on", file=sys.stderr)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"{error.filename or workdir}: no space left to write to it, free some and run the "
            "same command again"
        ) from error


class _AboveBars(logging.StreamHandler[TextIO]):
    """Prints lines of the log on a terminal, where bars of progress may stand."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one line."""
        write_above(self.format(record))


def log_to_stderr() -> None:
    """Sends the log of this package, and no other, to stderr."""
    # Our own log alone: through absl, Orbax and others log every step, and every exception that they raise.
    absl_logging.set_verbosity(absl_logging.FATAL)
    handler = _AboveBars(sys.stderr) if on_terminal() else logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("rireid_jax")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


if __name__ == "__main__":
    main()
