"""States to save, and what tests of torn checkpoints need."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rireid_jax.parallel import Parallel
from rireid_jax.training.state import TrainState, create_state

PARALLEL = Parallel("shard_map")
# Orbax leaves the tasks behind that were to read the rest of a torn checkpoint. See conftest.py.
torn = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited"
)


def state_at(step: int) -> TrainState:
    """A state with momentum and running statistics of its own, on all devices."""
    # Large enough to lie in files of values, which Orbax has no checksum of.
    values = np.random.default_rng(step).standard_normal((2, 100, 100)).astype(np.float32)
    variables = {
        "params": {
            "extractor": {"conv": {"kernel": jnp.asarray(values[0])}},
            "super_resolution": {"bias": jnp.full(7, step, jnp.float32)},
        },
        "batch_stats": {"extractor": {"bn": {"mean": jnp.asarray([np.pi, step], jnp.float32)}}},
    }
    optimizer = optax.adam(optax.piecewise_constant_schedule(0.1, {2: 0.1}))
    state = create_state(variables, optimizer, ("extractor",))
    gradient = {"extractor": {"conv": {"kernel": jnp.asarray(values[1])}}}
    _, opt_state = optimizer.update(gradient, state.opt_state)
    return PARALLEL.replicate(state.replace(step=jnp.int32(step), opt_state=opt_state))


def abstract_state() -> TrainState:
    return PARALLEL.abstract(state_at(0))


def assert_same(found: object, expected: object) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.dtype, a.sharding) == (b.dtype, b.sharding)
        np.testing.assert_array_equal(a, b)


def assert_same_variables(found: dict, step: int) -> None:
    expected = state_at(step)
    expected = {"params": expected.params, "batch_stats": expected.batch_stats}
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
