"""Measures the time from the start of a process to its first finished step, and to an Extractor's first features.

A cold start has an empty compilation cache and a warm start the cache that the cold one left. Both are compared with
PyTorch (eager).

PYTHONPATH=tests python benchmarks/startup.py
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROUNDS = 2
STAGE = "joint"
IDENTITIES = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--once", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        CHILDREN[arguments.once](Path(arguments.folder))
    else:
        measure()


def train(folder: Path) -> None:
    """Runs the command and ends the process after the first step."""
    import jax

    from rireid_jax import main as command
    from rireid_jax.training import progress

    tell("imports")
    compiled = traced = 0.0

    def count(name: str, seconds: float, **about: Any) -> None:
        nonlocal compiled, traced
        compiled += seconds if name.endswith("backend_compile_duration") else 0
        if name.endswith("jaxpr_trace_duration") and "train_step" in about.get("fun_name", ""):
            traced = max(traced, seconds)  # it comes from pmap and from the jit around it

    jax.monitoring.register_event_duration_secs_listener(count)

    def first_step(self: Any, step: int, metrics: Any) -> None:
        jax.block_until_ready(metrics)
        tell("first step", compilation=compiled, tracing=traced)
        sys.stdout.flush()
        os._exit(0)

    progress.Progress.add = first_step  # type: ignore[method-assign]  # the loop calls this after a step
    workdir = tempfile.mkdtemp(dir=folder)
    sys.argv = [
        "main",
        "--config=configs/joint.py",
        f"--config.run=('{STAGE}',)",
        "--config.baseline=",
        f"--config.stages.{STAGE}.init.extractor=",
        f"--config.stages.{STAGE}.init.super_resolution=",
        f"--config.data.recipe.train_identities={IDENTITIES}",
        f"--config.data.dir={folder / 'data'}",
        f"--workdir={workdir}",
    ]
    command.main()


def extract(folder: Path) -> None:
    """Extracts features of eight images as a user of the library would, from variables in memory."""
    import jax
    import numpy as np

    from rireid_jax import Extractor
    from rireid_jax.cli.compilation import keep_compiled_programs
    from rireid_jax.config import base_config
    from rireid_jax.models.network import create_network, zero_variables

    tell("imports")
    keep_compiled_programs()
    config = base_config("pedestrians")
    variables = zero_variables(create_network(config, STAGE, IDENTITIES))
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), variables)
    extractor = Extractor.from_variables(config, STAGE, variables)
    extractor.extract(list(np.zeros((8, *config.data.image_size, 3), np.uint8)))
    tell("first step")


def train_torch(folder: Path) -> None:
    """Runs the first step of the same network in PyTorch, on a batch in memory."""
    import torch
    from torch_reference import losses, train
    from torch_reference.ffsr import FFSRPaper
    from torch_reference.rife import JointNetwork, RIFEPaper

    from rireid_jax.config import base_config

    tell("imports")
    config = base_config("pedestrians")
    (height, width), count = config.data.image_size, config.batch_size
    model = config.model
    rife = RIFEPaper(IDENTITIES, tuple(model.stage_sizes), model.width)
    network = JointNetwork(FFSRPaper(model.ffsr_width), rife).train()
    optimizer, _ = train.paper_optimizer(network, 0.01, [])
    batch = train.Batch(
        image=torch.randn(count, 3, height, width),
        target=torch.randn(count, 3, height, width),
        mask=losses.gaussian_mask(height, width).expand(count, 1, height, width),
        valid=torch.ones(count, dtype=torch.bool),
        resolution=torch.rand(count),
        pid=torch.randint(IDENTITIES, (count,)),
    )
    train.joint_objective(network, batch).backward()
    optimizer.step()
    tell("first step")


CHILDREN = {"train": train, "extract": extract, "torch": train_torch}


def tell(phase: str, **more: float) -> None:
    seconds = time.time() - float(os.environ["STARTED"])
    print(json.dumps({"phase": phase, "seconds": seconds, **more}), flush=True)


def start(what: str, folder: Path, cache: Path) -> dict[str, float]:
    """Starts a process and returns the seconds from before its start to each of its phases."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "STARTED": repr(time.time())}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, __file__, "--once", what, "--folder", str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    phases: dict[str, float] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            phases[found.pop("phase")] = found.pop("seconds")
            phases |= found
    return phases


def measure() -> None:
    import measuring

    folder = Path(tempfile.mkdtemp(prefix="rireid-startup-"))
    found: dict[str, list[dict[str, float]]] = {}
    try:
        start("train", folder, folder / "build")  # builds the data set
        for turn in range(ROUNDS):
            cache = folder / f"cache{turn}"
            for what in ("train", "extract"):
                for kind in ("cold", "warm"):
                    found.setdefault(f"{what} {kind}", []).append(start(what, folder, cache))
            found.setdefault("torch", []).append(start("torch", folder, cache))
    finally:
        shutil.rmtree(folder)

    def median(phases: list[dict[str, float]], name: str) -> float | None:
        return statistics.median(p[name] for p in phases) if name in phases[0] else None

    def row(title: str, what: str, cold: str | None = None) -> dict[str, Any]:
        phases = found[what]
        seconds = [p["first step"] for p in phases]
        return {
            "start": title,
            "s": statistics.median(seconds),
            "of it imports": median(phases, "imports"),
            "of it tracing the step": median(phases, "tracing"),
            "of it compiling or reading": median(phases, "compilation"),
            "cold / this": measuring.ratio([p["first step"] for p in found[cold]], seconds)
            if cold
            else None,
        }

    measuring.publish(
        "startup",
        "Start-up",
        [
            row("training, cold", "train cold"),
            row("training, warm", "train warm", "train cold"),
            row("Extractor, cold", "extract cold"),
            row("Extractor, warm", "extract warm", "extract cold"),
            row("training, PyTorch eager", "torch", "train cold"),
        ],
        [
            f"From the start of the process to the first finished step of stage {STAGE} on the embedded set (already "
            "built, work directory new), or to features of 8 images. Cold: nothing compiled before; warm: by one run "
            "before.",
            "Programs are kept, traces are not: a warm start imports, traces and reads, whatever a cold one compiles.",
            "PyTorch, eager, has no data set, command line or checkpoints to prepare, and compiles nothing.",
            f"Median of {ROUNDS} rounds of processes. There are no FLOPs to speak of.",
        ],
    )


if __name__ == "__main__":
    main()
