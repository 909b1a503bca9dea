"""The run of each row with each seed: trained in a folder of its own, and nothing trained twice."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rireid_jax.config import stages_to
from rireid_jax.config.trials import trial_configs
from rireid_jax.data.build import Built
from rireid_jax.errors import UserError
from rireid_jax.evaluation.scoring import Outcomes
from rireid_jax.paper.rows import CLASSICAL, ROWS
from rireid_jax.paper.systems import scoring
from rireid_jax.runs.averages import average
from rireid_jax.runs.parts import Part, run_parts, take_over_stages
from rireid_jax.runs.queries import Queries, read_queries, write_queries
from rireid_jax.runs.results import write_results
from rireid_jax.runs.run import run
from rireid_jax.runs.trial import build_dataset
from rireid_jax.runs.workdir import claim, locked, read_config, read_results, trial_folder
from rireid_jax.training.loop import Stopped

logger = logging.getLogger(__name__)


def row_folder(workdir: str, row: str, seed: int) -> str:
    """The work directory of a row trained with a seed."""
    return os.path.join(workdir, row, f"seed{seed}")


def row_config(config: ConfigDict, row: str, seed: int) -> ConfigDict:
    """The config of a row trained with a seed; it has the row's own stages alone, so that rows stay independent."""
    own = config.copy_and_resolve_references()
    own.seed = seed
    own.baseline = ""
    own.run = stages_to(own, ROWS[row].stage) if ROWS[row].stage else ()
    own.stages = ConfigDict({stage: own.stages[stage] for stage in own.run})
    return own


def row_parts(config: ConfigDict, workdir: str, row: str, seed: int) -> list[Part]:
    """The parts of a row: one for each trial, or a single one if the data set has no trials."""
    return run_parts(row_config(config, row, seed), row_folder(workdir, row, seed))


def obstacle(config: ConfigDict, row: str, data: Built, asked: bool) -> str:
    """Why a row cannot be trained, in words; "" if it can.

    Args:
      config: of all rows.
      row: key of `ROWS`.
      data: the data set, or one trial of it.
      asked: whether the user named the row.
    """
    spec = ROWS[row]
    if spec.needs_masks and not data.splits["train"][0].mask:
        return "the data set stores no masks"
    if spec.own_backbone and config.init.backbone and not asked:
        return f"needs --rows={row} with config.init.backbone of its own architecture"
    pairs = len(data.splits["query"]) * len(data.splits["gallery"])
    if row in CLASSICAL and pairs > scoring.MAX_PAIRS:
        return (
            f"its matrix of distances has no room for {pairs:,} pairs of query and gallery images"
        )
    return ""


def check_folders(config: ConfigDict, workdir: str) -> None:
    """Refuses a work directory in which a row was trained with another config.

    Raises:
      UserError: names the folder and the fields that differ.
    """
    for row, seed, folder in _trained(workdir):
        try:
            claim(folder, _as_trained(config, row, seed, folder))
        except UserError as error:
            raise UserError(
                f"{error}. If the folder is deleted, the row is trained anew"
            ) from error


def train_row(config: ConfigDict, workdir: str, row: str, seed: int, smaller: str = "") -> None:
    """Trains and evaluates a row unless it has results.

    A stage that another row has finished with the same seed is copied from it.

    Args:
      config: of all rows.
      workdir: of the report.
      row: key of `ROWS`.
      seed: of training.
      smaller: as `run` takes it.

    Raises:
      UserError: a mistake in the config, the files, or the work directory.
      Stopped: asked to stop while training.
    """
    own, folder = row_config(config, row, seed), row_folder(workdir, row, seed)
    if read_results(folder, own):
        logger.info("%s, seed %d: finished before", row, seed)
        return
    print(f"\n{row}, seed {seed}", flush=True)
    if row in CLASSICAL:
        _score_classical(config, workdir, row, seed)
        return
    for place, part in enumerate(row_parts(config, workdir, row, seed)):
        others = [
            row_parts(config, workdir, other, seed)[place].folder
            for other in ROWS
            if other not in (row, *CLASSICAL)
        ]
        take_over_stages(part, dict.fromkeys(part.config.run, others))
    try:
        run(own, folder, "train", smaller)
    except Stopped as stopped:
        raise Stopped(f"{row}, seed {seed}, {stopped}") from None


