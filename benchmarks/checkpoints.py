"""Measures how long a checkpoint interrupts training, compared with torch.save of the same arrays.

python benchmarks/checkpoints.py
"""

import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import measuring
import numpy as np
import torch

from rireid_jax.config import base_config
from rireid_jax.models.network import create_network, zero_variables
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.optimizer import create_optimizer
from rireid_jax.training.state import TrainState, create_state

STEPS = 12  # steps per round; the state is saved before the first of them
ROUNDS = 5
STEP_SECONDS = 0.2  # approximate time of the matrix products that represent a step
STAGE = "joint"
SIZES = {"paper": "vr_market1501", "embedded": "pedestrians"}


def state_of(dataset: str) -> TrainState:
    """Returns a state of the joint stage with noise as weights, which compresses as badly as trained weights do."""
    config = base_config(dataset)
    network = create_network(config, STAGE, num_classes=751)
    rng = np.random.default_rng(0)

    def noise(leaf: Any) -> jax.Array:
        return jnp.asarray(rng.standard_normal(leaf.shape, np.float32))

    variables = jax.tree.map(noise, zero_variables(network))
    optimizer, _ = create_optimizer(config, STAGE, steps_per_epoch=1000)
    state = create_state(variables, optimizer, tuple(config.stages[STAGE].train))
    momentum = jax.tree.map(
        lambda x: noise(x) if jnp.issubdtype(x.dtype, jnp.floating) else x, state.opt_state
    )
    return state.replace(opt_state=momentum)


def steps(step: Callable[[], Any], save: Callable[[], None] | None) -> tuple[float, float]:
    """Returns (seconds for which saving blocks the loop, seconds of all steps including these)."""
    start = time.perf_counter()
    if save is not None:
        save()
    held = time.perf_counter() - start
    for _ in range(STEPS):
        step()
    return held, time.perf_counter() - start


def row(size: str, dataset: str, folder: Path) -> dict[str, Any]:
    state = state_of(dataset)
    arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
    tensors = [torch.from_numpy(np.array(array)) for array in arrays]
    megabytes = sum(array.nbytes for array in arrays) / 1e6
    side, product = 1024, jax.jit(jnp.matmul)
    jax_matrix, torch_matrix = jnp.ones((side, side)), torch.ones(side, side)
    product(jax_matrix, jax_matrix).block_until_ready()
    start = time.perf_counter()
    for _ in range(10):
        product(jax_matrix, jax_matrix).block_until_ready()
    repeats = math.ceil(STEP_SECONDS / ((time.perf_counter() - start) / 10))

    def our_step() -> None:
        for _ in range(repeats):
            result = product(jax_matrix, jax_matrix)
        result.block_until_ready()

    def their_step() -> None:
        for _ in range(repeats):
            torch_matrix @ torch_matrix

    found: dict[str, list[tuple[float, float]]] = {"ours": [], "torch": []}
    place = folder / size
    place.mkdir()
    with Checkpoints(str(place), STAGE) as checkpoints:
        for turn in range(ROUNDS + 1):  # the first round is not counted
            for name, step, save in (
                ("ours", our_step, lambda: checkpoints.save(state, turn)),  # noqa: B023
                ("torch", their_step, lambda: torch.save(tensors, place / "torch.pth")),
            ):
                without = steps(step, None)[1]
                held, with_save = steps(step, save)
                checkpoints.wait()
                if turn:
                    found[name].append((held, with_save - without))
    held = {name: [pair[0] for pair in pairs] for name, pairs in found.items()}
    slower = {name: statistics.median(pair[1] for pair in pairs) for name, pairs in found.items()}
    return {
        "state": f"{STAGE}, {size}",
        "MB": megabytes,
        "ours holds up ms": 1e3 * statistics.median(held["ours"]),
        "torch.save holds up ms": 1e3 * statistics.median(held["torch"]),
        "torch / ours": measuring.ratio(held["torch"], held["ours"]),
        f"ours, {STEPS} steps longer by ms": 1e3 * slower["ours"],
        f"torch, {STEPS} steps longer by ms": 1e3 * slower["torch"],
    }


def main() -> None:
    copy = measuring.ceilings()["jax copy"]
    folder = Path(tempfile.mkdtemp(prefix="rireid-checkpoints-"))
    try:
        rows = [row(size, dataset, folder) for size, dataset in SIZES.items()]
    finally:
        shutil.rmtree(folder)
    measuring.publish(
        "checkpoints",
        "Stall by a checkpoint",
        rows,
        [
            "Held up: how long the call takes, after which the arrays may be overwritten. Longer: how much later the "
            f"{STEPS} steps after it are done than without it, as the file is written meanwhile; a step is a matrix "
            f"product of about {STEP_SECONDS} s on all cores.",
            "torch.save writes a file that is torn if the process is killed meanwhile; ours is atomic and has "
            "checksums.",
            f"Median of {ROUNDS} rounds. Copying at this machine's {copy / 1e9:.0f} GB/s, the large state would take "
            f"{2e9 * rows[0]['MB'] / copy:.0f} ms.",
        ],
    )


if __name__ == "__main__":
    main()
