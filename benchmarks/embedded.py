"""Writes docs/embedded.md from the results of finished runs; `make embedded` trains them first.

python benchmarks/embedded.py runs/embedded-seed0 runs/embedded-seed1 ... > docs/embedded.md
"""

import json
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rireid_jax.evaluation.intervals import Comparison, Difference, compare, drawn_from
from rireid_jax.runs.queries import read_queries

_TEXT = """\
# What the embedded data show

`make embedded` makes this page: `configs/systems.py` trained with {seeds} on one
drawing of the data (the seed of the data, `config.data.recipe.seed`, is another one than that of training). FFSR+RIFE,
and each of both alone, are compared with the baseline, bilinear + ResNet50, from the same start and with as many
steps. Protocol {protocol}, {queries} queries, {gallery} gallery images;
Rank-1 in percent, by the query's resolution r; PSNR in dB inside the person's mask.
"""
_WIDTHS = (4, 7, 9, 11, 16, 22, 32)  # pixels; the first three groups are the lowest bin
_NAMES = {"joint": "FFSR+RIFE", "rife_alone": "RIFE", "ffsr_joint": "FFSR"}


def main(workdirs: list[str]) -> None:
    """Prints the page to standard output."""
    runs = {
        workdir: json.loads((Path(workdir) / "results.json").read_text()) for workdir in workdirs
    }
    first = next(iter(runs.values()))
    hashes = {run["protocol_hash"] for run in runs.values()}
    if len(hashes) > 1:
        sys.exit(f"error: protocols {', '.join(sorted(hashes))} are not comparable, expected one")
    seeds = [str(run["config"]["seed"]) for run in runs.values()]
    print(
        _TEXT.format(
            seeds=f"{'seeds' if len(runs) > 1 else 'seed'} {', '.join(seeds)}",
            protocol=first["protocol_hash"],
            queries=first["num_query"],
            gallery=first["num_gallery"],
        )
    )
    bins = [f"r in ({b['low']:.2f}, {b['high']:.2f}]" for b in first["by_resolution"]]
    counts = [f"{b['num_query']} queries" for b in first["by_resolution"]]
    columns = ["seed", "system", "all", *bins, "gap", "mAP", "PSNR", "bilinear"]
    print(_row(columns))
    print(_row(["---"] * len(columns)))
    print(_row(["", "", "", *counts, "", "", "", ""]))
    for run in runs.values():
        for name, metrics in _systems(run).items():
            print(_row(_cells(str(run["config"]["seed"]), name, metrics)))
    versions = first["versions"]
    print("\nThe gap is Rank-1 in the highest bin minus Rank-1 in the lowest, in points.")
    for stage, name in _NAMES.items():
        if stage in first["config"]["others"] or stage == first["stage"]:
            print("\n" + _verdicts(name, _comparison(runs, stage)) + "\n\n" + _counts(runs, name))
    over = drawn_from(first["comparison"]["rank1"]["num_identities"], (len(runs), len(runs)))
    print(
        f"\nDifferences in points, with 95 % intervals over {over}. A difference whose interval holds 0"
        "\ncannot be told. With few seeds the intervals are too narrow (`rireid_jax/evaluation/intervals.py`). In the"
        "\npaper Rank-1 of all three is above the baseline's on every data set. A lower gap means that low"
        "\nimages lose less."
    )
    print("\n" + _by_width(runs))
    print("\n" + _restored(list(runs.values())))
    print("\n" + _inside(list(runs.values())))
    print(
        f"\nMeasured with jax {versions['jax']}, flax {versions['flax']}, Python {versions['python']} on "
        f"{versions['num_devices']} x {versions['device']}."
    )


