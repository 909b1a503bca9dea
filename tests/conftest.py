"""What every test shares: eight virtual CPU devices, fast compilation and parsed absl flags."""

import atexit
import os
import shutil
import tempfile
from importlib.metadata import version

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # programs run once or twice
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):
    # Halves to quarters the compilation of a step. Jaxlib 0.12 has this flag no more, and would end at it.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
# What is compiled once is there for all tests, workers and commands of this session, and nothing of the user's is.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="rireid-compiled-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import ctypes
import ctypes.util
import gc
import math
import resource
from pathlib import Path

import jax
import pytest
from absl import flags

# Grain's worker processes read absl flags, which pytest never parses.
flags.FLAGS.mark_as_parsed()


_MUCH = 1.0  # GiB


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_are_not_kept_without_end():
    """A worker that kept them all would grow to twice the memory of a small machine."""
    yield
    if _resident() < _MUCH:
        return
    jax.clear_caches()
    gc.collect()
    if (libc := ctypes.util.find_library("c")) and hasattr(ctypes.CDLL(libc), "malloc_trim"):
        ctypes.CDLL(libc).malloc_trim(0)  # what is freed goes back to the system


def _resident() -> float:
    """GiB that this process holds now; infinity where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return math.inf
    return pages * resource.getpagesize() / 2**30


_peaks: dict[
    str, tuple[float, float]
] = {}  # GiB, of each worker and of the greatest process that it started


def _peak() -> tuple[float, float]:
    users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    own, started = (resource.getrusage(user).ru_maxrss / 2**20 for user in users)
    return own, started


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tells the main process, where tests run in several, how much memory this one took."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["peak"] = _peak()


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_testnodedown(node) -> None:
    if "peak" in getattr(node, "workeroutput", {}):
        _peaks[node.gateway.id] = node.workeroutput["peak"]


def pytest_terminal_summary(terminalreporter) -> None:
    for name, (own, started) in sorted((_peaks or {"pytest": _peak()}).items()):
        terminalreporter.write_line(
            f"{name}: peak memory {own:.2f} GiB, its largest child process {started:.2f} GiB"
        )
