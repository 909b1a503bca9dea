"""Eight devices, mapped in either way, against one device with the whole batch: in float64, to 1e-10."""

import logging
from itertools import pairwise

import jax
import numpy as np
import pytest
from tiny_training import (
    STEPS_PER_EPOCH,
    assert_near,
    history_of,
    initial_state,
    one_device_step,
    random_batch,
    small_config,
    step_function,
)

from rireid_jax.parallel import AXIS, Parallel

STEPS = 6  # of three epochs; the rate drops after the first
KINDS = ("pmap", "shard_map")


@pytest.fixture(scope="module")
def config(float64):
    return small_config("float64")


@pytest.fixture(scope="module")
def batches():
    batches = [random_batch(seed) for seed in range(STEPS)]
    on_devices = np.stack([b["has_target"].reshape(8, 2).sum(1) for b in batches])
    assert {0.0, 2.0} == set(on_devices.ravel())  # uneven in every batch
    return batches


@pytest.fixture(scope="module")
def one_device(config, batches):
    """The states and metrics of all steps."""
    return history_of(one_device_step(config, "joint"), initial_state(config, "joint"), batches)


@pytest.fixture(scope="module")
def compiled():
    """A list that grows whenever XLA compiles."""
    found = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="module", params=KINDS)
def eight_devices(request, config, batches, compiled):
    """As `one_device`; and how often each step compiled, and which input buffers were given up."""
    parallel = Parallel(request.param)
    assert parallel.num_devices == 8
    step = parallel.train_step(step_function(config, "joint", AXIS))
    state = parallel.replicate(initial_state(config, "joint"))
    compilations, donated = [], []

    def watched(before, batch):
        compiled.clear()
        after, metrics = step(before, parallel.split_for_training(batch))
        jax.block_until_ready(after)
        compilations.append(len(compiled))
        donated.append([leaf.is_deleted() for leaf in jax.tree.leaves(before)])
        return after, metrics

    return history_of(watched, state, batches), compilations, donated


def test_the_oracle_learns_and_its_rate_drops(config, one_device):
    # Else the comparison below would say little.
    names = [name for name in one_device[0] if name.startswith("params")]
    moves = [
        np.sqrt(sum(np.square(b[n] - a[n]).sum() for n in names)) for a, b in pairwise(one_device)
    ]
    assert STEPS_PER_EPOCH == 2
    assert min(moves[:1]) > 2 * max(moves[1:])
    assert int(one_device[-1]["step"]) == STEPS


def test_state_and_metrics_are_those_of_one_device(one_device, eight_devices):
    history, _, _ = eight_devices
    assert_near(history, one_device, rtol=1e-10, atol=1e-10)


def test_compiles_once_and_donates_the_state(eight_devices):
    _, compilations, donated = eight_devices
    assert compilations[0] >= 1  # else the count would be of nothing
    assert compilations[1:] == [0] * (STEPS - 1)
    assert all(map(all, donated))


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_step_gathers(kind):
    parallel = Parallel(kind)
    split = parallel.split({"x": np.arange(16, dtype=np.float32)})
    shards = {tuple(shard.data.tolist()): shard.device for shard in split["x"].addressable_shards}
    assert shards.keys() == {(2 * i, 2 * i + 1) for i in range(8)}
    assert len(set(shards.values())) == 8
    step = parallel.evaluation_step(lambda variables, batch: variables["by"] * batch["x"])
    out = step(parallel.replicate({"by": np.float32(3)}), split)
    assert out.is_fully_replicated
    np.testing.assert_array_equal(out, 3 * np.arange(16))


def test_shard_map_takes_over_where_jax_has_no_pmap(monkeypatch, caplog):
    monkeypatch.delattr(jax, "pmap")
    with caplog.at_level(logging.INFO, "rireid_jax"):
        assert Parallel("pmap").kind == "shard_map"
    assert "has no pmap: shard_map is taken" in caplog.text
