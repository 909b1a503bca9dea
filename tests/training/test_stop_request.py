"""The first signal is answered at once, and the loop saves and stops; a second one ends the process."""

import os
import signal
import subprocess
import sys

import pytest

from rireid_jax.distributed import StopRequest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_asks_and_hands_the_second_back(number, capfd):
    previous = signal.signal(number, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            stop.unsaved = True
            assert not stop.now()
            os.kill(os.getpid(), number)
            assert stop.now()
            assert signal.getsignal(number) is signal.SIG_IGN
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, previous)
    name = signal.Signals(number).name
    assert capfd.readouterr().err == (
        f"{name}: saves after this step and stops; a second one ends at once\n"
    )


# The main thread is in C, where Python's signal handlers do not run, as while XLA compiles.
_BUSY = """
import hashlib, sys
from rireid_jax.distributed import StopRequest
with StopRequest() as stop:
    stop.unsaved = sys.argv[1] == "unsaved"
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("unsaved", [False, True])
def test_a_signal_is_answered_while_python_is_busy(number, unsaved):
    command = [sys.executable, "-c", _BUSY, "unsaved" if unsaved else ""]
    name = signal.Signals(number).name
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        assert run.stderr
        assert run.stdout.readline() == "busy\n"
        run.send_signal(number)
        line = run.stderr.readline()
        if unsaved:
            assert line.startswith(f"{name}: saves after this step")
            assert run.poll() is None
            run.send_signal(number)
            assert run.wait() == 128 + number
        else:
            assert line.startswith(f"{name}: stopped, nothing had to be saved")
            assert run.wait() == 0
