"""Writes docs/embedded.md from the results of finished runs; `make embedded` trains them first.

python benchmarks/embedded.py runs/embedded-seed0 runs/embedded-seed1 ... > docs/embedded.md
"""

import json
import sys
from pathlib import Path
from typing import Any

_TEXT = """\
# What the embedded data show

`make embedded` makes this page: `configs/joint.py` trained with seed {seeds}, FFSR+RIFE compared with bilinear +
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
    print(
        _TEXT.format(
            seeds=", ".join(str(run["config"]["seed"]) for run in runs.values()),
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
    print(_verdict(list(runs.values())))
    print(
        f"\nMeasured with jax {versions['jax']}, flax {versions['flax']}, Python {versions['python']} on "
        f"{versions['num_devices']} x {versions['device']}."
    )


def _verdict(runs: list[dict[str, Any]]) -> str:
    def better(value: Any) -> str:
        count = sum(value(run) > value(run["baseline"]) for run in runs)
        return f"{count} of {len(runs)} seeds"

    restored = sum(
        run["restoration"]["psnr_foreground"] > run["restoration"]["psnr_foreground_bilinear"]
        for run in runs
    )
    return "\n".join(
        [
            "The paper's ordering in these runs:",
            "",
            f"- Rank-1 of low-resolution queries is above the baseline's with {better(_lowest)}.",
            f"- The gap is smaller than the baseline's with {better(lambda run: -_gap(run))}.",
            f"- Restored persons are nearer to the original than bilinear ones with {restored} of "
            f"{len(runs)} seeds.",
            f"- Rank-1 over all queries is above the baseline's with {better(lambda run: run['rank1'])}; in the "
            "paper it is above it on every data set.",
        ]
    )


def _lowest(run: dict[str, Any]) -> float:
    return run["by_resolution"][0]["rank1"]


def _gap(run: dict[str, Any]) -> float:
    return run["by_resolution"][-1]["rank1"] - _lowest(run)


def _cells(seed: str, system: str, run: dict[str, Any]) -> list[str]:
    restoration = run["restoration"]
    rates = [run["rank1"], *(b["rank1"] for b in run["by_resolution"]), _gap(run), run["mAP"]]
    quality = [restoration["psnr_foreground"], restoration["psnr_foreground_bilinear"]]
    return [seed, system, *(f"{100 * r:.1f}" for r in rates), *(f"{q:.2f}" for q in quality)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main(sys.argv[1:])
