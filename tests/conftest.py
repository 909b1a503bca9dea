"""What every test shares: eight virtual CPU devices and parsed absl flags."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "")  # nothing of the user's, unless a test asks

import ctypes
import ctypes.util
import gc

import jax
import pytest
from absl import flags

# Grain's worker processes read absl flags, which pytest never parses.
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="module", autouse=True)
def no_compiled_programs_are_left_to_the_next_module():
    """A worker that kept them all would grow to twice the memory of a small machine."""
    yield
    jax.clear_caches()
    gc.collect()
    if (libc := ctypes.util.find_library("c")) and hasattr(ctypes.CDLL(libc), "malloc_trim"):
        ctypes.CDLL(libc).malloc_trim(0)  # what is freed goes back to the system
