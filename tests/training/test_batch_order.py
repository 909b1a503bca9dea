"""Every stage of a run has an order and an augmentation of its own, whatever ran before it."""

import numpy as np
from test_loop import DATA, stage_config

from rireid_jax.parallel import Parallel
from rireid_jax.training.loop import _batches


def images(config, stage, start=0, count=6):
    with _batches(config, stage, DATA, start, Parallel("shard_map", alone=True)) as batches:
        return np.concatenate([next(batches)["image"] for _ in range(count)])


def test_a_stage_does_not_replay_the_batches_of_another():
    # As the stages joint, rife and baseline did: the same images in the same order, with the same flips and crops.
    config = stage_config()
    orders = {stage: images(config, stage) for stage in ("rife", "joint", "baseline", "ffsr")}
    for stage, own in orders.items():
        for other, theirs in orders.items():
            assert stage == other or (own != theirs).any((1, 2, 3)).mean() > 0.5


def test_a_stage_goes_on_where_it_stopped():
    config = stage_config()
    np.testing.assert_array_equal(images(config, "joint")[8:], images(config, "joint", 1, 5))


def test_seeds_differ():
    config = stage_config()
    one = images(config, "joint")
    config.seed = 1
    assert (one != images(config, "joint")).any()
