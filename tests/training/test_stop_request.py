"""The first signal is answered at once, and the loop saves and stops; a second one ends the process."""

import os
import signal
import subprocess
import sys

import pytest

from rireid_jax.distributed import StopRequest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_asks_and_the_previous_handler_comes_back(number, capfd):
    previous = signal.signal(number, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            stop.unsaved = True
            assert not stop.now()
            os.kill(os.getpid(), number)
            assert stop.now()
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, previous)
    name = signal.Signals(number).name
    assert capfd.readouterr().err == (
        f"{name}: saves after this step and stops; a second one ends at once\n"
    )


_RUN = """
import hashlib, sys, time
from rireid_jax.distributed import StopRequest, end_by_signal
from rireid_jax.signals import Answers
with Answers(end_by_signal), Answers(end_by_signal) if sys.argv[1] == "outside" else StopRequest() as stop:
    stop.unsaved = sys.argv[1] == "unsaved"
    print("begun", flush=True)
    while True:
        {work}
"""
# In C, Python's signal handlers do not run, as while XLA compiles; between short sleeps they do.
_WORK = ["hashlib.pbkdf2_hmac('sha256', b'', b'', 1_000_000_000)", "time.sleep(0.01)"]


@pytest.mark.parametrize("work", _WORK, ids=["in C", "in Python"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("training", ["outside", "saved", "unsaved"])
def test_signals_are_answered_wherever_the_main_thread_is(number, training, work):
    command = [sys.executable, "-c", _RUN.format(work=work), training]
    name = signal.Signals(number).name
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        assert run.stderr
        assert run.stdout.readline() == "begun\n"
        run.send_signal(number)
        line = run.stderr.readline()
        if training == "unsaved":
            assert line.startswith(f"{name}: saves after this step")
            assert run.poll() is None
            run.send_signal(number)
            assert run.wait() == 128 + number
        else:
            assert line.startswith(f"{name}: stopped, nothing had to be saved")
            assert run.wait() == (128 + number if training == "outside" else 0)
