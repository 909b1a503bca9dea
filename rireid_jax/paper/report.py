"""`--mode report`: trains what is missing of Tables 1 to 3 and writes `WORKDIR/report`."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rireid_jax.config import recipe_title, validate
from rireid_jax.data.build import Built
from rireid_jax.errors import UserError
from rireid_jax.paper.claims import judge
from rireid_jax.paper.complexity import complexities
from rireid_jax.paper.figures import Drawing
from rireid_jax.paper.page import page
from rireid_jax.paper.row_runs import (
    check_folders,
    obstacle,
    read_outcomes,
    read_rows,
    row_parts,
    train_row,
)
from rireid_jax.paper.rows import ALIASES, ROWS, seeds_of
from rireid_jax.paper.systems.scoring import PARTIAL
from rireid_jax.paper.tables import TABLES, Data, System, csv_text, markdown, table_records
from rireid_jax.runs.files import jsonable, write_whole
from rireid_jax.runs.trial import build_dataset
from rireid_jax.runs.workdir import has_checkpoints, locked

logger = logging.getLogger(__name__)


def make_report(
    config: ConfigDict, workdir: str, rows: Sequence[str], seeds: Sequence[int], smaller: str = ""
) -> None:
    """Trains the rows that are not finished, then writes tables and figures of all that are.

    Args:
      config: from `configs/ablation.py`.
      workdir: local folder; every row has folders of its own in it.
      rows: to train; () trains those whose stages the config runs, and all rows if it runs the stages of all.
      seeds: for training; rows on which no claim rests take the first one alone.
      smaller: what to give for `--config` to train the small size; "" if this is it.

    Raises:
      UserError: a mistake in the flags, the config, the files, or the work directory.
      Stopped: asked to stop while training.
    """
    validate(config)
    _check(config, workdir, rows, seeds)
    chosen = [ALIASES.get(row, row) for row in rows] or _rows_of(config)
    with locked(workdir):
        check_folders(config, workdir)
        first = row_parts(config, workdir, "resnet50", 0)[0].config
        data = build_dataset(first, first.dataset)
        obstacles = {row: obstacle(config, row, data, row in rows) for row in ROWS}
        for row in filter(chosen.__contains__, ROWS):
            if obstacles[row]:
                logger.info("%s: not run, %s", row, obstacles[row])
                continue
            for seed in seeds_of(row, seeds):
                train_row(config, workdir, row, seed, smaller)
        results = read_rows(config, workdir)
        outcomes = read_outcomes(config, workdir, results)
        logger.info("writes the report")
        sizes = complexities(config, results, len(data.train_pids))
        systems = {
            row: System(
                results.get(row, {}),
                outcomes.get(row, {}),
                obstacles[row],
                PARTIAL.get(row, spec.partial),
                sizes.get(row),
            )
            for row, spec in ROWS.items()
        }
        _write(config, workdir, systems, data)


def _check(config: ConfigDict, workdir: str, rows: Sequence[str], seeds: Sequence[int]) -> None:
    unknown = [row for row in rows if row not in (*ROWS, *ALIASES)]
    if unknown:
        raise UserError(f"--rows: found {unknown[0]!r}, expected some of {', '.join(ROWS)}")
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise UserError(f"--seeds: found {tuple(seeds)}, expected different numbers from 0 on")
    if any(row.stage not in config.stages for row in ROWS.values() if row.stage):
        raise UserError("--config: found no stages of all rows, expected configs/ablation.py")
    if config.eval.split != "query":
        raise UserError(
            f"config.eval.split: found {config.eval.split!r}, expected 'query' with --mode report"
        )
    if "://" in workdir:
        raise UserError(f"--workdir {workdir}: found an object store, expected a local folder")
    if has_checkpoints(workdir):
        raise UserError(f"--workdir {workdir}: found a run, expected a new folder or a report's")


def _rows_of(config: ConfigDict) -> list[str]:
    """The rows whose stages the config runs; the systems without stages come with all the others."""
    named = [row for row, spec in ROWS.items() if spec.stage in config.run]
    networks = [row for row, spec in ROWS.items() if spec.stage]
    return list(ROWS) if named == networks else named


def _write(config: ConfigDict, workdir: str, systems: Mapping[str, System], data: Built) -> None:
    folder = Path(workdir) / "report"
    folder.mkdir(exist_ok=True)
    drawing = Drawing(config, workdir, systems, data)
    figures = drawing.draw(folder)
    recipe = recipe_title(config.dataset, config.data.recipe.to_dict())
    measured_on = Data(config.dataset, recipe, tuple(config.data.image_size))
    tables = {name: table_records(table, config.dataset, systems) for name, table in TABLES.items()}
    claims = judge(config.dataset, systems, drawing.objective)
    for name, records in tables.items():
        text = markdown(name, measured_on, records)
        write_whole(epath.Path(folder / f"{name}.md"), text)
        write_whole(epath.Path(folder / f"{name}.csv"), csv_text(records))
        print(f"\n{text}", end="")
    meta = _meta(measured_on, systems)
    whole = {
        "dataset": config.dataset,
        "recipe": recipe,
        "about": meta,
        "tables": tables,
        "claims": claims,
        "objective": drawing.objective,
    }
    write_whole(epath.Path(folder / "report.json"), json.dumps(jsonable(whole), indent=2) + "\n")
    text = page(meta, measured_on, tables, claims, figures)
    write_whole(epath.Path(folder / "index.html"), text)
    print(f"\nreport in {folder / 'index.html'}")


def _meta(data: Data, systems: Mapping[str, System]) -> dict[str, str]:
    """Facts about the report, by name."""
    results = [found for system in systems.values() for found in system.results.values()]
    first: Mapping[str, Any] = results[0] if results else {}
    versions = first.get("versions", {})
    return {
        "data": f"{data.dataset}, {data.recipe} recipe",
        "protocol": first.get("protocol_hash", "nothing was run"),
        "queries, gallery": f"{first['num_query']}, {first['num_gallery']}" if first else "-",
        "input": "{}x{}".format(*data.image_size),
        "trained with": f"jax {versions['jax']} on {versions['device']}" if first else "-",
    }
