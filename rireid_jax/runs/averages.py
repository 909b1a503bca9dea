"""The mean of the results of several trials."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rireid_jax.evaluation.evaluate import RATES, VALIDATION_RATES

Results = Mapping[str, Any]


def average(results: Mapping[int, Results]) -> dict[str, Any]:
    """The results of several trials as one.

    Every trial weighs the same, whatever its number of queries. In `by_resolution` every query weighs the
    same instead, because a trial may have few queries in a bin.

    Args:
      results: `results.json` of each trial, in increasing order of the trials.

    Returns:
      What `results.json` holds on metrics, baseline, stage and step, and
        "rank1_std" and its like: the standard deviation over the trials (divided by their number, as in
          `evaluation.rank`); None for a single trial. It replaces the deviation over random galleries.
        "protocol_hash": over the hashes of the trials.
        "validation": means over the trials, None where no identities are held out.
        "splits": [{"split": trial, "protocol_hash", "step", rates, "num_query", "num_gallery", "baseline"}].
        "warnings": those of all trials.
      Rates, PSNR, gates and "inside" are means over the trials that have them, None if none has; counts are
      whole numbers where all trials agree, else means.
    """
    parts = list(results.values())
    baselines = [part["baseline"] for part in parts if part["baseline"]]
    hashes = [part["protocol_hash"] for part in parts]
    return {
        "protocol_hash": hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:16],
        **_average_metrics(parts),
        "baseline": _average_metrics(baselines) if baselines else None,
        "others": {
            stage: _average_metrics([part["others"][stage] for part in parts])
            for stage in parts[0].get("others", {})
            if all(stage in part.get("others", {}) for part in parts)
        },
        "stage": parts[0]["stage"],
        "step": _count([part["step"] for part in parts]),
        "validation": _average_validation([part.get("validation") for part in parts]),
        "splits": [
            {
                "split": trial,
                "protocol_hash": part["protocol_hash"],
                "step": part["step"],
                **_headline(part),
                "baseline": _headline(part["baseline"]) if part["baseline"] else None,
            }
            for trial, part in results.items()
        ],
        "warnings": [
            f"trial {trial}: {warning}"
            for trial, part in results.items()
            for warning in part.get("warnings", ())  # an older version wrote none
        ],
    }


def _average_metrics(parts: Sequence[Results]) -> dict[str, Any]:
    first = parts[0]
    metrics = {"protocol": first["protocol"], **_average_rates(parts)}
    if all(part.get("reranked") for part in parts):  # as the config says; older versions did not
        metrics["reranked"] = _average_rates([part["reranked"] for part in parts])
    metrics["restoration"] = {
        name: _mean([part["restoration"][name] for part in parts]) for name in first["restoration"]
    }
    metrics["gates"] = _average_gates([row for part in parts for row in part["gates"]])
    # Classical systems have none, nor have results of an older version.
    insides = [part["inside"] for part in parts if part.get("inside")]
    metrics["inside"] = _average_inside(insides) if insides else None
    return metrics


def _average_rates(parts: Sequence[Results]) -> dict[str, Any]:
    first = parts[0]
    metrics: dict[str, Any] = {name: _mean([part[name] for part in parts]) for name in RATES}
    for name in RATES:
        values = [part[name] for part in parts]
        known = len(parts) > 1 and None not in values
        metrics[f"{name}_std"] = float(np.std(values)) if known else None
    for name in ("num_query", "num_skipped", "num_gallery"):
        if name in first:
            metrics[name] = _count([part[name] for part in parts])
    metrics["by_resolution"] = [
        _average_bin(bins) for bins in zip(*(p["by_resolution"] for p in parts), strict=True)
    ]
    return metrics


def _average_validation(parts: Sequence[Results | None]) -> dict[str, Any] | None:
    found = [part for part in parts if part]
    if not found:
        return None
    counts = ("num_identities", "num_images", "num_query")
    rates = {name: _mean([part[name] for part in found]) for name in VALIDATION_RATES}
    baselines = [part["baseline"] for part in found if part["baseline"]]
    return {
        **{name: _count([part[name] for part in found]) for name in counts},
        **rates,
        "baseline": {name: _mean([b[name] for b in baselines]) for name in VALIDATION_RATES}
        if baselines
        else None,
    }


def _average_bin(bins: Sequence[Results]) -> dict[str, Any]:
    counts = [b["num_query"] for b in bins]
    average = {"low": bins[0]["low"], "high": bins[0]["high"], "num_query": _count(counts)}
    for name in ("rank1", "mAP"):
        hits = sum(b[name] * b["num_query"] for b in bins if b["num_query"])
        average[name] = hits / sum(counts) if any(counts) else None
    return average


def _average_gates(rows: Sequence[Results]) -> list[dict[str, Any]]:
    """The means of rows with the same bin of resolution; a trial has no row for a bin without queries."""
    averages = []
    for low, high in sorted({(row["low"], row["high"]) for row in rows}):
        same = [row for row in rows if (row["low"], row["high"]) == (low, high)]
        means = {
            name: np.mean([row[name] for row in same], axis=0).tolist() for name in ("wL", "wH")
        }
        averages.append({"low": low, "high": high, **means})
    return averages


def _average_inside(insides: Sequence[Results]) -> dict[str, list[dict[str, Any]]]:
    """The means of what `runs.inside` measures, block by block: all trials have the same network."""
    return {
        name: [_average_row(rows) for rows in zip(*(own[name] for own in insides), strict=True)]
        for name in ("gates", "streams")
    }


def _average_row(rows: Sequence[Results]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, str) else _mean([row[key] for row in rows])
        for key, value in rows[0].items()
    }


def _headline(metrics: Results) -> dict[str, Any]:
    return {name: metrics[name] for name in (*RATES, "num_query", "num_gallery")}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _count(values: Sequence[int]) -> float | int:
    return values[0] if len(set(values)) == 1 else float(np.mean(values))
