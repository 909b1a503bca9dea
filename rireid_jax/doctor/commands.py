"""The command line to run next, as the user's own with some flags replaced."""

import shlex
from collections.abc import Mapping, Sequence

_START = "python -m rireid_jax.main"
_WIDTH = 96


def command(arguments: Sequence[str], flags: Mapping[str, str]) -> list[str]:
    """Lines to paste into a shell.

    Args:
      arguments: the user's, without the program.
      flags: what to put in place of the user's flags of that name; "": nothing.
    """
    rest = iter(arguments)
    kept = []
    for argument in rest:
        name, equals, _ = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name in flags:
            if not equals:
                next(rest, None)  # its value
            continue
        kept.append(argument)
    kept += [f"--{name}={value}" for name, value in flags.items() if value]
    lines = [_START]
    for argument in map(shlex.quote, kept):
        if len(lines[-1]) + len(argument) > _WIDTH:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {argument}"
    return lines
