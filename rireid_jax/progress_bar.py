"""Bars of progress with the time left, on a terminal."""

import sys
from types import TracebackType

from tqdm import tqdm


class ProgressBar:
    """While entered, a bar on stderr; nothing where stderr is no terminal: lines of the log say how far it is there.

    Lines that are printed meanwhile must go through `write_above`.
    """

    def __init__(self, total: int, title: str, unit: str):
        """Draws nothing yet.

        Args:
          total: how many there are of what is counted.
          title: in front of the bar.
          unit: what is counted, such as "image".
        """
        self._bar = tqdm(
            total=total,
            desc=title,
            unit=f" {unit}",
            disable=None,  # except on a terminal
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def add(self, number: int) -> None:
        """Counts what has been done."""
        self._bar.update(number)

    def reach(self, number: int) -> None:
        """Counts up to a number, also what was done before."""
        self._bar.update(number - self._bar.n)


def write_above(line: str) -> None:
    """Prints a line on stderr, above a bar if there is one."""
    tqdm.write(line, file=sys.stderr)
