"""Times training step and inference against PyTorch, from the same weights on the same batch; `make bench` runs it.

On CPU it times FFSR, RIFE and both together, at the paper's size and at the embedded size, in float32. On a GPU it
times both together at the paper's size, in bfloat16, with batches of 32, 64 and 256, without TFDS and Grain.

If it is bound to one core (`taskset -c 0`), it measures CPU time, without `torch.compile`. Only this is a fair
comparison on a shared machine: PyTorch's threads spin while they wait for each other, and lose more time than XLA's.

PYTHONPATH=tests python benchmarks/steps.py [SYSTEM/SIZE ...]
"""

import argparse
import functools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import measuring
import numpy as np
import torch
from ml_collections import ConfigDict
from torch import nn
from torch_reference import losses as their_losses
from torch_reference import train as their_train
from torch_reference.ffsr import FFSRPaper
from torch_reference.rife import JointNetwork, RIFEPaper

from rireid_jax.config import base_config
from rireid_jax.models.complexity import count_macs
from rireid_jax.models.network import create_network, infer
from rireid_jax.models.pixels import normalise
from rireid_jax.parallel import AXIS, Parallel
from rireid_jax.training.optimizer import create_optimizer
from rireid_jax.training.state import create_state
from rireid_jax.training.step import make_train_step
from rireid_jax.weights import from_state_dict

ON_GPU = jax.default_backend() != "cpu"
DEVICE = "cuda" if ON_GPU else "cpu"
ONE_CORE = not ON_GPU and len(os.sched_getaffinity(0)) == 1
CLOCK = time.process_time if ONE_CORE else time.perf_counter
# Skipped with torch.compile, which takes a minute for it; the joint network contains it anyway.
NOT_COMPILED = ("rife/paper",)
IDENTITIES = 751  # identities of Market-1501
SECONDS = 8.0  # approximate duration of the timed rounds of a row
THEIRS = ("eager", "compile")
OBJECTIVES = {
    "ffsr": their_train.ffsr_objective,
    "rife": their_train.rife_objective,
    "joint": their_train.joint_objective,
}


@dataclass(frozen=True)
class Case:
    """One case to measure: the network of a stage.

    Attributes:
      system: "ffsr", "rife" or "joint".
      size: "paper", or "embedded" for the two-core setting.
      batch: images per step.
    """

    system: str
    size: str
    batch: int

    @property
    def name(self) -> str:
        return f"{self.system}/{self.size}"

    @property
    def steps(self) -> int:
        """The number of steps in a timed call, which are enqueued before it waits, as in training.

        A step at the paper's size takes a second on CPU, so one is enough. A step at the embedded size takes less time
        than threads need to wake up after the pause between two calls.
        """
        return 1 if self.size == "paper" and not ON_GPU else 10

    def config(self) -> ConfigDict:
        config = base_config("vr_market1501" if self.size == "paper" else "pedestrians")
        config.dtype = "bfloat16" if ON_GPU else "float32"
        config.batch_size = self.batch
        stage = config.stages[self.system]
        # The same optimizer and loss weights in all stages, as in the paper.
        for optimizer in stage.optimizer.values():
            optimizer.update(name="sgd", rate=stage.optimizer.extractor.rate, weight_decay=5e-4)
        restoration = stage.losses.restoration
        restoration.weight = min(restoration.weight, 1.0)
        return config


CASES = (
    [Case("joint", "paper", batch) for batch in (32, 64, 256)]
    if ON_GPU
    else [
        *(Case(system, "paper", 8) for system in OBJECTIVES),
        *(Case(system, "embedded", 32) for system in OBJECTIVES),
    ]
)


def random_batch(size: tuple[int, int], count: int) -> dict[str, np.ndarray]:
    """Returns a batch of noise in the format of the input pipeline."""
    rng = np.random.default_rng(0)
    image, target = rng.integers(0, 256, (2, count, *size, 3), np.uint8)
    return {
        "image": image,
        "target": target,
        "mask": np.full((count, *size), 255, np.uint8),
        "has_target": np.ones(count, np.float32),
        "resolution": rng.uniform(0.1, 1, count).astype(np.float32),
        "label": rng.integers(0, IDENTITIES, count).astype(np.int32),
    }


