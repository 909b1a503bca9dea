"""Answers SIGTERM and SIGINT (Ctrl-C) within a moment, whatever the process is doing.

Python calls signal handlers only between two instructions of its main thread, which may be in XLA's compiler for
minutes. So a thread answers, which the signal wakes through a pipe.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T", bound="Answers")

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Answers:
    """While entered, a thread answers the first SIGTERM or SIGINT, and a second one ends the process at once.

    One that is entered inside another one answers until it is left. Only the main thread may handle signals; in
    another thread nothing is answered.

    Attributes:
      asked: whether a signal has come.
    """

    def __init__(self, first: Callable[[signal.Signals], object]):
        """Answers nothing yet.

        Args:
          first: what to do at the first signal, in a thread of its own. It may end the process.
        """
        self.asked = False
        self._first = first
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self: T) -> T:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._thread = threading.Thread(target=self._answer, name="rireid_jax signals", daemon=True)
        self._thread.start()
        for number in STOPPING:
            self._previous[number] = signal.signal(number, self._ask)
        self._previous_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._previous:
            return
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        os.close(self._write)  # which ends the thread
        self._thread.join()
        os.close(self._read)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        # All else is the thread's part, so that it comes out alike wherever the main thread is.
        self.asked = True

    def _answer(self) -> None:
        """Answers signals, whose numbers come through the pipe, until it is closed."""
        answered = False
        while byte := os.read(self._read, 1):
            if byte[0] not in STOPPING:
                continue
            if answered:
                os._exit(128 + byte[0])
            answered = self.asked = True
            self._first(signal.Signals(byte[0]))


@contextlib.contextmanager
def kept_from_children() -> Iterator[None]:
    """While entered, processes that this thread starts get neither SIGTERM nor SIGINT until they ask for them.

    Ctrl-C and schedulers signal every process of a run. One that has only begun would print where it was interrupted.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield  # what comes meanwhile goes to the thread that answers
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
