"""How far a long command is: a bar on a terminal, elsewhere a line in the log now and then."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

logger = logging.getLogger(__name__)

_LINE_SECONDS = 30.0  # between two lines of the log


class Progress:
    """Counts what is done of a known number of images."""

    def __init__(self, what: str, total: int, done: int = 0):
        """Shows a bar if stderr is a terminal.

        Args:
          what: is done, for the lines.
          total: number of images.
          done: of them before; they say nothing about the time that is left.
        """
        self._what, self._total, self._before, self.done = what, total, done, done
        self._began = self._last_line = time.perf_counter()
        self._bar = None
        if _on_terminal():
            self._bar = tqdm(desc=what, total=total, initial=done, unit="image", dynamic_ncols=True)

    def add(self, number: int) -> None:
        """Counts images as done."""
        self.done += number
        now = time.perf_counter()
        if self._bar is not None:
            self._bar.update(number)
        elif now - self._last_line > _LINE_SECONDS:
            self._last_line = now
            rate = (self.done - self._before) / (now - self._began)
            left = round((self._total - self.done) / rate)
            logger.info(
                "%s %s of %s images  %.3g images/s  %d:%02d:%02d left",
                *(self._what, f"{self.done:,}", f"{self._total:,}", rate),
                *(left // 3600, left // 60 % 60, left % 60),
            )

    def close(self) -> None:
        """Ends the bar, which stays where it is."""
        if self._bar is not None:
            self._bar.close()


@contextlib.contextmanager
def progress(what: str, total: int, done: int = 0) -> Iterator[Progress]:
    """A `Progress` on stderr, above whose bar the lines of the log appear."""
    shown = Progress(what, total, done)
    with contextlib.ExitStack() as stack:
        stack.callback(shown.close)
        if _on_terminal():
            stack.enter_context(logging_redirect_tqdm([logging.getLogger("rireid_jax")]))
        yield shown


def _on_terminal() -> bool:
    """Whether stderr can show a bar; a terminal without a size, as in some containers, cannot."""
    return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
