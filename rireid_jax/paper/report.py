"""Trains what is missing of Tables 1 to 3 and writes `WORKDIR/report`."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import flax.linen as nn
from etils import epath
from ml_collections import ConfigDict

from rireid_jax.config import base_config, recipe_title, validate
from rireid_jax.data.build import Built
from rireid_jax.errors import UserError
from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.network import create_network, variable_shapes
from rireid_jax.paper.claims import judge
from rireid_jax.paper.classical.scoring import PARTIAL
from rireid_jax.paper.comparison import Complexity, Data, System, csv_text, markdown, table_records
from rireid_jax.paper.drawing import Drawing, first_division
from rireid_jax.paper.page import page
from rireid_jax.paper.rows import ALIASES, ROWS, TABLES
from rireid_jax.paper.training import (
    check_folders,
    obstacle,
    read_rows,
    seeds_of,
    train_row,
)
from rireid_jax.parallel import Parallel
from rireid_jax.runs.files import jsonable, write_whole
from rireid_jax.runs.workdir import has_checkpoints, locked

logger = logging.getLogger(__name__)

_PAPER_SIZE = (384, 128)  # at which Table 1 counts


def report(config: ConfigDict, workdir: str, rows: Sequence[str], seeds: Sequence[int]) -> None:
    """Trains rows that are not finished, then writes tables and figures of all that are.

    Args:
      config: `configs/ablation.py`.
      workdir: local folder; every row has folders of its own in it.
      rows: to train; () takes those that the config's stages are for, with all stages every row.
      seeds: of training; rows on which no claim rests take the first alone.

    Raises:
      UserError: a mistake in the flags, the config, the files, or the work directory.
      Stopped: asked to stop while training.
    """
    validate(config)
    _check(config, workdir, rows, seeds)
    chosen = [ALIASES.get(row, row) for row in rows] or _rows_of(config)
    parallel = Parallel(config.parallel)
    with locked(workdir):
        check_folders(config, workdir)
        data = first_division(config, workdir)
        for row in ROWS:
            reason = obstacle(config, row, data, row in rows) if row in chosen else ""
            if reason:
                logger.info("%s: not run, %s", row, reason)
            elif row in chosen:
                for seed in seeds_of(row, seeds):
                    train_row(config, workdir, row, seed)
        results = read_rows(config, workdir)
        logger.info("writes the report")
        sizes = _complexities(config, results, len(data.train_pids))
        systems = {
            row: System(
                results.get(row, {}),
                obstacle(config, row, data, row in rows),
                PARTIAL.get(row, spec.partial),
                sizes.get(row),
            )
            for row, spec in ROWS.items()
        }
        _write(config, workdir, systems, data, parallel)


def _check(config: ConfigDict, workdir: str, rows: Sequence[str], seeds: Sequence[int]) -> None:
    unknown = [row for row in rows if row not in (*ROWS, *ALIASES)]
    if unknown:
        raise UserError(f"--rows: found {unknown[0]!r}, expected some of {', '.join(ROWS)}")
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise UserError(f"--seeds: found {tuple(seeds)}, expected different numbers from 0 on")
    if any(row.stage not in config.stages for row in ROWS.values() if row.stage):
        raise UserError("--config: found no stages of all rows, expected configs/ablation.py")
    if "://" in workdir:
        raise UserError(f"--workdir {workdir}: found an object store, expected a local folder")
    if has_checkpoints(workdir):
        raise UserError(f"--workdir {workdir}: found a run, expected a new folder or a report's")


def _rows_of(config: ConfigDict) -> list[str]:
    named = [row for row, spec in ROWS.items() if spec.stage in config.run]
    networks = [row for row, spec in ROWS.items() if spec.stage]
    return list(ROWS) if named == networks else named


def _write(
    config: ConfigDict,
    workdir: str,
    systems: Mapping[str, System],
    data: Built,
    parallel: Parallel,
) -> None:
    folder = Path(workdir) / "report"
    folder.mkdir(exist_ok=True)
    drawing = Drawing(config, workdir, folder, systems, parallel)
    figures = drawing.draw(data)
    recipe = recipe_title(config.dataset, config.data.recipe.to_dict())
    measured_on = Data(config.dataset, recipe, tuple(config.data.image_size))
    tables = {name: table_records(table, config.dataset, systems) for name, table in TABLES.items()}
    claims = judge(config.dataset, systems, drawing.objective)
    for name, records in tables.items():
        text = markdown(name, measured_on, records)
        write_whole(epath.Path(folder / f"{name}.md"), text)
        write_whole(epath.Path(folder / f"{name}.csv"), csv_text(records))
        print(f"\n{text}", end="")
    found = next((r for s in systems.values() for r in s.results.values()), None)
    versions = found["versions"] if found else {}
    meta = {
        "data": f"{config.dataset}, {recipe} recipe",
        "protocol": found["protocol_hash"] if found else "nothing was run",
        "queries, gallery": f"{found['num_query']}, {found['num_gallery']}" if found else "-",
        "input": "{}x{}".format(*measured_on.image_size),
        "trained with": f"jax {versions['jax']} on {versions['device']}" if found else "-",
    }
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


def _complexities(
    config: ConfigDict, results: Collection[str], num_classes: int
) -> dict[str, Complexity]:
    """By row; nothing is run. Whole networks are traced where there are results, those alike once.

    Args:
      config: of all rows.
      results: rows that have some.
      num_classes: identities of the classifier.
    """
    full = config.copy_and_resolve_references()
    full.model.update(base_config("vr_msmt17").model)
    own_size = tuple(config.data.image_size)
    restorers: dict[str, int | None] = {}
    networks: dict[tuple[str, str], tuple[int, int, int]] = {}
    sizes = {}
    for row, spec in ROWS.items():
        if not spec.stage:
            continue
        stage = config.stages[spec.stage]
        name, key = stage.super_resolution, (stage.super_resolution, stage.extractor)
        if name not in restorers:
            restorer = create_network(full, spec.stage, num_classes).super_resolution
            restorers[name] = _traced(restorer, _PAPER_SIZE)[0] if restorer else None
        if row in results and key not in networks:
            paper = _traced(create_network(full, spec.stage, num_classes), _PAPER_SIZE)
            own = _traced(create_network(config, spec.stage, num_classes), own_size)
            networks[key] = paper[0], *own
        whole = networks[key] if row in results else ()
        sizes[row] = Complexity(restorers[name], *whole)
    return sizes


def _traced(network: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Multiply-accumulates of one image, and parameters, of what is used after training."""
    variables = variable_shapes(network, size)
    used = {name: own for name, own in variables["params"].items() if name != "discriminator"}
    return count_macs(network.apply, variables, image_like(*size)), count_parameters(used)
