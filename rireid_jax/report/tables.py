"""A run's figures as a text table."""

from typing import Any

_RATE_COLUMNS = (("Rank-1", "rank1"), ("Rank-5", "rank5"), ("mAP", "mAP"), ("mINP", "mINP"))
_UNITS = "Rates in percent, PSNR in dB; r is the resolution of the query: its width / the greatest width."


def results_table(rows: dict[str, dict[str, Any]]) -> str:
    """Systems as rows; rates in total and by bin of the query resolution r, PSNR of restored images.

    Args:
      rows: {system: metrics as in `results.json`}.
    """
    first = next(iter(rows.values()))
    header = ["system", *(title for title, _ in _RATE_COLUMNS)]
    header += [f"Rank-1\nr {b['low']:.2f}-{b['high']:.2f}" for b in first["by_resolution"]]
    header += ["PSNR\nimage", "PSNR\nforeground"]
    lines = [header]
    for system, metrics in rows.items():
        line = [system, *(_percent(metrics[key]) for _, key in _RATE_COLUMNS)]
        line += [_percent(b["rank1"]) for b in metrics["by_resolution"]]
        restoration = metrics["restoration"]
        line += [_decibel(restoration["psnr"]), _decibel(restoration["psnr_foreground"])]
        lines.append(line)
    if all(m["restoration"]["psnr"] != m["restoration"]["psnr_bilinear"] for m in rows.values()):
        # Nobody leaves the images as they are, so say what that would give.
        bilinear = [first["restoration"][f"psnr{part}_bilinear"] for part in ("", "_foreground")]
        lines.append(["bilinear", *["-"] * (len(header) - 3), *map(_decibel, bilinear)])
    return f"{aligned(lines)}\n{_UNITS}"


def aligned(rows: list[list[str]]) -> str:
    """Columns of text under their titles, the first to the left, the others to the right.

    Args:
      rows: the titles, which may have several lines, then the table's rows; all of one length.
    """
    titles = [title.split("\n") for title in rows[0]]
    height = max(map(len, titles))
    # Titles of fewer lines stand at the bottom.
    titles = [[""] * (height - len(title)) + title for title in titles]
    header = [list(line) for line in zip(*titles, strict=True)]
    body = rows[1:]
    widths = [max(map(len, column)) for column in zip(*header, *body, strict=True)]
    lines = []
    for row in [*header, ["-" * width for width in widths], *body]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def _decibel(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
