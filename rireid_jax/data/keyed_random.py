"""Random numbers and orders that depend on names, never on the order in which they are drawn."""

import hashlib
import json
from collections.abc import Iterable

import numpy as np


def keyed_rng(seed: int, *key: str | int) -> np.random.Generator:
    """Returns a generator that is a function of `(seed, key)` and of nothing else.

    The seed and the key are hashed with BLAKE2b, so the numbers do not depend on the order of
    calls, the number of workers, the machine, the Python version or `PYTHONHASHSEED`. Parts of a
    key are kept apart: `("ab", "c")`, `("a", "bc")` and `("abc",)` are three keys, and the
    number 1 is not the text "1".

    Args:
        seed: Seed of the whole data set; any integer.
        *key: What is being drawn for: usually a relative file name and a word for the purpose.

    Returns:
        A fresh PCG64 generator at the start of its stream.
    """
    state = hashlib.blake2b(digest_size=32)
    for part in (seed, *key):
        # File names that are not valid UTF-8 reach Python with surrogates in them.
        text = f"str:{part}" if isinstance(part, str) else f"int:{int(part)}"
        encoded = text.encode("utf-8", errors="surrogateescape")
        state.update(len(encoded).to_bytes(8, "little"))
        state.update(encoded)
    return np.random.Generator(np.random.PCG64(int.from_bytes(state.digest(), "little")))


def stage_seed(seed: int, stage: str) -> int:
    """Returns the seed of a stage's batches, in [0, 2**32).

    Stages that follow one another see the same images, but not in the same order, nor with the same crops.
    """
    return int(keyed_rng(seed, "stage", stage).integers(2**32))


def keyed_order(seed: int, purpose: str, names: Iterable[str]) -> list[str]:
    """Names in a random order that depends on nothing but `(seed, purpose)` and the names."""

    def rank(name: str) -> tuple[bytes, str]:
        key = json.dumps([seed, purpose, name]).encode()
        return hashlib.blake2b(key, digest_size=16).digest(), name

    return sorted(names, key=rank)
