"""PyTorch is an optional part: without it, what compares with it is not collected."""

from importlib.util import find_spec

import jax
import pytest

if find_spec("torch") is None:
    collect_ignore_glob = ["test_[!n]*.py"]  # test_names.py needs none


@pytest.fixture
def one_device(monkeypatch):
    """Full-size parameters lie on one device then, not on eight, which takes a gigabyte more."""
    first = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: first)
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
