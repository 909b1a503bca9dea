"""One run: builds what is missing, trains what is not finished, evaluates, and writes the results."""

import json
import logging
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rireid_jax.api import Extractor
from rireid_jax.config import final_stage, validate
from rireid_jax.data.builders import Built, build
from rireid_jax.data.records import decode_image, decode_mask
from rireid_jax.evaluation.embed import Embedder
from rireid_jax.evaluation.evaluate import Evaluation, evaluate
from rireid_jax.evaluation.ranking import top_matches
from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.network import create_network
from rireid_jax.report.figures import RankedList, ranked_figure, restoration_figure, save_png
from rireid_jax.report.tables import aligned, results_table
from rireid_jax.report.writer import MetricsWriter, jsonable, write_whole
from rireid_jax.training.checkpoint import Checkpoints, remove_unfinished
from rireid_jax.training.loop import check_backbone, is_finished, num_steps, train_stage
from rireid_jax.training.parallel import Parallel
from rireid_jax.training.stop import StopRequest
from rireid_jax.workdir import claim, locked, read_config

logger = logging.getLogger(__name__)

_LIBRARIES = ("rireid_jax", "jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")
_FIGURE_IMAGES = 8  # columns of restored.png
_FIGURE_QUERIES = 4  # ranked lists of each system in ranked.png
_FIGURE_RANKS = 10


def run(config: ConfigDict, workdir: str, mode: str) -> None:
    """Does what the command line asks.

    Args:
      config: valid or not.
      workdir: local folder, or one of an object store.
      mode: "build" builds the data sets; "evaluate" scores what is trained; "train" does all.

    Raises:
      UserError: a mistake in the config, the files, or the work directory.
      Stopped: asked to stop while training.
    """
    validate(config)
    if mode == "build":
        for name in _needed_datasets(config):
            built = _build(config, name)
            counts = ", ".join(f"{len(split)} {key}" for key, split in built.splits.items())
            print(f"{name}: {counts}; protocol {built.protocol_hash}; in {built.path}")
        return
    started = time.monotonic()
    parallel = Parallel(config.parallel)
    parallel.check_batch_size("batch_size", config.batch_size)
    parallel.check_batch_size("eval.batch_size", config.eval.batch_size)
    if mode == "evaluate":
        read_config(workdir)  # refuses a folder without a run before it makes one
    with locked(workdir):
        claim(workdir, config)
        if parallel.process_index == 0:
            remove_unfinished(workdir)
        data = {"": _build(config, config.dataset)}
        print(_complexity(config, len(data[""].train_pids)), flush=True)
        if mode == "train":
            _train(config, workdir, data, parallel)
        evaluations, step = _evaluate(config, workdir, data[""], parallel)
        results = _results(config, data[""], evaluations, step, time.monotonic() - started)
        path = epath.Path(workdir) / "results.json"
        write_whole(path, json.dumps(jsonable(results), indent=2) + "\n")
        table = results_table({name: e.metrics for name, e in evaluations.items()})
        write_whole(epath.Path(workdir) / "results.txt", table + "\n")
        _draw(config, workdir, data[""], evaluations)
    print(
        f"\n{table}\n\nprotocol {results['protocol_hash']}; figures in {path}, pictures beside it"
    )


def _needed_datasets(config: ConfigDict) -> list[str]:
    pretraining = {config.stages[stage].dataset for stage in config.run} - {""}
    return [config.dataset, *sorted(pretraining)]


def _build(config: ConfigDict, dataset: str) -> Built:
    common = {"data_dir": config.data.dir, "max_bad_images": config.data.max_bad_images}
    if dataset == "natural_images":
        source = config.natural_images
        recipe = {"count": source.count, "size": tuple(source.size), "seed": source.seed}
        return build(dataset, recipe, raw_dir=source.raw_dir, **common)
    return build(dataset, config.data.recipe.to_dict(), raw_dir=config.data.raw_dir, **common)


def _complexity(config: ConfigDict, num_classes: int) -> str:
    """A table of the stages' networks: parameters, and multiply-accumulates of one image."""
    height, width = config.data.image_size
    rows = [["stage", "network", "parameters", f"GMACs at {height}x{width}"]]
    for stage in config.run:
        network = create_network(config, stage, num_classes)
        image = image_like(height, width)
        variables = jax.eval_shape(network.init, jax.random.key(0), image)
        macs = count_macs(network.apply, variables, image)
        spec = config.stages[stage]
        name = " + ".join(m for m in (spec.super_resolution, spec.extractor) if m != "none")
        parameters = count_parameters(variables["params"])
        rows.append([stage, name, f"{parameters:,}", f"{macs / 1e9:.4f}"])
    return aligned(rows)


