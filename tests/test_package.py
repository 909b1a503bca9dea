"""What `import rireid_jax` gives, and what it costs."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import rireid_jax


def test_importing_imports_nothing_heavy():
    code = (
        "import rireid_jax, rireid_jax.config, sys;"
        "print({'jax', 'flax', 'orbax', 'tensorflow', 'tensorflow_datasets'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert result.stdout.strip() == "set()"


def test_version_is_that_of_the_metadata():
    assert rireid_jax.__version__ == version("rireid_jax")


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = rireid_jax.nosuch
