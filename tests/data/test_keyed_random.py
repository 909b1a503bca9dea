import hashlib
import os

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from rireid_jax.data.keyed_random import keyed_rng

PARTS = st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=3)


def words(seed: int, *key: str | int) -> list[int]:
    return keyed_rng(seed, *key).integers(0, 2**62, size=4).tolist()


def test_known_values_stay():
    """Built data sets depend on these bits, so no process and no hash seed of Python may change them."""
    message = b"".join(
        len(part).to_bytes(8, "little") + part
        for part in (b"int:0", b"str:query/0001_c1.png", b"str:width")
    )
    state = int.from_bytes(hashlib.blake2b(message, digest_size=32).digest(), "little")
    oracle = np.random.Generator(np.random.PCG64(state)).integers(0, 2**62, size=4)
    assert words(0, "query/0001_c1.png", "width") == oracle.tolist()
    assert words(0, "query/0001_c1.png", "width")[0] == 1337144320180854340


# Keys that are the same when they are joined, padded or printed.
@example(0, ["ab", "c"], 0, ["a", "bc"])
@example(0, ["ab"], 0, ["a", "b"])
@example(0, ["a"], 0, ["a", ""])
@example(0, [1], 0, ["1"])
@example(0, [1], 1, [0])
@example(1, [], -1, [])
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
