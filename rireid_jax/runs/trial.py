"""A run on one division of the identities: trains what is not finished, evaluates, writes the results."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.config import final_stage
from rireid_jax.data.build import Built, build
from rireid_jax.distributed import StopRequest
from rireid_jax.errors import UserError
from rireid_jax.evaluation.embed import Embedder
from rireid_jax.evaluation.evaluate import Evaluation, evaluate
from rireid_jax.parallel import Parallel
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.metrics import MetricsWriter, NoMetrics
from rireid_jax.runs.pictures import draw_ranked, draw_restored
from rireid_jax.runs.results import write_results
from rireid_jax.runs.trials import has_finished, shared_stages, take_over
from rireid_jax.runs.workdir import claim_data
from rireid_jax.training.checkpoint import Checkpoints, remove_unfinished
from rireid_jax.training.loop import check_backbone, is_finished, num_steps, train_stage

logger = logging.getLogger(__name__)


def run_division(
    config: ConfigDict,
    workdir: str,
    mode: str,
    data: Built,
    parallel: Parallel,
    started: float,
    others: Sequence[str] = (),
) -> dict[str, Any]:
    """Trains what is not finished, evaluates, and writes pictures and results.

    Args:
      config: of this run.
      workdir: of this run, claimed and held by this process.
      mode: "train" or "evaluate".
      data: the data set.
      parallel: the devices.
      started: when the run began, on the monotonic clock.
      others: work directories of other splits.

    Returns:
      What `results.json` holds.
    """
    remove_unfinished(workdir)
    claim_data(workdir, {config.dataset: data.protocol_hash})
    if mode == "train":
        _train(config, workdir, {"": data}, parallel, others)
    evaluations, step = _evaluate(config, workdir, data, parallel)
    baseline = evaluations.get(config.baseline)
    measured = {
        "protocol_hash": data.protocol_hash,
        **evaluations[final_stage(config)].metrics,
        "baseline": baseline.metrics if baseline else None,
        "stage": final_stage(config),
        "step": step,
    }
    if "://" not in workdir:
        _draw(config, workdir, data, evaluations)
    return write_results(workdir, config, measured, time.monotonic() - started)


def build_dataset(config: ConfigDict, dataset: str) -> Built:
    """Builds one of the config's data sets unless it is built: its own, or "natural_images".

    The first process does, and the others, which waited, open it. On a machine that does not see the same
    `config.data.dir` they build it again, to the same bytes.

    Raises:
      UserError: as `build`; or what another process has opened is not the same.
    """
    opened: list[Built] = []

    def open_first() -> str:
        opened.append(_build(config, dataset))
        return opened[0].protocol_hash

    expected = distributed.from_first(open_first)
    built = opened[0] if opened else _build(config, dataset)
    if built.protocol_hash != expected:
        raise UserError(
            f"config.data.dir: process {distributed.index()} found {dataset} of protocol {built.protocol_hash} in "
            f"{built.path}, expected {expected} as in the first process"
        )
    return built


def _build(config: ConfigDict, dataset: str) -> Built:
    common = {
        "data_dir": config.data.dir,
        "max_bad_images": config.data.max_bad_images,
        "threads": config.data.build_threads,
        "beam": config.data.beam,
    }
    if dataset == "natural_images":
        source = config.natural_images
        recipe = {"count": source.count, "size": tuple(source.size), "seed": source.seed}
        return build(dataset, recipe, raw_dir=source.raw_dir, **common)
    return build(dataset, config.data.recipe.to_dict(), raw_dir=config.data.raw_dir, **common)


def is_trained(config: ConfigDict, workdir: str, data: Built) -> bool:
    """Whether the stages that are scored have been trained to their end."""
    for stage in {final_stage(config), config.baseline} - {""}:
        name = config.stages[stage].dataset
        num_images = len((build_dataset(config, name) if name else data).splits["train"])
        if not has_finished(config, workdir, stage, num_images):
            return False
    return True


def _train(
    config: ConfigDict,
    workdir: str,
    data: dict[str, Built],
    parallel: Parallel,
    others: Sequence[str],
) -> None:
    """Trains every stage to its end, but those that another split has trained already.

    Args:
      config: of this run.
      workdir: of this run.
      data: data sets by their name in a stage; those that are missing are built and added.
      parallel: the devices.
      others: work directories of other splits.
    """
    num_classes = len(data[""].train_pids)
    check_backbone(config, workdir, num_classes)
    metrics_log = MetricsWriter(workdir) if distributed.is_first() else NoMetrics()
    with metrics_log as log, StopRequest() as stop:
        for stage in config.run:
            name = config.stages[stage].dataset
            if name not in data:
                data[name] = build_dataset(config, name)
            if name:
                claim_data(workdir, {name: data[name].protocol_hash})
            num_images = len(data[name].splits["train"])
            if is_finished(config, workdir, stage, num_images):
                logger.info("%s: finished before", stage)
                continue
            if stage in shared_stages(config):
                source = take_over(config, stage, workdir, others, data[name])
                if source:
                    logger.info("%s: the same in every split, taken from %s", stage, source)
                    continue
            steps = num_steps(config, stage, num_images)[1]
            logger.info(
                "%s: %d steps of %d images; the first one compiles, which takes a while",
                *(stage, steps, config.batch_size),
            )
            scorer = None
            if config.eval.every_epochs and config.stages[stage].extractor != "none":
                embedder = Embedder(config, stage, num_classes, parallel)

                def scorer(variables: Any, embedder: Embedder = embedder) -> dict[str, float]:
                    metrics = evaluate(config, embedder, variables, data[""]).metrics
                    return {name: metrics[name] for name in ("rank1", "mAP")}

            train_stage(
                config,
                stage,
                workdir=workdir,
                data=data[name],
                num_classes=num_classes,
                parallel=parallel,
                log=log,
                stop=stop,
                evaluate=scorer,
            )


def _evaluate(
    config: ConfigDict, workdir: str, data: Built, parallel: Parallel
) -> tuple[dict[str, Evaluation], int]:
    """Scores the final stage, and the baseline if there is one.

    Returns:
      Evaluations by stage, and the step of the final stage's checkpoint.
    """
    checkpoint = {}
    for stage in (final_stage(config), config.baseline):
        if stage:
            with Checkpoints(workdir, stage) as checkpoints:
                checkpoint[stage] = checkpoints.load_latest()
    evaluations = {}
    for stage, (step, variables) in checkpoint.items():
        counts = [len(data.splits[split]) for split in ("query", "gallery")]
        logger.info("%s: evaluates step %d on %d queries, %d gallery images", stage, step, *counts)
        embedder = Embedder(config, stage, len(data.train_pids), parallel)
        evaluations[stage] = evaluate(config, embedder, variables, data)
    return evaluations, checkpoint[final_stage(config)][0]


def _draw(
    config: ConfigDict, workdir: str, data: Built, evaluations: dict[str, Evaluation]
) -> None:
    stage, folder = final_stage(config), Path(workdir)
    restore = None  # processes read together, and one draws
    if config.stages[stage].super_resolution != "bilinear":
        restore = Extractor.from_workdir(workdir).restore

    def draw() -> None:
        draw_restored(folder, data, evaluations[stage], restore)
        if evaluations[stage].query.features.shape[1]:
            draw_ranked(folder, data, evaluations)

    distributed.from_first(draw)
