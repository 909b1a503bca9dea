"""The command `rireid`: its commands, their help, and where each begins."""

import sys
from collections.abc import Sequence

from rireid_jax.cli.arguments import Parser
from rireid_jax.cli.flags import MODES
from rireid_jax.components import COMMANDS

MODE_SUMMARIES = {
    "train": "train what is not done yet, evaluate, and write results and pictures",
    "evaluate": "score what a run has trained",
    "build": "make a data set from a download or from your own crops",
    "doctor": "say what of a data set is on disk, and what to do",
    "report": "train the rows of the paper's tables",
}
_EXAMPLES = (
    "rireid train --config joint:folder,small --config.data.raw_dir=crops --workdir runs/mine",
    "rireid evaluate runs/mine",
)
assert set(MODE_SUMMARIES) == set(MODES)


def help_text() -> str:
    """What `rireid --help` prints."""
    commands = {**MODE_SUMMARIES, **{name: COMMANDS[name].SUMMARY for name in COMMANDS}}
    width = max(map(len, commands))
    lines = [
        "usage: rireid COMMAND [ARGUMENTS]; rireid COMMAND --help says more",
        "",
        "Resolution-invariant person re-identification: from crops of persons to answers.",
        "",
        *(f"  {name:{width}}  {summary}" for name, summary in commands.items()),
        "",
        "examples:",
        *(f"  {example}" for example in _EXAMPLES),
        *(f"  {COMMANDS[name].EXAMPLE}" for name in COMMANDS),
    ]
    return "\n".join(lines)


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
    """`rireid train --config ...` as arguments of `python -m rireid_jax.main`."""
    return [sys.argv[0], f"--mode={argv[0]}", *argv[1:]]
