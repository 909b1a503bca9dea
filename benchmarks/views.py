"""Writes benchmarks/views.md: what test-time views and re-ranking add to trained runs, by the query's resolution.

python benchmarks/views.py [--stage STAGE] WORKDIR ... > benchmarks/views.md

Several work directories must differ in the seed of training alone.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rireid_jax.config import evaluation_protocol, final_stage, with_paths
from rireid_jax.data.build import Built
from rireid_jax.errors import UserError
from rireid_jax.evaluation.embed import Embedder, Embedding
from rireid_jax.evaluation.evaluate import reranker
from rireid_jax.evaluation.intervals import Comparison, compare, drawn_from
from rireid_jax.evaluation.scoring import Outcomes, outcomes, rank_queries
from rireid_jax.evaluation.views import VIEWS
from rireid_jax.parallel import Parallel
from rireid_jax.runs.trial import build_dataset
from rireid_jax.runs.workdir import read_config
from rireid_jax.training.checkpoint import Checkpoints

_TEXT = """\
# What views and re-ranking add

`{command}` makes this page, from {runs} of the stage `{stage}`
({epochs}) on {dataset}, protocol {protocol}. The {queries} queries are ranked in {gallery} gallery images by
features{normalised}. "flip" is the mean feature of an image and its mirror image, "flip_crops" that of ten views
(`config.eval.views`); "re-ranked" is `config.eval.rerank=k_reciprocal` with k1 = {k1}, k2 = {k2} and
lambda = {lambda_value}. Rank-1 and mAP are in percent, by the query's resolution r; "s" is seconds to embed queries and
gallery, with compilation, where the load of the machine was {load:.0f} on {cores} cores.
"""
_DIFFERENCES = (
    ("flip", "", "one", ""),
    ("flip_crops", "", "one", ""),
    ("flip_crops", "", "flip", ""),
    ("one", "k_reciprocal", "one", ""),
    ("flip_crops", "k_reciprocal", "flip_crops", ""),
)

Way = tuple[str, str]  # views, re-ranking
Scored = dict[Way, dict[int, list[Outcomes]]]  # by seed


def main() -> None:
    """Prints the page to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR")
    parser.add_argument("--stage", default="", help="of the runs; by default their final one")
    arguments = parser.parse_args()
    scored: Scored = {}
    seconds: dict[str, float] = dict.fromkeys(VIEWS, 0.0)
    for workdir in arguments.workdirs:
        config = with_paths(read_config(workdir))
        data = build_dataset(config, config.dataset)
        stage = arguments.stage or final_stage(config)
        _score(config, stage, workdir, data, scored, seconds)
    runs = len(arguments.workdirs)
    values = {
        "command": f"python benchmarks/views.py {f'--stage {arguments.stage} ' * bool(arguments.stage)}WORKDIR",
        "runs": f"{runs} trainings" if runs > 1 else "one training",
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "stage": stage,
        "dataset": config.dataset,
        "protocol": data.protocol_hash,
        "epochs": f"{config.stages[stage].epochs} epochs",
        "queries": len(data.splits["query"]),
        "gallery": len(data.splits["gallery"]),
        "normalised": " divided by their norm" if config.eval.normalise else "",
        **config.eval.k_reciprocal.to_dict(),
    }
    print(_TEXT.format(**values))
    print(_rates(scored, {views: own / runs for views, own in seconds.items()}, config.eval.bins))
    for our_views, our_rerank, their_views, their_rerank in _DIFFERENCES:
        ours, theirs = scored[our_views, our_rerank], scored[their_views, their_rerank]
        title = f"{_title(our_views, our_rerank)} minus {_title(their_views, their_rerank)}"
        print(_differences(title, compare(ours, theirs, config.eval.bins)))
    one = scored["one", ""]
    found = compare(one, one, config.eval.bins).rank1
    print(
        "Differences are in points, with 95 % intervals over "
        f"{drawn_from(found.num_identities, found.num_seeds)}.\nA difference whose interval holds 0 cannot be told."
    )


def _score(
    config: ConfigDict,
    stage: str,
    workdir: str,
    data: Built,
    scored: Scored,
    seconds: dict[str, float],
) -> None:
    """Adds the outcomes of a run's queries in every way, and how long they took to embed."""
    with Checkpoints(workdir, stage) as checkpoints:
        _, variables = checkpoints.load_latest()
    parallel = Parallel("shard_map", alone=True)
    for views in VIEWS:
        config.eval.views = views
        embedder = Embedder(config, stage, len(data.train_pids), parallel)
        started = time.perf_counter()
        query, gallery = (embedder(variables, data.splits[split]) for split in ("query", "gallery"))
        seconds[views] += time.perf_counter() - started
        print(f"{workdir}: {views}, {time.perf_counter() - started:.0f} s", file=sys.stderr)
        for rerank in ("", "k_reciprocal"):
            by_seed = scored.setdefault((views, rerank), {})
            if config.seed in by_seed:
                sys.exit(f"error: found seed {config.seed} twice, expected a run for each seed")
            by_seed[config.seed] = [_outcomes(config, query, gallery, rerank)]


def _outcomes(config: ConfigDict, query: Embedding, gallery: Embedding, rerank: str) -> Outcomes:
    config.eval.rerank = rerank
    ranking = rank_queries(
        query.features,
        gallery.features,
        query.pids,
        gallery.pids,
        query.camids,
        gallery.camids,
        **evaluation_protocol(config),
        rerank=reranker(config) or "",
    )
    return outcomes(ranking, query.pids, query.resolutions)


def _rates(scored: Scored, seconds: Mapping[str, float], edges: Any) -> str:
    """Rank-1 and mAP over all queries and in the bins of resolution, in percent, means over the runs."""
    bins = list(itertools.pairwise(edges))
    titles = ["all", *(f"r in ({low:.2f}, {high:.2f}]" for low, high in bins)]
    header = ["", *(f"{rate}, {title}" for title in titles for rate in ("Rank-1", "mAP")), "s"]
    lines = [header, ["---"] * len(header)]
    for (views, rerank), by_seed in scored.items():
        cells = []
        for low, high in ((0.0, 1.0), *bins):
            for rate in ("rank1", "average_precision"):
                found = [
                    np.nanmean(getattr(own, rate)[_inside(own.resolutions, low, high)])
                    for (own,) in by_seed.values()
                ]
                cells.append(f"{100 * np.mean(found):.1f}")
        lines.append([_title(views, rerank), *cells, "" if rerank else f"{seconds[views]:.0f}"])
    return "\n".join(map(_row, lines)) + "\n"


def _inside(resolutions: np.ndarray, low: float, high: float) -> np.ndarray:
    return (np.float32(low) < resolutions) & (resolutions <= np.float32(high))


def _differences(title: str, comparison: Comparison) -> str:
    parts: list[tuple[str, Mapping[str, Any]]] = [
        ("all", {"rank1": comparison.rank1, "mAP": comparison.mAP}),
        *((f"r in ({b['low']:.2f}, {b['high']:.2f}]", b) for b in comparison.by_resolution),
    ]
    lines = [[title, "Rank-1", "", "mAP", ""], ["---"] * 5]
    for part, found in parts:
        cells = [
            text
            for rate in ("rank1", "mAP")
            for text in ((found[rate].in_points(), found[rate].verdict) if found[rate] else "--")
        ]
        lines.append([part, *cells])
    return "\n".join(map(_row, lines)) + "\n"


def _title(views: str, rerank: str) -> str:
    return f"{views}, re-ranked" if rerank else views


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
