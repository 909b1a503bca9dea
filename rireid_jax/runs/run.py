"""A run: builds what is missing, trains what is not finished, evaluates, and writes the results."""

import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from etils import epath
from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.config import validate
from rireid_jax.config.trials import trial_configs
from rireid_jax.data.build import Built
from rireid_jax.errors import UserError
from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.network import create_network, variable_shapes
from rireid_jax.parallel import Parallel
from rireid_jax.runs.averages import average
from rireid_jax.runs.forecast import Forecast
from rireid_jax.runs.queries import compare_stages, read_queries
from rireid_jax.runs.results import results_text, write_results
from rireid_jax.runs.trial import build_dataset, is_trained, run_trial, scores_another
from rireid_jax.runs.workdir import (
    check_claim,
    claim,
    claim_data,
    has_checkpoints,
    locked,
    read_config,
    read_results,
    results_file,
    trial_folder,
    trial_folders,
)
from rireid_jax.text_table import aligned
from rireid_jax.training.loop import Stopped

logger = logging.getLogger(__name__)


def run(config: ConfigDict, workdir: str, mode: str, smaller: str = "") -> None:
    """Does what the command line asks.

    With "evaluate", a folder without checkpoints scores what `config.init.workdir` has trained, on its own data.

    Each trial that `config.data.trials` names is trained and scored in a folder of its own, and the results
    are the mean over the trials.

    Args:
      config: valid or not.
      workdir: local folder, or one of an object store.
      mode: "build" builds the data sets; "evaluate" scores what is trained; "train" does all.
      smaller: what to give for `--config` to train the small size; "" if this is it. A run that would take days names
        it.

    Raises:
      UserError: a mistake in the config, the files, or the work directory.
      Stopped: asked to stop while training.
    """
    validate(config)
    started = time.monotonic()
    trials = trial_configs(config)
    if mode == "build":
        for trial in trials.values() or (config,):
            number = f" trial {trial.data.trials[0]}" if trials else ""
            built = build_dataset(trial, trial.dataset)
            _print_built(built, f"{trial.dataset}{number}")
        for name in sorted({config.stages[stage].dataset for stage in config.run} - {""}):
            _print_built(build_dataset(config, name, built), name)
        return
    parallel = Parallel(config.parallel)
    parallel.check_batch_size("batch_size", config.batch_size)
    parallel.check_batch_size("eval.batch_size", config.eval.batch_size)
    if mode == "train" and config.eval.every_epochs and not config.data.validation:
        logger.warning(
            "config.data.validation is 0: best checkpoints are chosen on the queries that are reported"
        )
    if mode == "evaluate":  # refuses a folder without a run before it makes one
        read_config(config.init.workdir if scores_another(config, workdir) else workdir)
    with locked(workdir):
        if trials:
            results = _run_trials(config, trials, workdir, mode, parallel, smaller)
        else:
            check_claim(workdir, config)
            data = build_dataset(config, config.dataset)
            claim(
                workdir, config
            )  # only now: where the data are not, the folder keeps what it knows
            forecast = _forecast(config, len(data.train_pids), parallel, smaller)
            results = run_trial(config, workdir, mode, data, parallel, started, forecast)
    pictures = ""
    if config.eval.split == "query":
        pictures = f", pictures {'in the folders of the trials' if trials else 'next to it'}"
    print(
        f"\n{results_text(results)}\n\nprotocol {results['protocol_hash']}; "
        f"figures in {epath.Path(workdir) / results_file(config)}.json{pictures}"
    )


