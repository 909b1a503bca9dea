"""How far something long is: a bar with the time left on a terminal, elsewhere a line of the log now and then."""

import logging
import os
import sys
import time
from types import TracebackType

from tqdm import tqdm

logger = logging.getLogger(__name__)

_hidden = False


class ProgressBar:
    """Counts what is done of a known number. While it is entered, lines on stderr must go through `write_above`."""

    def __init__(self, total: int, title: str, unit: str, done: int = 0, line_seconds: float = 0):
        """Shows a bar if stderr is a terminal.

        Args:
          total: how many there are of what is counted.
          title: in front of the bar or the line.
          unit: what is counted, such as "image".
          done: how many were done before; they say nothing about the time that is left.
          line_seconds: between two lines of the log where there is no bar; 0: none, as the caller has lines of its own.
        """
        self._total, self._title, self._unit = total, title, unit
        self._before = self.done = done
        self._line_seconds = line_seconds
        self._begun = self._told = time.monotonic()
        self._bar = None
        if on_terminal():
            self._bar = tqdm(
                total=total,
                desc=title,
                unit=f" {unit}",
                initial=done,
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
        if self._bar is not None:
            self._bar.close()

    def add(self, number: int) -> None:
        """Counts what has been done."""
        self.done += number
        if self._bar is not None:
            self._bar.update(number)
        elif self._line_seconds:
            self._tell(time.monotonic())

    def reach(self, number: int) -> None:
        """Counts up to a number. What the first call passes over was done before, and says nothing about the time."""
        if self.done == 0 and self._bar is not None:
            self._bar.initial = self._bar.n = number - 1
            self.done = number - 1
        self.add(number - self.done)

    def _tell(self, now: float) -> None:
        if now - self._told <= self._line_seconds or self.done == self._before:
            return
        self._told = now
        left = (now - self._begun) * (self._total - self.done) / (self.done - self._before)
        logger.info(
            "%s: %s of %s %ss, about %d s left",
            *(self._title, f"{self.done:,}", f"{self._total:,}", self._unit, round(left)),
        )


def write_above(line: str) -> None:
    """Prints a line on stderr, above a bar if there is one."""
    tqdm.write(line, file=sys.stderr)


def hide_bars() -> None:
    """Shows no bar in this process from here on, because another one that shares the terminal does."""
    global _hidden
    _hidden = True


def on_terminal() -> bool:
    """Whether stderr can show a bar; a terminal without a size, as in some containers, cannot."""
    return (
        not _hidden
        and sys.stderr.isatty()
        and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    )
