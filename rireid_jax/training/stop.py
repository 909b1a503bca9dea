"""Being asked to stop: SIGTERM from a scheduler, or Ctrl-C."""

import signal
from types import FrameType, TracebackType

import jax
from jax.experimental import multihost_utils


class StopRequest:
    """While entered, the first SIGTERM or SIGINT asks the loop to save and stop; a second one kills.

    With several processes the answer is the same in all of them at the same step, whichever was asked.
    """

    def __init__(self) -> None:
        self._asked = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        if jax.process_count() == 1:  # else JAX's coordination service catches SIGTERM
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore_handlers()

    def at(self, step: int) -> bool:
        """Whether to stop after `step`. Every process must ask at every step."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}
