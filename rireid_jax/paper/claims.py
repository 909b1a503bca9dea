"""The claims of sections 5.3 and 5.4 of the paper, and whether our figures agree with them.

A claim about Rank-1 holds, or does not, if the 95 % interval of the difference leaves out 0; else it cannot be told.
Claims about complexity and about O of Eq. 2 are judged by the figures alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rireid_jax.evaluation.intervals import CANNOT_BE_TOLD, HIGHER, LOWER, drawn_from
from rireid_jax.paper.tables import (
    TABLES,
    System,
    difference,
    printed_benchmark,
    table_records,
)

HOLDS, FAILS, NOT_RUN = "holds", "does not hold", "not run"
VERDICTS = (HOLDS, FAILS, CANNOT_BE_TOLD, NOT_RUN)
_FFSR, _RIFE, _TABLE_3 = "Validity of FFSR", "Validity of RIFE", "Table 3's order"
_EFFECT = "Effect to the objective function"

_VERDICT_OF = {HIGHER: HOLDS, LOWER: FAILS, CANNOT_BE_TOLD: CANNOT_BE_TOLD}
_NO_INTERVAL = (
    "no interval: an older version scored one; without its results.json files it is scored again"
)

Curves = tuple[Sequence[float], Sequence[float]]  # panels (a) and (b) of Figures 2 and 4


@dataclass(frozen=True)
class Claim:
    """The claim that one row of a table has a higher Rank-1 than another.

    Attributes:
      finding: the paragraph of section 5.3 that makes it, or the table.
      text: the claim.
      better: row of the system that is said to be better.
      worse: row of the other system.
      table: key of `TABLES` that prints both.
    """

    finding: str
    text: str
    better: str
    worse: str
    table: str


CLAIMS = (
    Claim(_FFSR, "FFSR with the Gaussian mask is above the AE", "ffsr", "ae", "table1"),
    Claim(_FFSR, "joint learning is above learning apart", "ffsr_joint", "ffsr", "table1"),
    Claim(
        _FFSR,
        "segmented masks are above the Gaussian one",
        "ffsr_segmentation_joint",
        "ffsr_joint",
        "table1",
    ),
    Claim(_FFSR, "FFSR is above SRCNN", "ffsr_joint", "srcnn", "table1"),
    Claim(_FFSR, "FFSR is above VDSR", "ffsr_joint", "vdsr", "table1"),
    Claim(_RIFE, "two ResNet50 are above one", "two_resnet50", "resnet50", "table2"),
    Claim(
        _RIFE,
        "learned weights are above equal ones",
        "two_resnet50_weighted",
        "two_resnet50",
        "table2",
    ),
    Claim(
        _RIFE,
        "RIFE is above two ResNet50 with learned weights",
        "rife",
        "two_resnet50_weighted",
        "table2",
    ),
    Claim(_RIFE, "RIFE is above the baseline", "rife", "resnet50", "table2"),
    Claim(_TABLE_3, "FFSR is above the baseline", "ffsr_joint", "resnet50", "table3"),
    Claim(_TABLE_3, "RIFE is above FFSR", "rife", "ffsr_joint", "table3"),
    Claim(_TABLE_3, "FFSR+RIFE is above RIFE", "ffsr_rife", "rife", "table3"),
    Claim(_TABLE_3, "FFSR+RIFE is above FFSR", "ffsr_rife", "ffsr_joint", "table3"),
    Claim(_TABLE_3, "FFSR+RIFE is above SE-ResNet50", "ffsr_rife", "se_resnet50", "table3"),
    Claim(_TABLE_3, "FFSR+RIFE is above DenseNet121", "ffsr_rife", "densenet121", "table3"),
    Claim(_TABLE_3, "FFSR+RIFE is above SING", "ffsr_rife", "sing", "table3"),
)


def judge(
    dataset: str, systems: Mapping[str, System], objective: Mapping[str, Curves]
) -> list[dict[str, Any]]:
    """Judges every claim.

    Args:
      dataset: name of our data set.
      systems: by row.
      objective: O(r, r) and O(r, 1) of Eq. 2 at increasing r, by row.

    Returns:
      [{"finding", "claim", "verdict", "ours", "paper"}]; the last two are in words.
    """
    judged = [_judge(claim, dataset, systems) for claim in CLAIMS]
    judged.insert(5, _complexity(systems))  # the last of its finding
    for row, name in (("ffsr_joint", "FFSR"), ("rife", "RIFE"), ("ffsr_rife", "FFSR+RIFE")):
        judged.append(_decreases(row, name, objective))
    for row, name in (("ffsr_joint", "FFSR"), ("rife", "RIFE")):
        judged.append(_flatter(row, name, objective))
    others = [mean for row, mean in _means(objective).items() if row != "ffsr_rife"]
    best = _means(objective).get("ffsr_rife", np.inf)
    complete = best < np.inf and len(others) == 3
    judged.append(
        {
            "finding": _EFFECT,
            "claim": "FFSR and RIFE together have the least O",
            "verdict": NOT_RUN if not complete else HOLDS if best < min(others) else FAILS,
            "ours": f"{_compared(best, min(others))}, the least of the others" if complete else "-",
            "paper": "drawn in Figure 4",
        }
    )
    return judged


def _judge(claim: Claim, dataset: str, systems: Mapping[str, System]) -> dict[str, Any]:
    better, worse = (systems.get(row, System()) for row in (claim.better, claim.worse))
    verdict, ours = NOT_RUN, "-"
    found = difference(better, worse)
    if found:
        verdict = _VERDICT_OF[found.verdict]
        over = drawn_from(found.num_identities, found.num_seeds)
        ours = f"{found.in_points()} points of Rank-1, over {over}"
    elif better.results and worse.results:
        verdict = CANNOT_BE_TOLD
        means = [np.mean([r["rank1"] for r in s.results.values()]) for s in (better, worse)]
        ours = f"{100 * (means[0] - means[1]):+.1f} points of Rank-1; {_NO_INTERVAL}"
    return {
        "finding": claim.finding,
        "claim": claim.text,
        "verdict": verdict,
        "ours": ours,
        "paper": _printed_gain(claim, dataset),
    }


def _printed_gain(claim: Claim, dataset: str) -> str:
    """The difference of the printed Rank-1, in words."""
    table = TABLES[claim.table]
    records = {record["row"]: record for record in table_records(table, dataset, {})}
    gain = records[claim.better]["paper_rank1"] - records[claim.worse]["paper_rank1"]
    return f"{100 * gain:+.1f} points on {printed_benchmark(table, dataset)[0]}"


def _complexity(systems: Mapping[str, System]) -> dict[str, Any]:
    """Compares multiply-accumulates, for which no network has to be trained."""
    sizes = [systems.get(row, System()).complexity for row in ("ffsr_joint", "vdsr")]
    macs = [size.restorer_macs for size in sizes if size and size.restorer_macs]
    known = len(macs) == 2
    printed = {line.title: line.macs for line in TABLES["table1"].lines}
    return {
        "finding": _FFSR,
        "claim": "FFSR is of less complexity than VDSR",
        "verdict": NOT_RUN if not known else HOLDS if macs[0] < macs[1] else FAILS,
        "ours": f"{macs[0] / 1e9:.2f} and {macs[1] / 1e9:.2f} GMACs at 384x128" if known else "-",
        "paper": f"{printed['FFSR, Gaussian mask']} and {printed['VDSR']} GFLOPs",
    }


def _means(objective: Mapping[str, Curves]) -> dict[str, float]:
    return {row: float(np.mean(values)) for row, values in objective.items()}


def _decreases(row: str, name: str, objective: Mapping[str, Curves]) -> dict[str, Any]:
    """Compares O of Eq. 2, averaged over both panels, with the baseline's."""
    means, known = _means(objective), {"resnet50", row} <= objective.keys()
    return {
        "finding": _EFFECT,
        "claim": f"{name} has a smaller O than the baseline",
        "verdict": NOT_RUN if not known else HOLDS if means[row] < means["resnet50"] else FAILS,
        "ours": f"{_compared(means[row], means['resnet50'])}, means of Figure 4" if known else "-",
        "paper": "drawn in Figure 4",
    }


def _flatter(row: str, name: str, objective: Mapping[str, Curves]) -> dict[str, Any]:
    """Compares the slope of O(r, 1), panel (b): its fall from the lowest to the full resolution."""
    known = {"resnet50", row} <= objective.keys()
    falls = {key: varied[0] - varied[-1] for key, (_, varied) in objective.items()}
    return {
        "finding": _EFFECT,
        "claim": f"{name} decreases the slope of O",
        "verdict": NOT_RUN if not known else HOLDS if falls[row] < falls["resnet50"] else FAILS,
        "ours": f"O(r, 1) falls by {_compared(falls[row], falls['resnet50'])}" if known else "-",
        "paper": "drawn in Figure 4",
    }


def _compared(value: float, other: float) -> str:
    change = f"{100 * (value - other) / abs(other):+.2g}% " if other else ""
    return f"{value:.3g}, {change}from {other:.3g}"
