import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rireid_jax.data.keyed_random import keyed_rng

PARTS = st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=3)


def words(seed: int, *key: str | int) -> list[int]:
    return keyed_rng(seed, *key).integers(0, 2**62, size=4).tolist()


def test_known_values_stay():
    # Built data sets depend on these bits: a change here changes every one of them.
    message = b"".join(
        len(part).to_bytes(8, "little") + part
        for part in (b"int:0", b"str:query/0001_c1.png", b"str:width")
    )
    state = int.from_bytes(hashlib.blake2b(message, digest_size=32).digest(), "little")
    oracle = np.random.Generator(np.random.PCG64(state)).integers(0, 2**62, size=4)
    assert words(0, "query/0001_c1.png", "width") == oracle.tolist()
    assert words(0, "query/0001_c1.png", "width")[0] == 1337144320180854340


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_independent_of_process_and_hash_seed(hash_seed: str):
    code = (
        "from rireid_jax.data.keyed_random import keyed_rng;"
        "print(keyed_rng(7, 'name', 3).integers(0, 2**62, size=4).tolist())"
    )
    output = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert output.strip() == str(words(7, "name", 3))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((0, "ab", "c"), (0, "a", "bc")),
        ((0, "ab"), (0, "a", "b")),
        ((0, "a"), (0, "a", "")),
        ((0, 1), (0, "1")),
        ((0, 1), (1, 0)),
        ((1,), (-1,)),
    ],
)
def test_different_keys_differ(left, right):
    assert words(*left) != words(*right)


@given(st.integers(), PARTS, st.integers(), PARTS)
def test_equal_exactly_when_seed_and_key_are_equal(seed, key, other_seed, other_key):
    same = seed == other_seed and key == other_key
    assert (words(seed, *key) == words(other_seed, *other_key)) == same
    assert words(seed, *key) == words(seed, *key)


def test_names_that_are_not_utf8_are_keys():
    name = os.fsdecode(b"caf\xe9.png")
    assert words(0, name) == words(0, name) != words(0, "café.png")


def test_streams_of_neighbouring_keys_are_uncorrelated():
    draws = np.stack([keyed_rng(0, index).standard_normal(64) for index in range(256)])
    # Standard error of a mean of 64 * 256 standard normal numbers is 1 / 128.
    assert abs(draws.mean()) < 4 / 128
    correlation = np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())[0, 1]
    assert abs(correlation) < 4 / 128
