"""A trial: trains what is not finished, evaluates, and writes the results."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.components import DATASETS
from rireid_jax.config import final_stage, scored_stages
from rireid_jax.data.build import Built, build, hold_out
from rireid_jax.distributed import StopRequest
from rireid_jax.errors import UserError
from rireid_jax.evaluation.embed import Embedder
from rireid_jax.evaluation.evaluate import VALIDATION_RATES, Evaluation, evaluate, reranker
from rireid_jax.parallel import Parallel
from rireid_jax.runs.calibrating import calibrate_run
from rireid_jax.runs.extractor import Extractor, num_classes
from rireid_jax.runs.forecast import Forecast
from rireid_jax.runs.gate_picture import draw_gates
from rireid_jax.runs.inside import find_warnings, look_inside, trained_resolutions
from rireid_jax.runs.metrics import MetricsWriter, NoMetrics
from rireid_jax.runs.pictures import draw_ranked, draw_restored
from rireid_jax.runs.queries import Queries, compare_stages
from rireid_jax.runs.results import write_results
from rireid_jax.runs.shared_stages import (
    continue_stage,
    finished_elsewhere,
    shared_stages,
    take_over,
)
from rireid_jax.runs.workdir import (
    claim_data,
    has_checkpoints,
    trial_folders,
    write_width_max,
)
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.checkpoint_files import remove_unfinished
from rireid_jax.training.idle_terms import check_terms
from rireid_jax.training.initial import Variables, check_backbone
from rireid_jax.training.loop import Evaluate, finished_variables, num_steps, train_stage
from rireid_jax.training.progress import told_every_minute

logger = logging.getLogger(__name__)

_MOST_PROCESSES = 16  # that draw images, unless the user asks for more


def run_trial(
    config: ConfigDict,
    workdir: str,
    mode: str,
    data: Built,
    parallel: Parallel,
    started: float,
    forecast: Forecast,
    others: Sequence[str] = (),
) -> dict[str, Any]:
    """Trains what is not finished, evaluates, and writes pictures and results.

    Args:
      config: of this trial.
      workdir: of this trial, claimed and held by this process.
      mode: "train" or "evaluate".
      data: the data set.
      parallel: the devices.
      started: when the trial began, on the monotonic clock.
      forecast: says how long the run takes.
      others: work directories of other trials.

    Returns:
      What `results.json` holds, or `validation.json` where `config.eval.split` says so.
    """
    remove_unfinished(workdir)
    claim_data(workdir, {config.dataset: data.protocol_hash})
    another = mode == "evaluate" and scores_another(config, workdir)
    if not another:
        write_width_max(workdir, data.width_max)
    if mode == "train":
        trained = _train(config, workdir, data, parallel, forecast, others)
    else:
        source = config.init.workdir if another else workdir
        trained = {stage: _last(source, stage) for stage in scored_stages(config)}
    split, evaluations, on_validation = config.eval.split, {}, {}
    for stage in scored_stages(config):
        step, variables = trained[stage]
        gallery = split if split == "validation" else "gallery"
        counts = [len(data.splits[name]) for name in (split, gallery)]
        logger.info("%s: evaluates step %d on %d queries, %d gallery images", stage, step, *counts)
        embedder = Embedder(config, stage, num_classes(config, stage, variables), parallel)
        with told_every_minute(f"{stage}: still evaluates"):
            evaluations[stage] = evaluate(
                config, embedder, variables, data, split, reranker(config)
            )
            if split == "validation":
                on_validation[stage] = evaluations[stage]
            elif data.validation_pids:
                on_validation[stage] = evaluate(config, embedder, variables, data, "validation")
    metrics = {
        stage: _with_inside(config, stage, data, evaluation, trained[stage][1])
        for stage, evaluation in evaluations.items()
    }
    warnings = find_warnings(config, metrics)
    for warning in warnings:
        logger.warning("%s", warning)
    final = final_stage(config)
    queries = _queries(evaluations, final)
    comparison = distributed.from_first(  # which alone has outcomes
        lambda: compare_stages([queries], final, config.baseline, config.eval.bins)
    )
    measured = {
        "protocol_hash": data.protocol_hash,
        **metrics[final],
        "baseline": metrics.get(config.baseline),
        "others": {stage: metrics[stage] for stage in config.others},
        "comparison": comparison,
        "stage": final,
        "step": trained[final][0],
        "validation": _validation(config, data, on_validation),
        "warnings": warnings,
    }
    if "://" not in workdir and split == "query":  # pictures show queries
        distributed.from_first(lambda: _draw(config, workdir, data, evaluations, trained[final][1]))
    if split == "query" and not another:  # neither a choice of settings nor other data make a model
        _calibrate(config, workdir, data, evaluations[final], trained[final][1])
    # A choice of settings leaves nothing that could be taken for results.
    kept, seconds = queries if split == "query" else None, time.monotonic() - started
    return write_results(workdir, config, measured, seconds, kept)


def _validation(
    config: ConfigDict, data: Built, evaluations: dict[str, Evaluation]
) -> dict[str, Any] | None:
    """Who was held out, and how final stage and baseline do on them; None where nobody was."""
    if not evaluations:
        return None
    names = ("num_query", *VALIDATION_RATES)
    rates = {stage: {n: found.metrics[n] for n in names} for stage, found in evaluations.items()}
    return {
        "num_identities": len(data.validation_pids),
        "num_images": len(data.splits["validation"]),
        **rates[final_stage(config)],
        "baseline": rates.get(config.baseline),
    }


def build_dataset(config: ConfigDict, dataset: str, own: Built | None = None) -> Built:
    """Builds one of the config's data sets unless it is built: its own, or one that a stage names.

    `config.data.validation` holds out identities of its own.

    The first process does, and the others, which waited, open it. On a machine that does not see the same
    `config.data.dir` they build it again, to the same bytes.

    Args:
      config: the whole config.
      dataset: name of the data set.
      own: the config's own data set, where `dataset` is another one: its size may say how much of it is called for.

    Raises:
      UserError: as `build`; or what another process has opened is not the same.
    """
    opened: list[Built] = []

    def open_first() -> str:
        opened.append(_build(config, dataset, own))
        return opened[0].protocol_hash

    expected = distributed.from_first(open_first)
    built = opened[0] if opened else _build(config, dataset, own)
    if built.protocol_hash != expected:
        raise UserError(
            f"config.data.dir: process {distributed.index()} found {dataset} of protocol {built.protocol_hash} in "
            f"{built.path}, expected {expected} as in the first process"
        )
    return built


def _build(config: ConfigDict, dataset: str, own: Built | None) -> Built:
    common = {
        "data_dir": config.data.dir,
        "max_bad_images": config.data.max_bad_images,
        "allow_unmatched_queries": config.data.allow_unmatched_queries,
        "allow_shared_identities": config.data.allow_shared_identities,
        "threads": config.data.build_threads,
        "processes": config.data.build_threads or min(_MOST_PROCESSES, os.cpu_count() or 1),
        "beam": config.data.beam,
    }
    if dataset == config.dataset:
        recipe = config.data.recipe.to_dict()
        built = build(dataset, recipe, raw_dir=config.data.raw_dir, **common)
        return hold_out(built, config.data.validation, recipe["seed"])
    assert own is not None
    recipe = config[dataset].to_dict()
    raw_dir = recipe.pop("raw_dir")
    recipe = DATASETS[dataset].recipe_for(recipe, raw_dir, len(own.splits["train"]))
    return build(dataset, raw_dir=raw_dir, recipe=recipe, **common)


def is_trained(config: ConfigDict, workdir: str, data: Built) -> bool:
    """Whether the stages that are scored have been trained to their end."""
    for stage in scored_stages(config):
        name = config.stages[stage].dataset
        num_images = len((build_dataset(config, name, data) if name else data).splits["train"])
        if finished_elsewhere(config, workdir, stage, num_images) is None:
            return False
    return True


def _queries(evaluations: Mapping[str, Evaluation], stage: str) -> Queries:
    outcomes = {name: found.outcomes for name, found in evaluations.items() if found.outcomes}
    query = evaluations[stage].query
    return Queries(query.pids, query.resolutions, outcomes)


def scores_another(config: ConfigDict, workdir: str) -> bool:
    """Whether a run that only evaluates has trained nothing itself, and scores what `config.init.workdir` has."""
    folders = (workdir, *trial_folders(workdir))
    return bool(config.init.workdir) and not any(map(has_checkpoints, folders))


def _last(workdir: str, stage: str) -> tuple[int, Variables]:
    with Checkpoints(workdir, stage) as checkpoints:
        return checkpoints.load_latest()


def _train(
    config: ConfigDict,
    workdir: str,
    data: Built,
    parallel: Parallel,
    forecast: Forecast,
    others: Sequence[str],
) -> dict[str, tuple[int, Variables]]:
    """Trains every stage to its end, except those that another trial has trained already.

    Args:
      config: of this trial.
      workdir: of this trial.
      data: the data set.
      parallel: the devices.
      forecast: says how long the run takes.
      others: work directories of other trials.

    Returns:
      Last step of every stage, and what it ended with.
    """
    identities = len(data.train_pids)
    datasets = {"": data}
    trained: dict[str, Variables] = {}
    begins: dict[str, Variables | None] = {}
    steps: dict[str, int] = {}
    metrics_log = MetricsWriter(workdir) if distributed.is_first() else NoMetrics()
    with metrics_log as log, StopRequest() as stop:
        for stage in config.run:
            name = config.stages[stage].dataset
            if name not in datasets:
                datasets[name] = build_dataset(config, name, data)
            images = datasets[name].splits["train"]
            check_terms(config, stage, map(images.__getitem__, range(len(images))))
            steps[stage] = num_steps(config, stage, len(images))[1]
            begins[stage] = continue_stage(config, workdir, stage, datasets[name])
        needed = [stage for stage in config.run if begins[stage] is None]
        check_backbone(config, workdir, identities, needed)
        _begin(forecast, config, workdir, steps)
        for stage in config.run:
            name = config.stages[stage].dataset
            if name:
                claim_data(workdir, {name: datasets[name].protocol_hash})
            finished = _finished(config, workdir, stage, datasets[name], others)
            if finished is not None:
                trained[stage] = finished
                forecast.finish(stage)
                continue
            logger.info(
                "%s: %d steps of %d images; the first one compiles, which takes a while",
                *(stage, steps[stage], config.batch_size),
            )
            trained[stage] = train_stage(
                config,
                stage,
                workdir=workdir,
                data=datasets[name],
                num_classes=identities,
                parallel=parallel,
                log=log,
                stop=stop,
                evaluate=_scorer(config, stage, data, parallel),
                timed=partial(forecast.timed, stage),
                rest=partial(forecast.rest, stage),
                trained=trained,
                begin=begins[stage],
            )
            forecast.finish(stage)
    return {stage: (steps[stage], variables) for stage, variables in trained.items()}


def _begin(forecast: Forecast, config: ConfigDict, workdir: str, steps: Mapping[str, int]) -> None:
    """Tells the forecast which steps of a trial and of those after it are still to be trained."""
    left, shared = dict(steps), shared_stages(config)
    for stage, last in steps.items():
        if (epath.Path(workdir) / "checkpoints" / stage / str(last)).exists():
            left[stage] = 0
    forecast.begin(left, {stage: last for stage, last in steps.items() if stage not in shared})


def _finished(
    config: ConfigDict, workdir: str, stage: str, data: Built, others: Sequence[str]
) -> Variables | None:
    """What a stage ended with, where this trial or another one has finished it; None where none has."""
    variables = finished_variables(config, workdir, stage, len(data.splits["train"]))
    if variables is not None:
        logger.info("%s: finished before", stage)
    elif stage in shared_stages(config):
        taken = take_over(config, stage, workdir, others, data)
        if taken:
            source, variables = taken
            logger.info("%s: the same in every trial, taken from %s", stage, source)
    return variables


def _scorer(config: ConfigDict, stage: str, data: Built, parallel: Parallel) -> Evaluate | None:
    """Scores a stage with an extractor while it trains, where the config asks for it.

    It is scored on validation identities if there are any, else on the queries.
    """
    if not config.eval.every_epochs or config.stages[stage].extractor == "none":
        return None
    embedder = Embedder(config, stage, len(data.train_pids), parallel)
    split = "validation" if data.validation_pids else "query"

    def score(variables: Variables) -> dict[str, float]:
        metrics = evaluate(config, embedder, variables, data, split).metrics
        return {name: metrics[name] for name in VALIDATION_RATES}

    return score


def _with_inside(
    config: ConfigDict, stage: str, data: Built, evaluation: Evaluation, variables: Variables
) -> dict[str, Any]:
    """The metrics of a stage, and what happens inside its network."""
    inside = distributed.from_first(
        lambda: look_inside(config, stage, data, evaluation.query, variables)
    )
    return {**evaluation.metrics, "inside": inside}


@distributed.by_first
def _calibrate(
    config: ConfigDict, workdir: str, data: Built, evaluation: Evaluation, variables: Variables
) -> None:
    """Writes `calibration.json` and its picture, where the final stage has features."""
    query, gallery = evaluation.query, evaluation.gallery
    if query.features.shape[1]:
        calibrate_run(config, workdir, data, query, gallery, variables)


def _draw(
    config: ConfigDict,
    workdir: str,
    data: Built,
    evaluations: dict[str, Evaluation],
    variables: Variables,
) -> None:
    """Draws the run's pictures.

    Args:
      config: of this trial.
      workdir: local folder.
      data: the data set.
      evaluations: by stage.
      variables: of the final stage.
    """
    stage, folder = final_stage(config), Path(workdir)
    restore = None
    if config.stages[stage].super_resolution != "bilinear":
        restore = Extractor.from_variables(config, stage, variables).restore
    draw_restored(folder, data, evaluations[stage], restore)
    query = evaluations[stage].query
    if query.features.shape[1]:
        ranked = {name: own for name, own in evaluations.items() if name not in config.others}
        draw_ranked(folder, data, ranked)
    if query.gates.shape[1]:
        resolutions = trained_resolutions(config, stage, data, query)
        draw_gates(folder, query.gates, resolutions)
