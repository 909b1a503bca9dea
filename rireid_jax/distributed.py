"""The processes of a run: all do the same, only the first one writes, and they begin and end together.

They talk through JAX's coordination service, not over the devices: a build may take hours, and no collective waits
that long.
"""

import contextlib
import functools
import itertools
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, ParamSpec, TypeVar

from rireid_jax.errors import UserError
from rireid_jax.signals import Answers

T = TypeVar("T")
P = ParamSpec("P")

HEARTBEAT_SECONDS = 30  # a process that is silent for as long counts as dead, and the others end
_LONG = 3_600_000  # milliseconds until a request is made again
_FAREWELL_SECONDS = 10  # the first process waits no longer for the others to say goodbye
_NOTHING_LOST = "stopped, nothing had to be saved; run the same command to go on"
_LAST_SECONDS = 1.0  # between the goodbye of the others and the end of the first process

_joined = False
_inside = False  # whether the first process is in a `from_first`, for which the others wait
_turns = itertools.count()
_listeners: dict[str, threading.Thread] = {}
_lost = threading.Lock()


def join(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Makes this process one of several. It must be called once, before anything touches a device.

    Args:
      coordinator: host:port of the first process; None, like the others then, where the cluster says (Slurm,
        Open MPI, a TPU pod, Kubernetes).
      num_processes: how many there are.
      process_id: of this one, from 0 on.

    Raises:
      UserError: there is no cluster that JAX knows, or not all processes came within five minutes.
    """
    global _joined
    import jax

    # With this service, JAX would handle SIGTERM from here on, and Orbax would ask it whether to stop, with a count
    # of steps of its own, which spoils the answer. `StopRequest` does it instead.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator, num_processes, process_id, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
        )
    except (RuntimeError, ValueError, OSError) as error:
        found = "a cluster" if coordinator is None else f"process {process_id} of {num_processes}"
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"--distributed: {found} could not be joined ({reason}), expected all processes to start within five "
            "minutes under Slurm, Open MPI, Kubernetes or on a TPU, or with --coordinator, --num_processes and "
            "--process_id"
        ) from error
    _joined = True
    when_told("end", lambda status: _exit(int(status)))


def count() -> int:
    """How many processes there are; 1 without `join`."""
    return _state().num_processes if _joined else 1


def index() -> int:
    """The number of this process, from 0 on."""
    return _state().process_id if _joined else 0


def is_first() -> bool:
    """Whether this is the process that writes."""
    return index() == 0


def from_first(function: Callable[[], T]) -> T:
    """Calls a function in the first process; the others wait, and get its result or its UserError.

    All processes must call this, in the same order. The function may call it again.

    Args:
      function: returns a value that JSON can hold, without tuples.
    """
    global _inside
    if count() == 1 or _inside:
        return function()
    key = f"turn/{next(_turns)}"
    if is_first():
        _inside = True
        try:
            value = function()
        except UserError as error:
            tell(key, json.dumps({"error": str(error)}))
            raise
        finally:
            _inside = False
        tell(key, json.dumps({"value": value}))
        return value
    told: Mapping[str, Any] = json.loads(wait_for(key))
    if "error" in told:
        raise UserError(told["error"])
    return told["value"]


def by_first(function: Callable[P, T]) -> Callable[P, T]:
    """`from_first` as a decorator."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return from_first(lambda: function(*args, **kwargs))

    return call


def tell(key: str, value: str) -> None:
    """Tells all processes something, under a key."""
    _client().key_value_set(_place(key), value, allow_overwrite=True)


def wait_for(key: str) -> str:
    """Waits until something is told under a key, and returns it."""
    while True:
        try:
            return _client().blocking_key_value_get(_place(key), _LONG)
        except RuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def when_told(key: str, action: Callable[[str], None]) -> None:
    """Waits in a thread until something is told under a key, and calls an action with it."""

    def listen() -> None:
        try:
            value = wait_for(key)
        except RuntimeError:  # the first process is gone, and with it all that is told
            _lost.acquire()  # for good: one thread says so
            print("error: the first process ended without a word", file=sys.stderr, flush=True)
            os._exit(1)
        if value:  # `leave` tells nothing
            action(value)

    _listeners[key] = threading.Thread(target=listen, name=f"rireid_jax {key}", daemon=True)
    _listeners[key].start()


def leave() -> None:
    """Disconnects from the other processes, when all have done their part."""
    global _joined
    if not _joined:
        return
    import jax

    tell(f"done/{index()}", "done")
    if is_first():
        for other in range(count()):
            wait_for(f"done/{other}")
        for key in _listeners:
            tell(key, "")
    for listener in _listeners.values():
        listener.join()
    _listeners.clear()
    jax.distributed.shutdown()
    _joined = False


def end(status: int, reason: str) -> NoReturn:
    """Ends this process and the others with an exit status. The first of them to call it says why.

    It ends at once, because after a failed save Orbax's threads would print pages while Python ends.

    Args:
      status: exit status of all processes.
      reason: for the user; "" says nothing.
    """
    if count() == 1 or _claims_the_end():
        if reason:
            _say(reason)
        if count() > 1:
            with contextlib.suppress(RuntimeError):  # there may be nobody left to hear it
                tell("end", str(status))
    _exit(status)


def end_by_signal(number: signal.Signals) -> NoReturn:
    """Ends this process and the others at a signal, where nothing would be lost."""
    end(128 + number, f"{number.name}: {_NOTHING_LOST}")


class StopRequest(Answers):
    """While entered, the first SIGTERM or SIGINT asks the loop to save and stop; a second one ends the process.

    Where nothing would be lost, the first one ends the process. All processes get the same answer at the same step,
    whichever of them was asked.

    Attributes:
      unsaved: whether steps have been trained that no checkpoint holds yet. The loop says so.
    """

    def __init__(self) -> None:
        super().__init__(self._answer_first)
        self.unsaved = False

    def now(self) -> bool:
        """Whether to stop after this step. Every process must call it at every step, and at the end of a stage."""
        if count() == 1:
            return self.asked
        return _agreement().stops_now(self.asked)

    def _answer_first(self, number: signal.Signals) -> None:
        if count() == 1 and not self.unsaved:
            end(0, f"{number.name}: {_NOTHING_LOST}")
        if is_first():
            _say(f"{number.name}: saves after this step and stops; a second one ends at once")


def _say(line: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"{line}\n")  # in one piece: others may write to the same file
    sys.stderr.flush()


class _Agreement:
    """Decides after which step several processes stop.

    JAX runs ahead of the devices, in each process by as many steps as it likes. So when one process has been asked,
    all say how many steps they have begun, and begin no other until the decision: all stop one step after the process
    that is furthest ahead. Steps are counted over all stages of a run, because the next stage may begin meanwhile.
    """

    def __init__(self) -> None:
        self._begun = 0
        self._last = math.inf
        self._told = self._deciding = False
        self._change = threading.Condition()
        when_told("stop", self._decide)

    def stops_now(self, asked: bool) -> bool:
        """Counts a step; whether it is the last."""
        if asked and not self._told:
            self._told = True
            tell("stop", "asked")
        with self._change:
            self._change.wait_for(lambda: not self._deciding)
            self._begun += 1
            return self._begun >= self._last

    def _decide(self, _: str) -> None:
        with self._change:
            self._deciding = True
            begun = self._begun
        tell(f"begun/{index()}", str(begun))
        if is_first():
            others = range(count())
            furthest = max(int(wait_for(f"begun/{other}")) for other in others)
            tell("last", str(furthest + 1))
        last = int(wait_for("last"))
        with self._change:
            self._last, self._deciding = last, False
            self._change.notify_all()


@functools.cache
def _agreement() -> _Agreement:
    """The agreement of this run."""
    return _Agreement()


def _claims_the_end() -> bool:
    """Whether no other process has said why all end."""
    try:
        return _client().key_value_increment(_place("ending"), 1) == 1
    except RuntimeError:  # the first process is gone, and cannot have said anything
        return True


def _exit(status: int) -> NoReturn:
    """Ends this process at once; the first process ends last.

    JAX aborts a process whose connection to the first one breaks, and prints a page about it. So the first one waits
    until the others have said goodbye, and then for as long as it may take them to be gone, however busy the machine.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if count() > 1:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # all is said
        with contextlib.suppress(RuntimeError):
            if is_first():
                deadline = time.monotonic() + _FAREWELL_SECONDS
                for other in range(1, count()):
                    left = max(1, round(1000 * (deadline - time.monotonic())))
                    _client().blocking_key_value_get(_place(f"gone/{other}"), left)
                time.sleep(_LAST_SECONDS)
            else:
                tell(f"gone/{index()}", "gone")
    os._exit(status)


def _place(key: str) -> str:
    return f"rireid_jax/{key}"


def _state() -> Any:
    from jax._src import distributed  # the coordination service has no public name

    return distributed.global_state


def _client() -> Any:
    return _state().client
