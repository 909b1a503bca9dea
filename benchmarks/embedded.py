"""Writes docs/embedded.md from the results of finished runs; `make embedded` trains them first.

python benchmarks/embedded.py runs/embedded-seed0 runs/embedded-seed1 ... > docs/embedded.md
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rireid_jax.evaluation.intervals import Comparison, Difference, compare, drawn_from
from rireid_jax.runs.queries import read_queries

_TEXT = """\
# What the embedded data show

`make embedded` makes this page: `configs/joint.py` trained with {seeds}, FFSR+RIFE compared with bilinear +
ResNet50 from the same start and with as many steps. Protocol {protocol}, {queries} queries, {gallery} gallery
images; Rank-1 in percent, by the query's resolution r; PSNR in dB inside the person's mask.
"""


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
        seed = str(run["config"]["seed"])
        print(_row(_cells(seed, "FFSR+RIFE", run)))
        print(_row(_cells(seed, "baseline", run["baseline"])))
    versions = first["versions"]
    print("\nThe gap is Rank-1 in the highest bin minus Rank-1 in the lowest, in points.\n")
    print(_verdicts(_comparison(runs)))
    print("\n" + _restored(list(runs.values())))
    print(
        f"\nMeasured with jax {versions['jax']}, flax {versions['flax']}, Python {versions['python']} on "
        f"{versions['num_devices']} x {versions['device']}."
    )


def _comparison(runs: Mapping[str, dict[str, Any]]) -> Comparison:
    """FFSR+RIFE minus the baseline, over all runs."""
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
        ours[config["seed"]] = [queries.outcomes[run["stage"]]]
        theirs[config["seed"]] = [queries.outcomes[config["baseline"]]]
    first = next(iter(runs.values()))
    return compare(ours, theirs, first["config"]["eval"]["bins"])


def _verdicts(comparison: Comparison) -> str:
    """A table of all differences, with intervals and verdicts."""
    parts: list[tuple[str, Mapping[str, Difference | None]]] = [
        ("all queries", {"rank1": comparison.rank1, "mAP": comparison.mAP})
    ]
    parts += [(f"r in ({b['low']:.2f}, {b['high']:.2f}]", b) for b in comparison.by_resolution]
    if comparison.gap:
        parts.append(("gap", comparison.gap))
    lines = [["FFSR+RIFE minus baseline", "Rank-1", "", "mAP", "", "identities"], ["---"] * 6]
    for part, found in parts:
        cells = [_shown(found[rate]) for rate in ("rank1", "mAP")]
        count = found["rank1"].num_identities if found["rank1"] else 0
        lines.append([part, *(text for cell in cells for text in cell), str(count)])
    over = drawn_from(comparison.rank1.num_identities, comparison.rank1.num_seeds)
    return (
        "\n".join(map(_row, lines))
        + f"\n\nDifferences in points, with 95 % intervals over {over}. A difference whose interval holds 0 cannot be"
        "\ntold. With two or three seeds the intervals are too narrow (`rireid_jax/evaluation/intervals.py`). In the"
        "\npaper Rank-1 is higher on every data set; a lower gap means that low images lose less."
    )


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
