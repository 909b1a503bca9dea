"""Writes docs/reproduction.md from a report; `make report` trains its rows first.

python benchmarks/reproduction.py runs/ablation-pedestrians > docs/reproduction.md
"""

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from rireid_jax.paper.claims import VERDICTS

_TEXT = """\
# Which of the paper's claims show here

`make report` makes this page from the report of `--mode report --config configs/ablation.py:{dataset}`: {about}.
All systems in a comparison have the same start and the same number of epochs. A verdict is about these data, this
size of network and these seeds, and about nothing else. A claim about Rank-1 "holds", or "does not hold", if the 95 %
interval of the difference leaves out 0, and otherwise it "cannot be told". The interval is a bootstrap over the
identities of the queries and over the seeds; where a system has one seed, it says nothing about another training, and
with two or three it is too narrow (`rireid_jax/evaluation/intervals.py` says by how much).
Claims about complexity and about O of Eq. 2 are judged by the figures alone.
"""


def main(workdir: str) -> None:
    """Prints the page to standard output."""
    file = Path(workdir) / "report" / "report.json"
    if not file.exists():
        sys.exit(f"error: found no {file}, expected the work directory of --mode report")
    report = json.loads(file.read_text())
    about = ", ".join(f"{name} {text}" for name, text in report["about"].items())
    print(_TEXT.format(dataset=report["dataset"], about=about))
    for finding, claims in groupby(report["claims"], key=lambda claim: claim["finding"]):
        print(f"## {finding}\n")
        print(_row(["claim", "verdict", "ours", "the paper's"]))
        print(_row(["---"] * 4))
        for claim in claims:
            print(_row([claim["claim"], f"**{claim['verdict']}**", claim["ours"], claim["paper"]]))
        print()
    print(_summary(report["claims"]))
    for name in report["tables"]:
        print("\n" + (file.parent / f"{name}.md").read_text(), end="")


def _summary(claims: list[dict[str, Any]]) -> str:
    counts = {verdict: sum(claim["verdict"] == verdict for claim in claims) for verdict in VERDICTS}
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"{len(claims)} claims: {verdicts}."


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main(sys.argv[1])
