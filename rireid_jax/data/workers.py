"""Worker processes, which live exactly as long as the run, whatever ends it."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker

from rireid_jax.signals import STOPPING, kept_from_children

_TRACKER_WARNS = "ignore::UserWarning:multiprocessing.resource_tracker"


@contextlib.contextmanager
def starting_workers() -> Iterator[None]:
    """While entered, this thread may start worker processes; they print nothing when a signal or their end comes.

    A run that is ended at once leaves its shared memory to multiprocessing's tracker, which removes it, and would warn.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = f"{before},{_TRACKER_WARNS}" if before else _TRACKER_WARNS
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before
    with kept_from_children():
        yield


def live_as_long_as_the_parent(*_: int) -> None:
    """Makes a worker process end when its parent does, and not before: the first thing that it calls.

    Ctrl-C and schedulers signal every process of a run, and the parent still needs batches until it
    has saved and stopped. A parent that is killed cannot end its workers.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
