"""PyTorch is an optional part: without it, what compares with it is not collected."""

from importlib.util import find_spec

if find_spec("torch") is None:
    collect_ignore_glob = ["test_[!n]*.py"]  # test_names.py needs none
