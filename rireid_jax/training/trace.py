"""Traces some steps of a stage with `jax.profiler`."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import jax

from rireid_jax import distributed

logger = logging.getLogger(__name__)


class Trace:
    """Writes a trace of the steps `first` to `last` into `WORKDIR/profile/STAGE`. A context manager.

    The first process alone traces. A stage that resumes later, or ends earlier, traces the steps it has.
    """

    def __init__(self, steps: Sequence[int], workdir: str, stage: str):
        """Starts nothing yet.

        Args:
          steps: (first, last), or () for no trace.
          workdir: of the run.
          stage: its name.
        """
        self._first, self._last = steps if steps and distributed.is_first() else (0, 0)
        self._folder = os.path.join(workdir, "profile", stage)
        self._running = False

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def before(self, step: int) -> None:
        """To be called before each step."""
        if self._first <= step <= self._last and not self._running:
            jax.profiler.start_trace(self._folder)
            self._running = True

    def after(self, step: int, results: Any) -> None:
        """To be called after each step, with what it returns."""
        if self._running and step >= self._last:
            jax.block_until_ready(results)
            self._stop()

    def _stop(self) -> None:
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            logger.info("trace of the steps in %s", self._folder)