def _run_trials(
    config: ConfigDict,
    trials: dict[int, ConfigDict],
    workdir: str,
    mode: str,
    parallel: Parallel,
    smaller: str,
) -> dict[str, Any]:
    """Runs the trials that are not finished, one after another, and writes the mean of all.

    Args:
      config: of the whole run.
      trials: the config of each trial.
      workdir: of the whole run, held by this process.
      mode: "train" leaves a finished trial as it is, "evaluate" scores every trained one again.
      parallel: the devices.
      smaller: as `run` takes it.

    Returns:
      What `results.json` holds.

    Raises:
      UserError: as `run`; or, once the others are scored, a trial that is to be evaluated is not trained.
      Stopped: asked to stop while training a trial.
    """
    if has_checkpoints(workdir):
        raise UserError(
            f"--workdir {workdir}: found the run of a single trial, expected the folder above it or a new one"
        )
    check_claim(workdir, config)
    folders = {trial: trial_folder(workdir, trial) for trial in trials}
    results = {}
    if mode == "train":
        found = {trial: read_results(folders[trial], own) for trial, own in trials.items()}
        results = {trial: result for trial, result in found.items() if result}
    # All data are built first, so that a trial that cannot be built is found before days of training.
    data = {
        trial: build_dataset(own, own.dataset)
        for trial, own in trials.items()
        if mode == "train" or has_checkpoints(folders[trial])
    }
    claim(workdir, config)
    for trial in results:  # the data may have changed since
        claim_data(folders[trial], {config.dataset: data.pop(trial).protocol_hash})
    if mode == "evaluate":
        data = {
            trial: built
            for trial, built in data.items()
            if is_trained(trials[trial], folders[trial], built)
        }
    if data:
        num_classes = len(next(iter(data.values())).train_pids)
        forecast = _forecast(config, num_classes, parallel, smaller)
    for place, trial in enumerate(data, 1):
        logger.info("trial %d, %d of %d", trial, place, len(data))
        folder, started = folders[trial], time.monotonic()
        forecast.later_trials = len(data) - place
        others = [other for other in trial_folders(workdir) if other != folder]
        with locked(folder):
            claim(folder, trials[trial])
            try:
                results[trial] = run_trial(
                    trials[trial], folder, mode, data[trial], parallel, started, forecast, others
                )
            except Stopped as stopped:
                raise Stopped(f"trial {trial}, {stopped}") from None
    results = {trial: results[trial] for trial in trials if trial in results}
    missing = [str(trial) for trial in trials if trial not in results]
    if missing:
        trained = f" ('{tuple(results)}')" if results else ""
        raise UserError(
            f"config.data.trials: found {', '.join(missing)} not trained yet in {workdir}, expected only "
            f"trained ones{trained}; train first"
        )
    return _write_average(workdir, config, results, folders)


def _write_average(
    workdir: str, config: ConfigDict, results: dict[int, dict[str, Any]], folders: dict[int, str]
) -> dict[str, Any]:
    """Writes the mean of the results of several trials, and how sure its differences are."""
    measured = average(results)
    comparison = distributed.from_first(
        lambda: compare_stages(
            [read_queries(folders[trial]) for trial in results],
            *(measured["stage"], config.baseline, config.eval.bins),
        )
    )
    seconds = sum(result["seconds"] for result in results.values())
    return write_results(workdir, config, {**measured, "comparison": comparison}, seconds)


def _print_built(built: Built, title: str) -> None:
    counts = ", ".join(f"{len(split)} {key}" for key, split in built.splits.items())
    print(f"{title}: {counts}; protocol {built.protocol_hash}; in {built.path}")


class _StageNetwork(NamedTuple):
    """The network of a stage.

    Attributes:
      stage: key of `config.stages`.
      name: of its super-resolution network and its extractor.
      parameters: number of them.
      macs: multiply-accumulates of one image.
    """

    stage: str
    name: str
    parameters: int
    macs: int


def _forecast(config: ConfigDict, num_classes: int, parallel: Parallel, smaller: str) -> Forecast:
    """Prints a table of the stages' networks, whose multiply-accumulates say how the stages' steps compare."""
    networks = [_measure(config, stage, num_classes) for stage in config.run]
    print(_table(networks, tuple(config.data.image_size)), flush=True)
    devices = f"{parallel.num_devices} x {parallel.device_kind}"
    return Forecast({network.stage: network.macs for network in networks}, devices, smaller)


def _measure(config: ConfigDict, stage: str, num_classes: int) -> _StageNetwork:
    height, width = config.data.image_size
    network = create_network(config, stage, num_classes)
    variables = variable_shapes(network, (height, width))
    macs = count_macs(network.apply, variables, image_like(height, width))
    spec = config.stages[stage]
    name = " + ".join(m for m in (spec.super_resolution, spec.extractor) if m != "none")
    return _StageNetwork(stage, name, count_parameters(variables["params"]), macs)


def _table(networks: Sequence[_StageNetwork], image_size: tuple[int, int]) -> str:
    rows = [["stage", "network", "parameters", "GMACs at {}x{}".format(*image_size)]]
    for stage, name, parameters, macs in networks:
        rows.append([stage, name, f"{parameters:,}", f"{macs / 1e9:.4f}"])
    return aligned(rows)
