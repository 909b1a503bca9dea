"""Eight devices, mapped in either way, against one device with the whole batch: in float64, to 1e-10."""

import logging
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_training import (
    STEPS_PER_EPOCH,
    initial_state,
    leaves,
    one_device_step,
    random_batch,
    small_config,
    step_function,
)

from rireid_jax.errors import UserError
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
    step = one_device_step(config, "joint")
    state, history = initial_state(config, "joint"), []
    for batch in batches:
        state, metrics = step(state, batch)
        history.append((leaves(state), leaves(metrics)))
    return history


class Compilations:
    """How often XLA compiled while this was entered."""

    EVENT = "/jax/core/compile/backend_compile_duration"

    def __enter__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *_):
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event, duration, **_):
        self.count += event == self.EVENT


@pytest.fixture(scope="module", params=KINDS)
def eight_devices(request, config, batches):
    """As `one_device`; and how often each step compiled, and which input buffers were given up."""
    parallel = Parallel(request.param)
    assert parallel.num_devices == 8
    step = parallel.train_step(step_function(config, "joint", AXIS))
    state = parallel.replicate(initial_state(config, "joint"))
    history, compilations, donated = [], [], []
    for batch in batches:
        before = state
        with Compilations() as compiled:
            state, metrics = step(state, parallel.split_for_training(batch))
            jax.block_until_ready(state)
        compilations.append(compiled.count)
        donated.append([leaf.is_deleted() for leaf in jax.tree.leaves(before)])
        # Of a copy: an array that NumPy looks into cannot be donated.
        history.append((leaves(jax.tree.map(jnp.copy, state)), leaves(metrics)))
    return history, compilations, donated


def test_the_oracle_learns_and_its_rate_drops(config, one_device):
    # Else the comparison below would say little.
    names = [name for name in one_device[0][0] if name.startswith("params")]
    moves = [
        np.sqrt(sum(np.square(b[n] - a[n]).sum() for n in names))
        for (a, _), (b, _) in pairwise(one_device)
    ]
    assert STEPS_PER_EPOCH == 2
    assert min(moves[:1]) > 2 * max(moves[1:])
    assert int(one_device[-1][0]["step"]) == STEPS


def test_state_and_metrics_are_those_of_one_device(one_device, eight_devices):
    history, _, _ = eight_devices
    for step, (expected, found) in enumerate(zip(one_device, history, strict=True), start=1):
        for wanted, got in zip(expected, found, strict=True):
            assert wanted.keys() == got.keys()
            for name in wanted:
                np.testing.assert_allclose(
                    got[name], wanted[name], rtol=1e-10, atol=1e-10, err_msg=f"{step}: {name}"
                )


def test_compiles_once(eight_devices):
    _, compilations, _ = eight_devices
    assert compilations[0] >= 1  # else the count would be of nothing
    assert compilations[1:] == [0] * (STEPS - 1)


def test_state_is_donated(eight_devices):
    _, _, donated = eight_devices
    for step in donated:
        assert all(step)


@pytest.mark.parametrize("kind", KINDS)
def test_split_batches_are_whole_on_the_devices(kind):
    parallel = Parallel(kind)
    batch = {"label": np.arange(16, dtype=np.int32), "image": np.zeros((16, 2, 3), np.uint8)}
    split = parallel.split(batch)
    assert split["image"].shape == (16, 2, 3)
    shards = sorted(split["label"].addressable_shards, key=lambda shard: shard.index[0].start)
    assert [shard.data.tolist() for shard in shards] == [[2 * i, 2 * i + 1] for i in range(8)]
    assert len({shard.device for shard in shards}) == 8


def test_evaluation_step_gathers():
    parallel = Parallel("shard_map")
    step = parallel.evaluation_step(lambda variables, batch: variables["by"] * batch["x"])
    variables = parallel.replicate({"by": np.float32(3)})
    out = step(variables, parallel.split({"x": np.arange(16, dtype=np.float32)}))
    assert out.is_fully_replicated
    np.testing.assert_array_equal(out, 3 * np.arange(16))


def test_placement_of_abstract_state_is_that_of_the_state():
    parallel = Parallel("pmap")
    tree = {"w": np.ones((3, 2), np.float32), "n": np.int32(1)}
    for abstract, array in zip(
        *(jax.tree.leaves(t) for t in (parallel.abstract(tree), parallel.replicate(tree))),
        strict=True,
    ):
        assert (abstract.shape, abstract.dtype) == (array.shape, array.dtype)
        assert abstract.sharding == array.sharding
        assert array.is_fully_replicated
        assert len(array.sharding.device_set) == 8


def test_batch_size_that_does_not_split():
    parallel = Parallel("pmap")
    parallel.check_batch_size("batch_size", 16)
    with pytest.raises(UserError, match=r"config\.eval\.batch_size: found 12, .* 8 devices"):
        parallel.check_batch_size("eval.batch_size", 12)


def test_shard_map_takes_over_where_jax_has_no_pmap(monkeypatch, caplog):
    monkeypatch.delattr(jax, "pmap")
    with caplog.at_level(logging.INFO, "rireid_jax"):
        assert Parallel("pmap").kind == "shard_map"
    assert "has no pmap: shard_map is taken" in caplog.text
