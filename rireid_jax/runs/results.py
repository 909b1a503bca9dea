"""What a run leaves: `results.json`, `results.txt` and `queries.npz`, or `validation.json` and `validation.txt`."""

import json
import platform
import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.config import recipe_title
from rireid_jax.evaluation.intervals import Comparison, drawn_from
from rireid_jax.runs.files import jsonable, write_whole
from rireid_jax.runs.queries import Queries, write_queries
from rireid_jax.runs.workdir import results_file
from rireid_jax.text_table import aligned

_LIBRARIES = ("rireid_jax", "jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")
_RATE_COLUMNS = (("Rank-1", "rank1"), ("Rank-5", "rank5"), ("mAP", "mAP"), ("mINP", "mINP"))
# Shown with their deviation; 100 columns have no room for more.
_DEVIATING = ("rank1", "rank5", "mAP")
_WIDTH = 100  # columns of a table or a warning
_UNITS = "Rates in percent, PSNR in dB; r is the resolution of the query: its width / the greatest width."


@distributed.by_first
def write_results(
    workdir: str,
    config: ConfigDict,
    measured: dict[str, Any],
    seconds: float,
    queries: Queries | None = None,
) -> dict[str, Any]:
    """Writes the files, the JSON one last: a run that has it is complete.

    Args:
      workdir: where to.
      config: of the run.
      measured: protocol hash, metrics, baseline, comparison, stage and step, figures on validation identities, and the
        trials ("splits") and warnings if there are any.
      seconds: that the run took.
      queries: their outcomes; None where the folders of trials have them.

    Returns:
      What the JSON file holds.
    """
    results = {
        "dataset": config.dataset,
        "recipe": recipe_title(config.dataset, config.data.recipe.to_dict()),
        **measured,
        "seconds": seconds,
        "config": config.to_dict(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
            "device": jax.devices()[0].device_kind,
            "num_devices": jax.device_count(),
        },
    }
    results = jsonable(results)  # so that it makes no difference whether results are new or read
    folder = epath.Path(workdir)
    name = results_file(config)
    write_whole(folder / f"{name}.txt", results_text(results) + "\n")
    if queries:
        write_queries(workdir, queries)
    write_whole(folder / f"{name}.json", json.dumps(results, indent=2) + "\n")
    return results


def results_text(results: dict[str, Any]) -> str:
    """The table and the warnings of `results.txt`, from what `results.json` holds."""
    rows = {results["stage"]: results}
    if results["baseline"]:
        rows[results["config"]["baseline"]] = results["baseline"]
    rows |= results.get("others") or {}
    rows |= {
        f"{system}, re-ranked": {**metrics, **metrics["reranked"]}
        for system, metrics in rows.items()
        if metrics.get("reranked")
    }
    table = results_table(rows, results.get("splits", ()))
    parts = [table]
    if results.get("comparison"):  # an older version wrote none
        comparison = Comparison.from_json(results["comparison"])
        baseline = results["config"]["baseline"]
        parts.append(comparison_table(results["stage"], baseline, comparison))
    if results.get("validation"):
        parts.append(_validation_line(results["validation"]))
    # Results of an older version, and those of classical systems, have no warnings.
    lines = [
        textwrap.fill(f"warning: {warning}", _WIDTH, subsequent_indent="  ")
        for warning in results.get("warnings", ())
    ]
    if lines:
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def comparison_table(system: str, baseline: str, comparison: Comparison) -> str:
    """The differences between two systems, with intervals and verdicts."""
    parts = [
        ("all queries", comparison.rank1, comparison.mAP),
        *(
            (f"r in {b['low']:.2f}-{b['high']:.2f}", b["rank1"], b["mAP"])
            for b in comparison.by_resolution
        ),
    ]
    lines = [["difference", "Rank-1", "", "mAP", "", "IDs"]]
    for part, *differences in parts:
        cells = [c for d in differences for c in ((d.in_points(), d.verdict) if d else ("-", "-"))]
        lines.append([part, *cells, str(differences[0].num_identities if differences[0] else 0)])
    over = drawn_from(comparison.rank1.num_identities, comparison.rank1.num_seeds)
    return (
        f"{aligned(lines)}\n"
        f"Differences {system} - {baseline} in points, 95 % intervals: where one holds 0, it cannot be told.\n"
        f"Intervals over {over}."
    )


def results_table(rows: dict[str, dict[str, Any]], trials: Sequence[dict[str, Any]] = ()) -> str:
    """Systems as rows: rates in total and by bin of the query resolution r, and PSNR of restored images.

    Args:
      rows: {system: metrics as in `results.json`}; the first is the run's own, the second its baseline, if it has one.
      trials: the trials that the metrics are means over ("splits" in `results.json`), shown in a table
        below; the means then have their deviation next to them.
    """
    first = next(iter(rows.values()))
    header = ["system", *(title for title, _ in _RATE_COLUMNS)]
    header += [f"Rank-1\nat r in\n{b['low']:.2f}-{b['high']:.2f}" for b in first["by_resolution"]]
    header += ["PSNR\nimage", "PSNR\nforeground"]
    lines = [header]
    for system, metrics in rows.items():
        line = [system]
        for _, key in _RATE_COLUMNS:
            deviation = metrics.get(f"{key}_std") if trials and key in _DEVIATING else None
            shown = f"±{_percent(deviation)}" if deviation is not None else ""
            line.append(_percent(metrics[key]) + shown)
        line += [_percent(b["rank1"]) for b in metrics["by_resolution"]]
        restoration = metrics["restoration"]
        line += [_decibel(restoration["psnr"]), _decibel(restoration["psnr_foreground"])]
        lines.append(line)
    if all(m["restoration"]["psnr"] != m["restoration"]["psnr_bilinear"] for m in rows.values()):
        # No system leaves the images as they are, so a row says what that would give.
        bilinear = [first["restoration"][f"psnr{part}_bilinear"] for part in ("", "_foreground")]
        lines.append(["bilinear", *["-"] * (len(header) - 3), *map(_decibel, bilinear)])
    table = f"{aligned(lines)}\n{_UNITS}"
    if not trials:
        return table
    if len(trials) > 1:
        table += f"\nMeans over {len(trials)} trials, ± their standard deviation."
    return f"{table}\n\n{_trials_table(list(rows)[: 1 + bool(trials[0]['baseline'])], trials)}"


def _validation_line(held_out: dict[str, Any]) -> str:
    """The rates on validation identities."""

    def rates(metrics: dict[str, Any]) -> str:
        return f"Rank-1 {_percent(metrics['rank1'])}, mAP {_percent(metrics['mAP'])}"

    baseline = f" (baseline: {rates(held_out['baseline'])})" if held_out["baseline"] else ""
    return (
        f"On {held_out['num_identities']:g} validation identities ({held_out['num_images']:g} images): "
        f"{rates(held_out)}{baseline}."
    )


def _trials_table(systems: list[str], trials: Sequence[dict[str, Any]]) -> str:
    """The rates of every system in every trial, and the trial's protocol hash."""
    titles = [f"{system}\n{title}" for system in systems for title, _ in _RATE_COLUMNS]
    lines = [["trial", *titles, "protocol"]]
    for trial in trials:
        metrics = [trial, trial["baseline"]][: len(systems)]
        rates = [_percent(m[key]) for m in metrics for _, key in _RATE_COLUMNS]
        lines.append([str(trial["split"]), *rates, trial["protocol_hash"]])
    return aligned(lines)


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def _decibel(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
