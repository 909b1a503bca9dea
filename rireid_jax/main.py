"""The command line: `python -m rireid_jax.main --config configs/joint.py[:DATASET]`."""

import errno
import logging
import sys
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from rireid_jax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, and after a colon the data set.", lock_config=True
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where checkpoints and results go; default runs/CONFIG-DATASET."
)
_MODE = flags.DEFINE_enum(
    "mode", "train", ["train", "evaluate", "build"], "What to do; build makes the data set only."
)


def main() -> None:
    """Parses flags, runs, and turns a user's mistake into one line and exit status 2."""
    _log_to_stderr()
    try:
        app.run(_main, flags_parser=_parse_flags)
    except UserError as error:
        sys.exit(_fail(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        sys.exit(_fail(f"{error.filename or 'disk'}: no space left; free some and run it again"))


def _main(argv: list[str]) -> None:
    # Imported after the flags are checked: a mistake in them need not wait for JAX.
    from rireid_jax.run import run
    from rireid_jax.training.loop import Stopped

    config = _CONFIG.value
    path = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")[0]
    workdir = _WORKDIR.value or f"runs/{Path(path).stem}-{config.dataset}"
    try:
        run(config, workdir, _MODE.value)
    except Stopped as stopped:
        print(f"{stopped}; run the same command to go on", file=sys.stderr)


def _parse_flags(argv: list[str]) -> list[str]:
    """Parses the command line. Raises UserError for what is wrong with it."""
    try:
        rest = flags.FLAGS(argv)
    except (
        flags.Error,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        FileNotFoundError,
    ) as error:
        raise UserError(_flag_problem(error)) from error
    if len(rest) > 1:
        raise UserError(f"command line: found {rest[1]!r}, expected flags only; see --help")
    if _CONFIG.value is None:
        raise UserError("--config: not given, expected a file such as configs/joint.py")
    return rest


def _flag_problem(error: Exception) -> str:
    return str(error)


def _log_to_stderr() -> None:
    # Only our own log: Orbax and others tell every step of theirs through absl.
    absl_logging.set_verbosity(absl_logging.ERROR)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("rireid_jax")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _fail(problem: object) -> int:
    print(f"error: {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