def their_batch(batch: Mapping[str, np.ndarray]) -> their_train.Batch:
    """Returns the same batch for PyTorch: on the device, normalised, in channels_last."""

    def images(x: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.array(normalise(jnp.asarray(x)))).permute(0, 3, 1, 2)
        return tensor.to(DEVICE, memory_format=torch.channels_last)

    mask = their_losses.gaussian_mask(*batch["image"].shape[1:3])
    return their_train.Batch(
        image=images(batch["image"]),
        target=images(batch["target"]),
        mask=mask.expand(len(batch["label"]), 1, *mask.shape).to(DEVICE),
        valid=torch.from_numpy(batch["has_target"] > 0).to(DEVICE),
        resolution=torch.from_numpy(batch["resolution"]).to(DEVICE),
        pid=torch.from_numpy(batch["label"]).long().to(DEVICE),
    )


def make_reference(config: ConfigDict) -> JointNetwork:
    torch.manual_seed(0)
    model = config.model
    rife = RIFEPaper(IDENTITIES, tuple(model.stage_sizes), model.width)
    return JointNetwork(FFSRPaper(model.ffsr_width), rife).to(memory_format=torch.channels_last)


def our_training(
    config: ConfigDict, stage: str, variables: Any, batch: Mapping[str, np.ndarray], kind: str
) -> Callable[[int], float]:
    """Runs steps under "pmap" or "shard_map" on a batch in host memory; returns the loss of the last step."""
    parallel = Parallel(kind)
    network = create_network(config, stage, IDENTITIES, AXIS)
    optimizer, _ = create_optimizer(config, stage, steps_per_epoch=1000)
    step = parallel.train_step(make_train_step(config, stage, network, optimizer, AXIS))
    state = create_state(jax.tree.map(jnp.array, variables), optimizer, config.stages[stage].train)
    state = parallel.replicate(state)

    def run(steps: int) -> float:
        nonlocal state
        for _ in range(steps):
            state, metrics = step(state, parallel.split_for_training(batch))
        return float(metrics["loss"])

    return run


def their_training(
    reference: JointNetwork, stage: str, batch: their_train.Batch, *, compiled: bool
) -> Callable[[int], float]:
    """Runs steps of `torch_reference`, in bfloat16 on a GPU; returns the loss of the last step."""
    network = their_part(reference, stage).train()
    optimizer, _ = their_train.paper_optimizer(network, 0.01, [])
    forward = torch.compile(network) if compiled else network

    def run(steps: int) -> float:
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.autocast(DEVICE, torch.bfloat16, enabled=ON_GPU):
                loss = OBJECTIVES[stage](forward, batch)
            loss.backward()
            optimizer.step()
        return loss.item()

    return run


def their_part(reference: JointNetwork, stage: str) -> nn.Module:
    return {"ffsr": reference.ffsr, "rife": reference.rife, "joint": reference}[stage]


def our_inference(
    config: ConfigDict, stage: str, variables: Any, batch: Mapping[str, np.ndarray]
) -> Callable[[int], Any]:
    """Computes features from images in host memory, or restored images if there is no extractor."""
    parallel = Parallel("shard_map")
    network = create_network(config, stage, IDENTITIES)
    variables = parallel.replicate(variables)

    def predict(variables: Any, batch: dict[str, jax.Array]) -> jax.Array:
        outputs = infer(network, variables, normalise(batch["image"]))
        return outputs.restored if outputs.feature is None else outputs.feature

    step = parallel.evaluation_step(predict)

    def run(steps: int) -> Any:
        for _ in range(steps):
            result = step(variables, parallel.split({"image": batch["image"]}))
        return result.block_until_ready()

    return run


def their_inference(
    reference: JointNetwork, stage: str, batch: their_train.Batch, *, compiled: bool
) -> Callable[[int], Any]:
    network = their_part(reference, stage).eval()
    forward = torch.compile(network) if compiled else network

    @torch.inference_mode()
    def run(steps: int) -> Any:
        for _ in range(steps):
            with torch.autocast(DEVICE, torch.bfloat16, enabled=ON_GPU):
                output = forward(batch.image)
        return measuring.finished(output)

    return run