def read_rows(config: ConfigDict, workdir: str) -> dict[str, dict[int, dict[str, Any]]]:
    """The results by row and seed, of the rows that have some.

    Raises:
      UserError: the results have different protocols, so they cannot be compared.
    """
    results: dict[str, dict[int, dict[str, Any]]] = {}
    for row, seed, folder in _trained(workdir):
        found = read_results(folder, _as_trained(config, row, seed, folder))
        if found:
            results.setdefault(row, {})[seed] = found
    refuse_different_protocols(results)
    return {row: dict(sorted(results[row].items())) for row in ROWS if row in results}


def read_outcomes(
    config: ConfigDict, workdir: str, results: Mapping[str, Mapping[int, Mapping[str, Any]]]
) -> dict[str, dict[int, list[Outcomes]]]:
    """The outcomes of the queries by row and seed, one for each trial (a single one if there are none).

    Args:
      config: of all rows.
      workdir: of the report.
      results: from `read_rows`. A row and seed that an older version scored has no outcomes.
    """
    outcomes: dict[str, dict[int, list[Outcomes]]] = {}
    for row, by_seed in results.items():
        for seed, found in by_seed.items():
            parts = row_parts(config, workdir, row, seed)
            queries = [read_queries(part.folder) for part in parts]
            kept = [
                q.outcomes[found["stage"]] for q in queries if q and found["stage"] in q.outcomes
            ]
            if len(kept) == len(parts):
                outcomes.setdefault(row, {})[seed] = kept
    return outcomes


def refuse_different_protocols(results: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> None:
    """Raises UserError unless all results have one protocol."""
    rows_of: dict[str, list[str]] = {}
    for row, by_seed in results.items():
        for found in by_seed.values():
            rows_of.setdefault(found["protocol_hash"], []).append(row)
    if len(rows_of) > 1:
        shown = "; ".join(f"{key} of {', '.join(rows)}" for key, rows in rows_of.items())
        raise UserError(
            f"report: found results of different protocols ({shown}), which are not comparable, expected one protocol; "
            "use a new --workdir, or delete the rows of the other protocol"
        )


def _trained(workdir: str) -> Iterator[tuple[str, int, str]]:
    """Yields (row, seed, folder) of every row that has been started."""
    for row in ROWS:
        names = [path.name for path in epath.Path(os.path.join(workdir, row)).glob("seed*")]
        for seed in sorted(int(name[4:]) for name in names if name[4:].isdecimal()):
            folder = row_folder(workdir, row, seed)
            if (epath.Path(folder) / "config.json").exists():
                yield row, seed, folder


def _as_trained(config: ConfigDict, row: str, seed: int, folder: str) -> ConfigDict:
    """A row's config. The file of its own backbone may have been named by an earlier command."""
    own = row_config(config, row, seed)
    if ROWS[row].own_backbone:
        own.init.backbone = read_config(folder).init.backbone
    return own


def _score_classical(config: ConfigDict, workdir: str, row: str, seed: int) -> None:
    own, folder = row_config(config, row, seed), row_folder(workdir, row, seed)
    started = time.monotonic()
    with locked(folder):
        claim(folder, own)
        results, found = [], []
        for part in row_parts(config, workdir, row, seed):
            data = build_dataset(part.config, part.config.dataset)
            metrics, outcomes = scoring.score(part.config, row, data)
            found.append(Queries(outcomes.pids, outcomes.resolutions, {row: outcomes}))
            named = {"baseline": None, "comparison": None, "stage": row, "step": 0}
            named["protocol_hash"] = data.protocol_hash
            results.append({**named, **metrics})
        trials, seconds = trial_configs(own), time.monotonic() - started
        if not trials:
            write_results(folder, own, results[0], seconds, found[0])
            return
        for trial, queries in zip(trials, found, strict=True):
            write_queries(trial_folder(folder, trial), queries)
        measured = average(dict(zip(trials, results, strict=True)))
        write_results(folder, own, {**measured, "comparison": None}, seconds)