def _systems(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The metrics of each system of a run, by its name on the page."""
    own = {_NAMES[run["stage"]]: run}
    others = {_NAMES[stage]: metrics for stage, metrics in run["others"].items()}
    return {**own, **others, "baseline": run["baseline"]}


def _counts(runs: Mapping[str, dict[str, Any]], name: str) -> str:
    """With how many seeds a system is above the baseline."""
    all_, low = 0, 0
    for run in runs.values():
        ours, theirs = _systems(run)[name], run["baseline"]
        all_ += ours["rank1"] > theirs["rank1"]
        low += ours["by_resolution"][0]["rank1"] > theirs["by_resolution"][0]["rank1"]
    return (
        f"Rank-1 of {name} is above the baseline's with {all_} of {len(runs)} seeds over all queries, and with {low} "
        f"of\n{len(runs)} in the lowest bin."
    )


def _by_width(runs: Mapping[str, dict[str, Any]]) -> str:
    """Rank-1 of every system by the width of the query, means over the seeds."""
    first = next(iter(runs.values()))
    stages = {stage: _NAMES[stage] for stage in (first["stage"], *first["others"])}
    stages[first["config"]["baseline"]] = "baseline"
    kept = [queries for queries in map(read_queries, runs) if queries]
    widths = np.rint(kept[0].resolutions * first["config"]["data"]["recipe"]["width"])
    lines = [["width of the query", "queries", *stages.values()], ["---"] * (2 + len(stages))]
    for low, high in pairwise(_WIDTHS):
        inside = (low <= widths) & (widths < high)
        rates = [
            np.mean([np.nanmean(queries.outcomes[stage].rank1[inside]) for queries in kept])
            for stage in stages
            if inside.any()
        ]
        if rates:
            shown = [f"{100 * rate:.1f}" for rate in rates]
            lines.append([f"{low} to {high - 1} pixels", str(np.count_nonzero(inside)), *shown])
    return "Rank-1 by the width of the query, means over the seeds:\n\n" + "\n".join(
        map(_row, lines)
    )


def _inside(runs: list[dict[str, Any]]) -> str:
    """The gates of FFSR+RIFE against r."""
    lines = [["block", "correlation of wH with r", "error of Eq. 7", "of the best constant"]]
    lines.append(["---"] * 4)
    for t, blocks in enumerate(zip(*(run["inside"]["gates"] for run in runs), strict=True), 1):
        values = (
            [block[key] for block in blocks]
            for key in ("correlation_wH", "error", "constant_error")
        )
        lines.append([str(t), *(f"{sum(v) / len(v):.2f}" for v in values)])
    return "The gates of FFSR+RIFE, means over the seeds:\n\n" + "\n".join(map(_row, lines))


def _comparison(runs: Mapping[str, dict[str, Any]], stage: str) -> Comparison:
    """A system minus the baseline, over all runs."""
    ours: dict[int, list[Any]] = {}
    theirs: dict[int, list[Any]] = {}
    for workdir, run in runs.items():
        queries, config = read_queries(workdir), run["config"]
        if queries is None:
            sys.exit(
                f"error: found no queries.npz in {workdir}, expected a run of this version; --mode evaluate writes it"
            )
        if config["seed"] in ours:
            sys.exit(f"error: found seed {config['seed']} twice, expected a run for each seed")
        ours[config["seed"]] = [queries.outcomes[stage]]
        theirs[config["seed"]] = [queries.outcomes[config["baseline"]]]
    first = next(iter(runs.values()))
    return compare(ours, theirs, first["config"]["eval"]["bins"])


def _verdicts(name: str, comparison: Comparison) -> str:
    """A table of all differences, with intervals and verdicts."""
    parts: list[tuple[str, Mapping[str, Difference | None]]] = [
        ("all queries", {"rank1": comparison.rank1, "mAP": comparison.mAP})
    ]
    parts += [(f"r in ({b['low']:.2f}, {b['high']:.2f}]", b) for b in comparison.by_resolution]
    if comparison.gap:
        parts.append(("gap", comparison.gap))
    lines = [[f"{name} minus baseline", "Rank-1", "", "mAP", "", "identities"], ["---"] * 6]
    for part, found in parts:
        cells = [_shown(found[rate]) for rate in ("rank1", "mAP")]
        count = found["rank1"].num_identities if found["rank1"] else 0
        lines.append([part, *(text for cell in cells for text in cell), str(count)])
    return "\n".join(map(_row, lines))


def _shown(found: Difference | None) -> tuple[str, str]:
    return (found.in_points(), f"**{found.verdict}**") if found else ("-", "-")


def _restored(runs: list[dict[str, Any]]) -> str:
    restored = sum(
        run["restoration"]["psnr_foreground"] > run["restoration"]["psnr_foreground_bilinear"]
        for run in runs
    )
    return f"Restored persons are nearer to the original than bilinear ones with {restored} of {len(runs)} seeds."


def _gap(run: dict[str, Any]) -> float:
    return run["by_resolution"][-1]["rank1"] - run["by_resolution"][0]["rank1"]


def _cells(seed: str, system: str, run: dict[str, Any]) -> list[str]:
    restoration = run["restoration"]
    rates = [run["rank1"], *(b["rank1"] for b in run["by_resolution"]), _gap(run), run["mAP"]]
    quality = [restoration["psnr_foreground"], restoration["psnr_foreground_bilinear"]]
    return [seed, system, *(f"{100 * r:.1f}" for r in rates), *(f"{q:.2f}" for q in quality)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main(sys.argv[1:])
