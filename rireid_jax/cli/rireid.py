"""The command `rireid`: its commands, their help, and where each begins."""

import os
import sys
import textwrap
from collections.abc import Sequence

from absl import flags

from rireid_jax.cli import stored_config
from rireid_jax.cli.arguments import Parser
from rireid_jax.cli.flags import MODES, SHOWN
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

MODE_SUMMARIES = {
    "train": "train what is not done yet, evaluate, and write results and pictures",
    "evaluate": "score what a run has trained",
    "build": "make a data set from a download or from your own crops",
    "doctor": "say what of a data set is on disk, and what to do",
    "report": "train the rows of the paper's tables",
}
_USAGE = """\
usage: rireid [-q | -v] COMMAND [ARGUMENTS]
       rireid COMMAND --help

-q prints warnings and results alone, -v what the libraries below log too."""
_EXAMPLES = (
    "rireid train --config joint:folder,small --config.data.raw_dir=crops --workdir runs/mine",
    "rireid evaluate runs/mine",
    "rireid evaluate runs/mine --on folder --config.data.raw_dir=other_crops",
    "rireid train --from runs/mine --config.stages.joint.epochs=40 --workdir runs/longer",
)
assert set(MODE_SUMMARIES) == set(MODES)


def help_text() -> str:
    """What `rireid --help` prints."""
    commands = {**MODE_SUMMARIES, **{name: COMMANDS[name].SUMMARY for name in COMMANDS}}
    width = max(map(len, commands))
    lines = [
        "Resolution-invariant person re-identification: from crops of persons to answers.",
        "",
        _USAGE,
        "",
        *(f"  {name:{width}}  {summary}" for name, summary in commands.items()),
        "",
        "examples:",
        *(f"  {example}" for example in _EXAMPLES),
        *(f"  {COMMANDS[name].EXAMPLE}" for name in COMMANDS),
    ]
    return "\n".join(lines)


def mode_help(mode: str) -> str:
    """What `rireid MODE --help` prints."""
    forms = {
        "train": (
            "rireid train --config CONFIG[:DATASET] [--workdir RUN]",
            "rireid train RUN                  go on with a run",
            "rireid train --from RUN           start another run from it, by default with its config, in RUN-continued",
        ),
        "evaluate": (
            "rireid evaluate --config CONFIG[:DATASET] [--workdir RUN]",
            "rireid evaluate RUN               score again what a run has trained",
            "rireid evaluate RUN --on DATASET  score it on other data, in RUN/on/DATASET, which is written over",
        ),
    }.get(mode, (f"rireid {mode} --config CONFIG[:DATASET]",))
    fields = "--config.FIELD=VALUE sets a field of the config; --print-config prints them all."
    about = [f"--{name}: {flags.FLAGS[name].help}" for name in SHOWN]
    wrapped = [textwrap.fill(line, 100, subsequent_indent="  ") for line in (fields, *about)]
    return "\n".join([*forms, "", MODE_SUMMARIES[mode], "", *wrapped])


def run_command(name: str, argv: Sequence[str]) -> None:
    """Parses the arguments of one of `components.COMMANDS`, and runs it.

    Raises:
      UserError: there is no such command, or its arguments are wrong.
    """
    command = COMMANDS[name]
    parser = Parser(
        prog=f"rireid {name}",
        description=command.SUMMARY,
        epilog=f"example: {command.EXAMPLE}",
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    command.run(parser.parse_args(list(argv)))


def modes_arguments(argv: Sequence[str]) -> list[str]:
    """A mode of `python -m rireid_jax.main` and its arguments, as arguments of that command.

    A work directory may take the place of `--config` and `--workdir`:

        evaluate RUN                score again what the run has trained
        evaluate RUN --on DATASET   score it on other data, in RUN/on/DATASET
        train RUN                   go on with a run
        train --from RUN            start another run from it, by default with its config and in RUN-continued

    Args:
      argv: the mode, and what follows it.

    Raises:
      UserError: the arguments do not go together.
    """
    mode, *rest = argv
    rest = ["--print_config" if argument == "--print-config" else argument for argument in rest]
    run = rest.pop(0) if rest and not rest[0].startswith("-") else ""
    source, data = _taken(rest, "--from"), _taken(rest, "--on")
    if run and mode not in ("train", "evaluate"):
        raise UserError(f"rireid {mode}: found {run!r}, expected flags such as --config")
    if data and not (run and mode == "evaluate"):
        raise UserError(
            f"--on: found with rireid {mode}, expected rireid evaluate RUN --on DATASET"
        )
    if source and (run or mode != "train"):
        raise UserError(f"--from: found with rireid {mode} {run}, expected rireid train --from RUN")
    own: list[str] = []
    if run:
        if _given(rest, "--config"):
            raise UserError(f"--config: found with {run}, expected one of them")
        run = expanded(run, "RUN")
        own = [_stored(run, data), f"--workdir={_place(run, data)}"]
    elif source:
        source = expanded(source, "--from")
        source = source if "://" in source else os.path.abspath(source)
        own = [] if _given(rest, "--config") else [_stored(source)]
        rest.append(f"--config.init.workdir={source}")
        if not _given(rest, "--workdir"):
            own.append(f"--workdir={source.rstrip('/')}-continued")
    return [sys.argv[0], f"--mode={mode}", *own, *rest]


def _stored(run: str, data: str = "") -> str:
    behind = f"{stored_config.SEPARATOR}{_dataset(data)}" if data else ""
    return f"--config={stored_config.__file__}:{run}{behind}"


def _place(run: str, data: str) -> str:
    """Where a run's figures go."""
    return f"{run.rstrip('/')}/on/{_dataset(data).replace('/', '-')}" if data else run


def _dataset(data: str) -> str:
    """`DATASET[/PRESET]` of `[CONFIG:]DATASET[/PRESET][,SIZE]`: networks and input stay those of the run."""
    return data.rpartition(":")[2].partition(",")[0]


def _taken(arguments: list[str], flag: str) -> str:
    """Removes a flag from the arguments, and returns its value; "" without it."""
    for i, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == flag:
            if not equals and i + 1 < len(arguments):
                value = arguments.pop(i + 1)
            if not value:
                raise UserError(f"{flag}: found no value, expected one")
            del arguments[i]
            return value
    return ""


def _given(arguments: Sequence[str], flag: str) -> bool:
    return any(argument.partition("=")[0] in (flag, flag[1:]) for argument in arguments)
