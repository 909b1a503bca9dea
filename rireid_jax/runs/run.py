"""A run: builds what is missing, trains what is not finished, evaluates, and writes the results."""

import logging
import time
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rireid_jax.config import validate
from rireid_jax.config.trials import trial_configs
from rireid_jax.data.build import Built
from rireid_jax.errors import UserError
from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.network import create_network, variable_shapes
from rireid_jax.parallel import Parallel
from rireid_jax.runs.results import results_text, write_results
from rireid_jax.runs.trial import build_dataset, is_trained, run_division
from rireid_jax.runs.trials import average
from rireid_jax.runs.workdir import (
    claim,
    claim_data,
    has_checkpoints,
    locked,
    read_config,
    read_results,
    split_folder,
    split_folders,
)
from rireid_jax.text_table import aligned
from rireid_jax.training.loop import Stopped

logger = logging.getLogger(__name__)


def run(config: ConfigDict, workdir: str, mode: str) -> None:
    """Does what the command line asks.

    Where `config.data.trials` names divisions of the identities, each is a run in a folder of its own, and the
    results are the mean over them.

    Args:
      config: valid or not.
      workdir: local folder, or one of an object store.
      mode: "build" builds the data sets; "evaluate" scores what is trained; "train" does all.

    Raises:
      UserError: a mistake in the config, the files, or the work directory.
      Stopped: asked to stop while training.
    """
    validate(config)
    started = time.monotonic()
    parts = trial_configs(config)
    if mode == "build":
        for part in parts.values() or (config,):
            title = f"{part.dataset} split {part.data.trials[0]}" if parts else part.dataset
            _print_built(build_dataset(part, part.dataset), title)
        for name in sorted({config.stages[stage].dataset for stage in config.run} - {""}):
            _print_built(build_dataset(config, name), name)
        return
    parallel = Parallel(config.parallel)
    parallel.check_batch_size("batch_size", config.batch_size)
    parallel.check_batch_size("eval.batch_size", config.eval.batch_size)
    if mode == "evaluate":
        read_config(workdir)  # refuses a folder without a run before it makes one
    with locked(workdir):
        if parts:
            results = _run_splits(config, parts, workdir, mode, parallel)
        else:
            claim(workdir, config)
            data = build_dataset(config, config.dataset)
            print(_complexity(config, len(data.train_pids)), flush=True)
            results = run_division(config, workdir, mode, data, parallel, started)
    pictures = "in the folders of the splits" if parts else "beside it"
    print(
        f"\n{results_text(results)}\n\nprotocol {results['protocol_hash']}; "
        f"figures in {epath.Path(workdir) / 'results.json'}, pictures {pictures}"
    )


def _run_splits(
    config: ConfigDict, parts: dict[int, ConfigDict], workdir: str, mode: str, parallel: Parallel
) -> dict[str, Any]:
    """Runs the splits that are not finished, one after another, and writes the mean of all.

    Args:
      config: of the whole run.
      parts: the config of each split.
      workdir: of the whole run, held by this process.
      mode: "train" leaves a finished split as it is, "evaluate" scores every trained one again.
      parallel: the devices.

    Returns:
      What `results.json` holds.

    Raises:
      UserError: as `run`; or, once the others are scored, a split that is to be evaluated is not trained.
      Stopped: asked to stop while training a split.
    """
    if has_checkpoints(workdir):
        raise UserError(
            f"--workdir {workdir}: found the run of a single split, expected the folder above it or a new one"
        )
    claim(workdir, config)
    folders = {split: split_folder(workdir, split) for split in parts}
    results = {}
    if mode == "train":
        found = {split: read_results(folders[split], part) for split, part in parts.items()}
        results = {split: result for split, result in found.items() if result}
    # All at once: a split that cannot be built should not come out when the others have trained for days.
    data = {
        split: build_dataset(part, part.dataset)
        for split, part in parts.items()
        if mode == "train" or has_checkpoints(folders[split])
    }
    for split in results:  # of the data as they were
        claim_data(folders[split], {config.dataset: data.pop(split).protocol_hash})
    if mode == "evaluate":
        data = {
            split: d for split, d in data.items() if is_trained(parts[split], folders[split], d)
        }
    if data:
        print(_complexity(config, len(next(iter(data.values())).train_pids)), flush=True)
    for place, split in enumerate(data, 1):
        logger.info("split %d, %d of %d", split, place, len(data))
        folder, started = folders[split], time.monotonic()
        others = [other for other in split_folders(workdir) if other != folder]
        with locked(folder):
            claim(folder, parts[split])
            try:
                results[split] = run_division(
                    parts[split], folder, mode, data[split], parallel, started, others
                )
            except Stopped as stopped:
                raise Stopped(f"split {split}, {stopped}") from None
    results = {split: results[split] for split in parts if split in results}
    missing = [str(split) for split in parts if split not in results]
    if missing:
        trained = f" ('{tuple(results)}')" if results else ""
        raise UserError(
            f"config.data.trials: found {', '.join(missing)} not trained yet in {workdir}, expected only "
            f"trained ones{trained}; train first"
        )
    return write_results(
        workdir, config, average(results), sum(r["seconds"] for r in results.values())
    )


def _print_built(built: Built, title: str) -> None:
    counts = ", ".join(f"{len(split)} {key}" for key, split in built.splits.items())
    print(f"{title}: {counts}; protocol {built.protocol_hash}; in {built.path}")


def _complexity(config: ConfigDict, num_classes: int) -> str:
    """A table of the stages' networks: parameters, and multiply-accumulates of one image."""
    height, width = config.data.image_size
    rows = [["stage", "network", "parameters", f"GMACs at {height}x{width}"]]
    for stage in config.run:
        network = create_network(config, stage, num_classes)
        variables = variable_shapes(network, (height, width))
        macs = count_macs(network.apply, variables, image_like(height, width))
        spec = config.stages[stage]
        name = " + ".join(m for m in (spec.super_resolution, spec.extractor) if m != "none")
        parameters = count_parameters(variables["params"])
        rows.append([stage, name, f"{parameters:,}", f"{macs / 1e9:.4f}"])
    return aligned(rows)
