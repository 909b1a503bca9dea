"""The report as one HTML file that needs no other file."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from rireid_jax.paper.claims import FAILS, HOLDS
from rireid_jax.paper.tables import TABLES, Data, Record, caption, cells, headings


@dataclass(frozen=True)
class Figure:
    """A picture of the report.

    Attributes:
      title: what it shows.
      file: PNG; None if it could not be drawn.
      problem: why it could not.
    """

    title: str
    file: Path | None
    problem: str = ""


_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 0 auto;
  max-width: 80rem; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; margin: .5rem 0; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .4rem; }
p, li { max-width: 60rem; } .meta, figcaption, .notes { color: #444; font-size: .92rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { vertical-align: bottom; white-space: normal; border-bottom: 2px solid #444; }
th:first-child, td:first-child, .words td, .words th { text-align: left; }
.words td { white-space: normal; } .words td:last-child { white-space: nowrap; }
tbody tr:hover { background: #f3f6fa; } .off { color: #767676; }
.best { font-weight: 700; }
.verdict { font-weight: 600; white-space: nowrap !important; }
.yes { color: #0062a3; } .no { color: #a84300; }
img { max-width: 100%; height: auto; border: 1px solid #ddd; }
figure { margin: 1.2rem 0 2rem; } figcaption { margin-bottom: .4rem; }
"""


def page(
    meta: Mapping[str, str],
    data: Data,
    tables: Mapping[str, Sequence[Record]],
    claims: Sequence[Mapping[str, Any]],
    figures: Sequence[Figure],
) -> str:
    """The whole report.

    Args:
      meta: facts about the report, by name.
      data: that our results are measured on.
      tables: records by key of `TABLES`.
      claims: from `claims.judge`.
      figures: pictures, which are embedded in the page.
    """
    title = f"Resolution-invariant person re-identification: {data.dataset}"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        '<p class="meta">'
        + " &middot; ".join(f"{escape(name)}: {escape(text)}" for name, text in meta.items())
        + "</p>",
        "<h2>Claims of the paper</h2>",
        _claims(claims),
    ]
    for name, records in tables.items():
        table = TABLES[name]
        parts.append(f"<h2>Table {name.removeprefix('table')}. {escape(table.title)}</h2>")
        parts.append(f'<p class="meta">{escape(caption(table, data, records))}</p>')
        lines, notes = cells(table, records)
        rates = [record["rank1"] for record in records]
        known = [rate for rate in rates if rate is not None]
        best = max(known) if len(known) > 1 else None
        parts.append(_table(headings(table, data.image_size), lines, rates, best))
        parts += [f'<p class="notes">{escape(note)}</p>' for note in notes]
    for figure in figures:
        parts.append(f"<h2>{escape(figure.title)}</h2>")
        if figure.file is None:
            parts.append(f'<p class="off">{escape(figure.problem)}</p>')
        else:
            parts.append(f"<figure>{_image(figure)}</figure>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _table(
    titles: Sequence[str],
    lines: Sequence[Sequence[str]],
    rates: Sequence[float | None],
    best: float | None,
) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = []
    for line, rate in zip(lines, rates, strict=True):
        kind = ' class="off"' if rate is None else ' class="best"' if rate == best else ""
        body.append(f"<tr{kind}>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _claims(claims: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{title}</th>" for title in ("", "claim", "here", "ours", "paper"))
    rows = []
    finding = ""
    for claim in claims:
        verdict = claim["verdict"]
        kind = {HOLDS: "yes", FAILS: "no"}.get(verdict, "off")
        first = claim["finding"] if claim["finding"] != finding else ""
        finding = claim["finding"]
        rows.append(
            f"<tr><td><b>{escape(first)}</b></td><td>{escape(claim['claim'])}</td>"
            f'<td class="verdict {kind}">{escape(verdict)}</td>'
            f"<td>{escape(claim['ours'])}</td><td>{escape(claim['paper'])}</td></tr>"
        )
    return (
        f'<div class="scroll"><table class="words"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _image(figure: Figure) -> str:
    assert figure.file is not None
    data = base64.b64encode(figure.file.read_bytes()).decode()
    return f'<img alt="{escape(figure.title)}" src="data:image/png;base64,{data}">'
