"""A run's figures as a text table."""

from collections.abc import Sequence
from typing import Any

from rireid_jax.text_table import aligned

_RATE_COLUMNS = (("Rank-1", "rank1"), ("Rank-5", "rank5"), ("mAP", "mAP"), ("mINP", "mINP"))
_DEVIATING = (
    "rank1",
    "rank5",
    "mAP",
)  # shown with their deviation; 100 columns have no room for more
_UNITS = "Rates in percent, PSNR in dB; r is the resolution of the query: its width / the greatest width."


def results_table(rows: dict[str, dict[str, Any]], splits: Sequence[dict[str, Any]] = ()) -> str:
    """Systems as rows; rates in total and by bin of the query resolution r, PSNR of restored images.

    Args:
      rows: {system: metrics as in `results.json`}; the first is the run's own, the second its baseline.
      splits: those that the metrics are means over, as in `results.json`; shown in a table below, and the
        deviation over them beside the means.
    """
    first = next(iter(rows.values()))
    header = ["system", *(title for title, _ in _RATE_COLUMNS)]
    header += [f"Rank-1\nat r in\n{b['low']:.2f}-{b['high']:.2f}" for b in first["by_resolution"]]
    header += ["PSNR\nimage", "PSNR\nforeground"]
    lines = [header]
    for system, metrics in rows.items():
        line = [system]
        for _, key in _RATE_COLUMNS:
            deviation = metrics.get(f"{key}_std") if splits and key in _DEVIATING else None
            line.append(
                _percent(metrics[key])
                + (f"±{_percent(deviation)}" if deviation is not None else "")
            )
        line += [_percent(b["rank1"]) for b in metrics["by_resolution"]]
        restoration = metrics["restoration"]
        line += [_decibel(restoration["psnr"]), _decibel(restoration["psnr_foreground"])]
        lines.append(line)
    if all(m["restoration"]["psnr"] != m["restoration"]["psnr_bilinear"] for m in rows.values()):
        # Nobody leaves the images as they are, so say what that would give.
        bilinear = [first["restoration"][f"psnr{part}_bilinear"] for part in ("", "_foreground")]
        lines.append(["bilinear", *["-"] * (len(header) - 3), *map(_decibel, bilinear)])
    table = f"{aligned(lines)}\n{_UNITS}"
    if not splits:
        return table
    if len(splits) > 1:
        table += f"\nMeans over {len(splits)} splits, ± their standard deviation."
    return f"{table}\n\n{_splits_table(list(rows), splits)}"


def _splits_table(systems: list[str], splits: Sequence[dict[str, Any]]) -> str:
    """The rates of every system in every split, and the split's protocol hash."""
    titles = [f"{system}\n{title}" for system in systems for title, _ in _RATE_COLUMNS]
    lines = [["split", *titles, "protocol"]]
    for split in splits:
        metrics = [split, split["baseline"]][: len(systems)]
        rates = [_percent(m[key]) for m in metrics for _, key in _RATE_COLUMNS]
        lines.append([str(split["split"]), *rates, split["protocol_hash"]])
    return aligned(lines)


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def _decibel(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
