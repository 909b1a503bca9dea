"""A run's figures as a text table."""

from typing import Any

_RATE_COLUMNS = (("Rank-1", "rank1"), ("Rank-5", "rank5"), ("mAP", "mAP"), ("mINP", "mINP"))


def results_table(rows: dict[str, dict[str, Any]]) -> str:
    """Systems as rows; rates in percent, in total and by bin of the query resolution r, and PSNR in dB.

    Args:
      rows: {system: metrics as in `results.json`}.
    """
    first = next(iter(rows.values()))
    header = ["system", *(title for title, _ in _RATE_COLUMNS)]
    header += [
        f"Rank-1, r in ({b['low']:.2f}, {b['high']:.2f}]" for b in first.get("by_resolution") or []
    ]
    header += ["PSNR", "PSNR foreground"]
    lines = [header]
    for system, metrics in rows.items():
        line = [system, *(_percent(metrics[key]) for _, key in _RATE_COLUMNS)]
        line += [_percent(b["rank1"]) for b in metrics.get("by_resolution") or []]
        restoration = metrics["restoration"]
        line += [_decibel(restoration["psnr"]), _decibel(restoration["psnr_foreground"])]
        lines.append(line)
    return aligned(lines)


def aligned(rows: list[list[str]]) -> str:
    """Columns of text under their titles, the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        text.append("  ".join(cells).rstrip())
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(text)


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def _decibel(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