def rows(case: Case, ceiling: float) -> Iterator[dict[str, Any]]:
    """Returns the rows of a case: training step and inference."""
    config, stage = case.config(), case.system
    size = tuple(config.data.image_size)
    batch = random_batch(size, case.batch)
    batch_of_theirs = their_batch(batch)
    network = create_network(config, stage, IDENTITIES)

    def fresh_reference() -> JointNetwork:
        return make_reference(config).to(DEVICE)

    arrays = {name: tensor.numpy() for name, tensor in make_reference(config).state_dict().items()}
    variables = jax.tree.map(np.array, from_state_dict(arrays, network)[0])
    image = jax.ShapeDtypeStruct((case.batch, *size, 3), jnp.float32)
    flops = 2 * count_macs(lambda v, x: infer(network, v, x), variables, image)

    kinds = ("shard_map",) if ONE_CORE else ("pmap", "shard_map")
    training = {kind: our_training(config, stage, variables, batch, kind) for kind in kinds}
    inference = {"shard_map": our_inference(config, stage, variables, batch)}
    for name in THEIRS[:1] if ONE_CORE or case.name in NOT_COMPILED else THEIRS:
        compiled = name == "compile"
        training[name] = their_training(
            fresh_reference(), stage, batch_of_theirs, compiled=compiled
        )
        inference[name] = their_inference(
            fresh_reference(), stage, batch_of_theirs, compiled=compiled
        )
    # The backward pass is counted as twice the forward pass, as is usual.
    for work, functions, count in (("train", training, 3 * flops), ("inference", inference, flops)):
        yield dict(system=case.system, size=case.size, batch=case.batch, work=work) | measured(
            functions, case.steps, count, ceiling
        )


def measured(
    functions: Mapping[str, Callable[[int], Any]], steps: int, flops: float, ceiling: float
) -> dict[str, Any]:
    """Returns the measured columns of a row: milliseconds per step, ratios, FLOPs."""
    first = {name: function(1) for name, function in functions.items()}
    losses = [loss for loss in first.values() if isinstance(loss, float)]
    # Equal results from the same weights and batch show that both do the same work.
    if not ON_GPU and losses:
        np.testing.assert_allclose(losses, losses[0], rtol=1e-3)
    rounds_of = {name: functools.partial(function, steps) for name, function in functions.items()}
    start = time.perf_counter()
    for function in rounds_of.values():
        function()
    rounds = int(np.clip(SECONDS / (time.perf_counter() - start), 5, 50))
    seconds = measuring.interleaved(rounds_of, rounds, warmup=0, clock=CLOCK)
    median = {name: statistics.median(s) / steps for name, s in seconds.items()}
    ours = min(median.keys() - set(THEIRS), key=lambda name: median[name])
    ratios = {
        f"{name} / ours": measuring.ratio(seconds[name], seconds[ours]) if name in seconds else None
        for name in THEIRS
    }
    return {
        **{
            f"{name} ms": 1e3 * median[name] if name in median else None
            for name in ("pmap", "shard_map", *THEIRS)
        },
        **ratios,
        "GFLOP": flops / 1e9,
        "GFLOP/s": flops / 1e9 / median[ours],
        "of matmul ceiling": f"{flops / median[ours] / ceiling:.0%}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="SYSTEM/SIZE, such as joint/paper; all by default")
    wanted = parser.parse_args().cases
    found = measuring.ceilings(CLOCK)
    ceiling = found["jax matmul bfloat16" if ON_GPU else "jax matmul"]
    table = []
    for case in CASES:
        if not wanted or case.name in wanted:
            for row in rows(case, ceiling):
                print(row, file=sys.stderr, flush=True)
                table.append(row)
    measured_ceilings = ", ".join(
        f"{name} {value / 1e9:.0f} G{'B' if 'copy' in name else 'FLOP'}/s"
        for name, value in found.items()
    )
    clock = "CPU time of one core (`taskset -c 0`)" if ONE_CORE else "Wall time"
    measuring.publish(
        "steps on one core" if ONE_CORE else "steps",
        f"Train step and inference{', on one core' if ONE_CORE else ''}",
        table,
        [
            f"{clock}, median of 5 rounds or more of each in turn; a round is one step, or 10 on a GPU and at the "
            "embedded size. `eager` and `compile` are PyTorch's, in channels_last; all start from the same weights, "
            "and the first losses agree.",
            "GFLOP: two a multiply-accumulate of the network; a train step counts three passes, whatever is computed.",
            f"Ceilings: {measured_ceilings}.",
        ],
    )


if __name__ == "__main__":
    main()
