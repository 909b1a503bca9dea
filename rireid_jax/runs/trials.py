"""A run over several divisions of the identities: its parts, what they share, and the mean of their results."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.data.build import Built
from rireid_jax.errors import UserError
from rireid_jax.evaluation.evaluate import RATES
from rireid_jax.runs.workdir import read_data
from rireid_jax.training.checkpoint import copy_checkpoint
from rireid_jax.training.loop import is_finished, num_steps

Results = Mapping[str, Any]


def shared_stages(config: ConfigDict) -> tuple[str, ...]:
    """The stages of a run that are the same in every split.

    They learn from natural images, and start from nothing or from such a stage. One with an extractor is not
    among them: it has a classifier for the split's identities.
    """
    shared: list[str] = []
    for stage in config.run:
        spec = config.stages[stage]
        if (
            spec.dataset == "natural_images"
            and spec.extractor == "none"
            and all(source in ("", *shared) for source in spec.init.values())
        ):
            shared.append(stage)
    return tuple(shared)


def has_finished(config: ConfigDict, workdir: str, stage: str, num_images: int) -> bool:
    """As `is_finished`, of a work directory that may not be there; nothing is made in it."""
    folder = epath.Path(workdir) / "checkpoints" / stage
    begun = distributed.from_first(folder.exists)
    return begun and is_finished(config, workdir, stage, num_images)


def take_over(
    config: ConfigDict, stage: str, workdir: str, others: Sequence[str], data: Built
) -> str:
    """Copies a stage's last checkpoint from the first of other runs that has finished it on the same data.

    A damaged one is passed over.

    Args:
      config: of the run, which has the stage as the others have it.
      stage: one that does not depend on what is different in the others, such as the split.
      workdir: of the run.
      others: work directories of other runs.
      data: that the stage trains on.

    Returns:
      The work directory it came from; "" if no other run has finished the stage.
    """
    num_images = len(data.splits["train"])
    for other in others:
        try:
            same = read_data(other).get(data.dataset) == data.protocol_hash
        except UserError:
            continue
        if same and has_finished(config, other, stage, num_images):
            copy_checkpoint(other, workdir, stage, num_steps(config, stage, num_images)[1])
            return other
    return ""


def average(results: Mapping[int, Results]) -> dict[str, Any]:
    """The results of several splits as one.

    Every split weighs the same, whatever its number of queries, but for `by_resolution`: there a split may have
    few queries in a bin, so that every query weighs the same.

    Args:
      results: `results.json` of each split, in increasing order of the splits.

    Returns:
      What `results.json` holds on metrics, baseline, stage and step, and
        "rank1_std" and its like: the standard deviation over the splits (divided by their number, as in
          `evaluation.rank`); None for a single split. It takes the place of the deviation over random galleries.
        "protocol_hash": over the hashes of the splits.
        "splits": [{"split", "protocol_hash", "step", rates, "num_query", "num_gallery", "baseline"}].
      Rates, PSNR and weights of the streams are means over the splits that have them, None if none has; counts
      are whole numbers where all splits agree, else means.
    """
    parts = list(results.values())
    baselines = [part["baseline"] for part in parts if part["baseline"]]
    hashes = [part["protocol_hash"] for part in parts]
    return {
        "protocol_hash": hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:16],
        **_average_metrics(parts),
        "baseline": _average_metrics(baselines) if baselines else None,
        "stage": parts[0]["stage"],
        "step": _count([part["step"] for part in parts]),
        "splits": [
            {
                "split": split,
                "protocol_hash": part["protocol_hash"],
                "step": part["step"],
                **_headline(part),
                "baseline": _headline(part["baseline"]) if part["baseline"] else None,
            }
            for split, part in results.items()
        ],
    }


def _average_metrics(parts: Sequence[Results]) -> dict[str, Any]:
    first = parts[0]
    metrics = {"protocol": first["protocol"]}
    metrics |= {name: _mean([part[name] for part in parts]) for name in RATES}
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
    metrics["restoration"] = {
        name: _mean([part["restoration"][name] for part in parts]) for name in first["restoration"]
    }
    metrics["gates"] = _average_gates([row for part in parts for row in part["gates"]])
    return metrics


def _average_bin(bins: Sequence[Results]) -> dict[str, Any]:
    counts = [b["num_query"] for b in bins]
    average = {"low": bins[0]["low"], "high": bins[0]["high"], "num_query": _count(counts)}
    for name in ("rank1", "mAP"):
        hits = sum(b[name] * b["num_query"] for b in bins if b["num_query"])
        average[name] = hits / sum(counts) if any(counts) else None
    return average


def _average_gates(rows: Sequence[Results]) -> list[dict[str, Any]]:
    """The means of rows with the same bin of resolution; a split has no row for a bin without queries."""
    averages = []
    for low, high in sorted({(row["low"], row["high"]) for row in rows}):
        same = [row for row in rows if (row["low"], row["high"]) == (low, high)]
        means = {
            name: np.mean([row[name] for row in same], axis=0).tolist() for name in ("wL", "wH")
        }
        averages.append({"low": low, "high": high, **means})
    return averages


def _headline(metrics: Results) -> dict[str, Any]:
    return {name: metrics[name] for name in (*RATES, "num_query", "num_gallery")}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _count(values: Sequence[int]) -> float | int:
    return values[0] if len(set(values)) == 1 else float(np.mean(values))
