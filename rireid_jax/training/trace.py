"""Profiles some steps of a stage with `jax.profiler`."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import jax

from rireid_jax import distributed

logger = logging.getLogger(__name__)


class Trace:
    """A context manager that writes a trace of the steps `first` to `last` into `WORKDIR/profile/STAGE`.

    Only the first process traces. If a stage resumes after `first` or ends before `last`, it traces the steps between.
    """

    def __init__(self, steps: Sequence[int], workdir: str, stage: str):
        """Does not start the trace yet.

        Args:
          steps: (first, last) step to trace, or () for no trace.
          workdir: work directory of the run.
          stage: name of the stage.
        """
        self._first, self._last = steps if steps and distributed.is_first() else (0, 0)
        self._folder = os.path.join(workdir, "profile", stage)
        self._running = False

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def before(self, step: int) -> None:
        """Starts the trace if `step` is the first one to trace; to be called before each step."""
        if self._first <= step <= self._last and not self._running:
            jax.profiler.start_trace(self._folder)
            self._running = True

    def after(self, step: int, results: Any) -> None:
        """Ends the trace if `step` is the last one to trace; to be called after each step with its results."""
        if self._running and step >= self._last:
            jax.block_until_ready(results)
            self._stop()

    def _stop(self) -> None:
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            logger.info("trace of the steps in %s", self._folder)
