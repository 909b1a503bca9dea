"""One process of several that train: what `test_processes` starts.

Its arguments are one JSON object:
  out: folder that the first process writes to.
  index, count, port: of the processes; count 1 is a process by itself.
  kinds: of parallelism to take six steps under.
  stage: trained in `out/run` until the run is asked to stop, if given.
  victim, at: the process that SIGTERM reaches, and with which of its batches.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from tiny_training import initial_state, leaves, random_batch, small_config, step_function

from rireid_jax import distributed
from rireid_jax.distributed import StopRequest
from rireid_jax.parallel import AXIS, Parallel
from rireid_jax.runs.metrics import NoMetrics
from rireid_jax.training import loop

STEPS = 6


BATCH_NORM = "baseline"  # a stage with batch norm that compiles fast


def six_steps(kind: str) -> dict[str, np.ndarray]:
    """The state after each of six steps of a stage, and the metrics."""
    config = small_config("float64")
    parallel = Parallel(kind)
    step = parallel.train_step(step_function(config, BATCH_NORM, AXIS))
    state, history = parallel.replicate(initial_state(config, BATCH_NORM)), {}
    for number in range(STEPS):
        whole = random_batch(number)
        own = {k: v[parallel.process_index :: parallel.process_count] for k, v in whole.items()}
        state, metrics = step(state, parallel.split_for_training(own))
        history |= {f"{number}/{name}": leaf.copy() for name, leaf in leaves(state).items()}
        history |= {f"{number}/metrics/{k}": leaf for k, leaf in leaves(metrics).items()}
    return history


def train_until_stopped(out: Path, stage: str, victim: int, at: int) -> str:
    """Trains on the data of `test_loop`. Returns how it ended."""
    from test_loop import DATA, PIDS, stage_config

    batches = loop.train_batches

    def batches_with_a_signal(*args, **options):
        for number, batch in enumerate(batches(*args, **options), start=1):
            if number == at and distributed.index() == victim:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    loop.train_batches = batches_with_a_signal
    config = stage_config()
    config.dtype = "float64"
    try:
        with StopRequest() as stop:
            loop.train_stage(
                config,
                stage,
                workdir=str(out / "run"),
                data=DATA,
                num_classes=len(PIDS),
                parallel=Parallel("pmap"),
                log=NoMetrics(),
                stop=stop,
            )
    except loop.Stopped as stopped:
        return str(stopped)
    return "finished"


def main(
    out: str,
    index: int,
    count: int,
    port: int,
    kinds: Sequence[str],
    stage: str = "",
    victim: int = 0,
    at: int = 0,
) -> None:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)
    if count > 1:
        distributed.join(f"localhost:{port}", count, index)
    states = {kind: six_steps(kind) for kind in kinds}
    ended = train_until_stopped(Path(out), stage, victim, at) if stage else ""
    if distributed.is_first():
        for kind, history in states.items():
            np.savez(Path(out) / f"{kind}.npz", **history)
    distributed.leave()
    print(json.dumps({"devices": jax.device_count(), "ended": ended}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