def _train(config: ConfigDict, workdir: str, data: dict[str, Built], parallel: Parallel) -> None:
    num_classes = len(data[""].train_pids)
    check_backbone(config, workdir, num_classes)
    with MetricsWriter(workdir) as log, StopRequest() as stop:
        for stage in config.run:
            name = config.stages[stage].dataset
            if name not in data:
                data[name] = _build(config, name)
            if is_finished(config, workdir, stage, len(data[name].splits["train"])):
                logger.info("%s: finished before", stage)
                continue
            steps = num_steps(config, stage, len(data[name].splits["train"]))[1]
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
                checkpoint[stage] = checkpoints.load_variables(), checkpoints.steps[-1]
    evaluations = {}
    for stage, (variables, step) in checkpoint.items():
        counts = [len(data.splits[split]) for split in ("query", "gallery")]
        logger.info("%s: evaluates step %d on %d queries, %d gallery images", stage, step, *counts)
        embedder = Embedder(config, stage, len(data.train_pids), parallel)
        evaluations[stage] = evaluate(config, embedder, variables, data)
    return evaluations, checkpoint[final_stage(config)][1]


def _results(
    config: ConfigDict,
    data: Built,
    evaluations: dict[str, Evaluation],
    step: int,
    seconds: float,
) -> dict[str, Any]:
    stage = final_stage(config)
    baseline = evaluations.get(config.baseline)
    return {
        "dataset": config.dataset,
        "protocol_hash": data.protocol_hash,
        **evaluations[stage].metrics,
        "baseline": baseline.metrics if baseline else None,
        "stage": stage,
        "step": step,
        "seconds": seconds,
        "config": config.to_dict(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
            "device": jax.devices()[0].device_kind,
            "num_devices": jax.device_count(),
        },
    }


def _draw(
    config: ConfigDict, workdir: str, data: Built, evaluations: dict[str, Evaluation]
) -> None:
    """Writes restored.png, and ranked.png where there are features."""
    if "://" in workdir:
        return
    stage = final_stage(config)
    query, gallery = data.splits["query"], data.splits["gallery"]
    by_resolution = np.argsort(evaluations[stage].query.resolutions, kind="stable")
    chosen = _evenly(by_resolution, _FIGURE_IMAGES)
    records = [query[int(i)] for i in chosen]
    low = [np.asarray(decode_image(r.image, r.name)) for r in records]
    rows = [("as seen", low)]
    if config.stages[stage].super_resolution != "bilinear":
        rows.append(("restored", list(Extractor.from_workdir(workdir).restore(low))))
    if all(record.target for record in records):
        rows.append(("original", [np.asarray(decode_image(r.target, r.name)) for r in records]))
    if all(record.mask for record in records):
        masks = [np.asarray(decode_mask(r.mask, r.name)) for r in records]
        rows.append(("mask", [np.repeat(mask[..., None], 3, -1) for mask in masks]))
    titles = [f"r = {record.resolution:.2f}" for record in records]
    save_png(restoration_figure(rows, titles), Path(workdir) / "restored.png")

    if not evaluations[stage].query.features.shape[1]:
        return
    lists = []
    for index in _evenly(by_resolution[: len(by_resolution) // 2], _FIGURE_QUERIES):
        for name, evaluation in evaluations.items():
            q, g = evaluation.query, evaluation.gallery
            row = slice(index, index + 1)
            matches = top_matches(
                q.features[row],
                g.features,
                q.pids[row],
                g.pids,
                q.camids[row],
                g.camids,
                min(_FIGURE_RANKS, len(g.pids)),
            )[0]
            matches = matches[matches >= 0]
            found = [gallery[int(i)] for i in matches]
            lists.append(
                RankedList(
                    name=f"{name}, r = {q.resolutions[index]:.2f}",
                    query=np.asarray(decode_image(query[int(index)].image, "query")),
                    matches=[np.asarray(decode_image(r.image, r.name)) for r in found],
                    correct=g.pids[matches] == q.pids[index],
                )
            )
    save_png(ranked_figure(lists), Path(workdir) / "ranked.png")


def _evenly(values: np.ndarray, count: int) -> np.ndarray:
    return values[np.unique(np.linspace(0, len(values) - 1, count).round().astype(int))]
