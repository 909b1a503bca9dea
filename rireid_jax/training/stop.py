"""Being asked to stop: SIGTERM from a scheduler, or Ctrl-C."""

import functools
import math
import signal
import threading
from types import FrameType, TracebackType

from rireid_jax import processes


class StopRequest:
    """While entered, the first SIGTERM or SIGINT asks the loop to save and stop; a second one kills.

    With several processes the answer is the same in all of them at the same step, whichever was asked.
    """

    def __init__(self) -> None:
        self._asked = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
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

    def now(self) -> bool:
        """Whether to stop after this step. Every process must ask at every step."""
        if processes.count() == 1:
            return self._asked
        return _agreement().stops_now(self._asked)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}


class _Agreement:
    """After which step several processes stop.

    JAX runs ahead of the devices, in each process by as many steps as it likes. So when one has been asked, all say how
    many steps they have begun, and begin no other until they know: they stop one step after the one that is furthest.
    Steps are counted over all stages of a run, as the next may begin meanwhile.
    """

    def __init__(self) -> None:
        self._begun = 0
        self._last = math.inf
        self._told = self._deciding = False
        self._change = threading.Condition()
        processes.when_told("stop", self._decide)

    def stops_now(self, asked: bool) -> bool:
        """Counts a step; whether it is the last."""
        if asked and not self._told:
            self._told = True
            processes.tell("stop", "asked")
        with self._change:
            self._change.wait_for(lambda: not self._deciding)
            self._begun += 1
            return self._begun >= self._last

    def _decide(self, _: str) -> None:
        with self._change:
            self._deciding = True
            begun = self._begun
        processes.tell(f"begun/{processes.index()}", str(begun))
        if processes.is_first():
            others = range(processes.count())
            furthest = max(int(processes.wait_for(f"begun/{other}")) for other in others)
            processes.tell("last", str(furthest + 1))
        last = int(processes.wait_for("last"))
        with self._change:
            self._last, self._deciding = last, False
            self._change.notify_all()


@functools.cache
def _agreement() -> _Agreement:
    """That of this run."""
    return _Agreement()
