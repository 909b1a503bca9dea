"""Compiled programs on disk: where, whose, and that torn ones are neither used nor in the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rireid_jax.cli import compilation

# Compiles one program and prints what JAX says of it, and its result.
PROGRAM = """
import jax, jax.numpy as jnp
from rireid_jax.cli.compilation import keep_compiled_programs
keep_compiled_programs()
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name))
value = jax.jit(lambda x: jnp.sin(x) @ x)(jnp.arange(16.).reshape(4, 4)).sum()
print("/jax/compilation_cache/cache_hits" in events, float(value))
"""


def compiles(home, **variables):
    """Runs `PROGRAM` in a process of its own: (whether JAX read it from disk, its result)."""
    variables = {"XDG_CACHE_HOME": str(home), **variables}
    environment = {
        **{k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"},
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **variables,
    }
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    hit, value = done.stdout.split()
    return hit == "True", float(value)


def entries(home):
    return sorted(Path(home).rglob("*-cache"))


def test_a_second_process_reads_what_the_first_compiled(tmp_path):
    hit, value = compiles(tmp_path)
    assert not hit
    assert entries(tmp_path)
    assert compiles(tmp_path) == (True, value)
    # A killed run leaves torn entries: they are compiled again, and then kept whole.
    for path in entries(tmp_path):
        path.write_bytes(path.read_bytes()[:-5])
        path.touch()
    assert compiles(tmp_path) == (False, value)
    assert compiles(tmp_path) == (True, value)


def test_nowhere_to_keep_it_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert not compiles(tmp_path / "file")[0]
    assert not compiles(tmp_path / "home", JAX_COMPILATION_CACHE_DIR="")[0]
    assert not (tmp_path / "home").exists()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return compilation._own_folder()


def test_the_folder_is_the_users_alone(folder):
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in (folder, folder.parent):
        path.chmod(0o770)
        with pytest.raises(PermissionError, match="others may write"):
            compilation._own_folder()
        path.chmod(0o700)
    assert compilation._own_folder() == folder


def write(folder, name, data, age=0):
    path = folder / f"{name}-cache"
    path.write_bytes(data)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_only_what_is_new_is_looked_at(folder):
    torn = write(folder, "torn", b"")
    compilation._discard_torn(folder)
    assert not torn.exists()
    old = write(folder, "old", b"")
    compilation._discard_torn(folder)
    assert old.exists()


def test_the_oldest_go_beyond_the_limit(folder, monkeypatch):
    paths = [write(folder, f"{n}", bytes(100), age=n) for n in range(4)]
    monkeypatch.setattr(compilation, "LIMIT_BYTES", 250)
    compilation._discard_oldest(folder)
    assert [path.exists() for path in paths] == [True, True, False, False]
