"""Compiled programs on disk: where, whose, and that what is damaged is neither used nor in the way."""

import json
import os
import subprocess
import sys
import zlib
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
    # Bits that have changed in every entry, as no reader of them might notice: they are compiled again.
    for path in entries(tmp_path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
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


def test_torn_entries_go_and_whole_ones_stay(folder):
    whole = write(folder, "whole", zlib.compress(b"code" * 100))
    torn = write(folder, "torn", zlib.compress(b"code" * 100)[:-5])
    empty = write(folder, "empty", b"")
    compilation._check(folder, discard=False)  # another run may be writing them
    assert torn.exists()
    assert compilation._read_checksums(folder) == {whole.name: zlib.crc32(whole.read_bytes())}
    compilation._check(folder, discard=True)
    assert whole.exists()
    assert not torn.exists()
    assert not empty.exists()


@pytest.mark.parametrize("text", ["", "{", "3", json.dumps([1, 2])])
def test_damaged_checksums_are_no_error(folder, text):
    whole = write(folder, "whole", zlib.compress(b"code"))
    (folder / "checksums.json").write_text(text)
    compilation._check(folder, discard=True)
    assert set(compilation._read_checksums(folder)) == {whole.name}


def test_the_oldest_go_beyond_the_limit(folder, monkeypatch):
    paths = [write(folder, f"{n}", bytes(100), age=n) for n in range(4)]
    monkeypatch.setattr(compilation, "LIMIT_BYTES", 250)
    compilation._discard_oldest(folder)
    assert [path.exists() for path in paths] == [True, True, False, False]
