"""The pieces of HTML of the page. Every text from outside passes `_safe`."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from rireid_jax.cli.commands.match import verdict_text
from rireid_jax.cli.page.pictures import stored_picture
from rireid_jax.cli.page.query import SHOWN, Answer, Query
from rireid_jax.data.files import counted
from rireid_jax.runs.search_page import picture_address
from rireid_jax.text_table import printable

_CARD = 168  # pixels, the height of a picture in the list
_EMPTY = '<div class="hint">{}</div>'


def hint(text: str) -> str:
    """A line where nothing is to be shown yet."""
    return _EMPTY.format(_safe(text))


def query_html(query: Query, width_max: int) -> str:
    """The picture as it came, as the network sees it, restored, and its gates."""
    height, width = query.seen.shape[:2]
    size = f"{query.native_width} x {query.native_height} pixels"
    seen = f"{width} x {height} pixels, bilinear"
    restored = "after super-resolution" if query.restores else "the same: nothing was restored"
    figures = [
        _figure("As it came", query.came, size),
        _figure("As the network sees it", Image.fromarray(query.seen), seen),
        _figure("Restored", Image.fromarray(query.restored), restored),
    ]
    facts = (
        f"<b>{query.native_width}</b> pixels wide, resolution <b>r = {query.resolution:.2f}</b> "
        f"(r = 1 from {width_max} pixels on)"
    )
    return (
        f'<div class="query"><div class="figures">{"".join(figures)}{_gates(query.gates)}</div>'
        f'<p class="facts">{facts}</p></div>'
    )


def _gates(gates: Float[np.ndarray, "T 2"]) -> str:
    if not len(gates):
        return ""
    rows = []
    for block, weights in enumerate(gates.tolist(), 1):
        bars = "".join(
            f'<td class="bar"><i class="{name}" style="width:{100 * min(1.0, max(0.0, weight)):.0f}%"></i></td>'
            f'<td class="number">{weight:.2f}</td>'
            for name, weight in zip(("low", "high"), weights, strict=True)
        )
        rows.append(f"<tr><th>{block}</th>{bars}</tr>")
    head = (
        '<tr><th>block</th><th colspan="2">w<sub>L</sub>, low stream</th>'
        '<th colspan="2">w<sub>H</sub>, high stream</th></tr>'
    )
    return (
        f'<figure class="gates"><b>Gates</b><table>{head}{"".join(rows)}</table>'
        "<figcaption>weight of each stream, 0 to 1</figcaption></figure>"
    )


def _figure(title: str, picture: Image.Image, caption: str) -> str:
    return (
        f'<figure><b>{_safe(title)}</b><img alt="{_safe(title)}" src="{picture_address(picture, SHOWN)}">'
        f"<figcaption>{_safe(caption)}</figcaption></figure>"
    )


def ranked_html(answers: Sequence[Answer], images: Path | None) -> str:
    """The list of answers as cards, which a click opens."""
    if not answers:
        return hint("No entry of the gallery satisfies the filter.")
    cards = []
    for answer in answers:
        entry = answer.hit.entry
        picture = stored_picture(images, entry.name)
        shown = (
            f'<img alt="" src="{picture_address(picture, _CARD)}">'
            if picture
            else '<span class="none">no picture</span>'
        )
        kind, verdict = _verdict(answer)
        who = _safe(entry.person) or "<i>unknown person</i>"
        camera = f"camera {_safe(entry.camera)}" if entry.camera else "unknown camera"
        cards.append(
            f'<button type="button" class="card {kind}" data-rank="{answer.rank}">{shown}'
            f'<span class="rank">{answer.rank}</span><b class="who">{who}</b>'
            f'<span class="verdict">{verdict}</span>'
            f"<span>distance <b>{answer.hit.distance:.3f}</b></span><span>{camera}</span>"
            f'<span>{_width(entry.native_width)}</span><span class="name">{_safe(entry.name)}</span></button>'
        )
    return (
        f'<p class="facts">{counted(len(answers), "image")} of the gallery, nearest first. Click one to open it.</p>'
        f'<div class="cards">{"".join(cards)}</div>'
    )


def opened_html(answer: Answer, query: Query, images: Path | None) -> str:
    """One answer: its picture large, next to the query, and all that is known of it."""
    entry = answer.hit.entry
    picture = stored_picture(images, entry.name)
    rows = [
        ("Name", entry.name),
        ("Person", entry.person or "unknown"),
        ("Camera", entry.camera or "unknown"),
        ("Time", entry.time or "unknown"),
        ("Width", _width(entry.native_width)),
        ("Resolution", f"r = {entry.resolution:.2f}"),
        ("Distance", f"{answer.hit.distance:.4f}"),
        *((key, str(value)) for key, value in entry.fields.items()),
    ]
    table = "".join(f"<tr><th>{_safe(k)}</th><td>{_safe(v)}</td></tr>" for k, v in rows)
    shown = (
        _figure(f"Rank {answer.rank}", picture, _width(entry.native_width))
        if picture
        else f'<figure><b>Rank {answer.rank}</b><span class="none">no picture</span></figure>'
    )
    asked = _figure("Query", query.came, _width(query.native_width))
    kind, title = _verdict(answer)
    reasons = "".join(f"<li>{_safe(reason)}</li>" for reason in _reasons(answer))
    return (
        f'<div class="opened"><div class="figures">{asked}{shown}</div><div><p class="card {kind}">'
        f'<span class="verdict">{title}</span></p><ul class="facts">{reasons}</ul>'
        f"<table>{table}</table></div></div>"
    )


def _reasons(answer: Answer) -> list[str]:
    """Why the verdict is what it is, as sentences."""
    if answer.verdict is not None:
        lines = [line.removeprefix("and ") for line in verdict_text(answer.verdict).split("\n")]
    else:
        lines = [
            answer.why or "rireid calibrate finds from which distance on two images are one person"
        ]
    return [f"{line[0].upper()}{line[1:]}." for line in lines]


def _verdict(answer: Answer) -> tuple[str, str]:
    """A class, and the verdict in a few words."""
    if answer.verdict is None:
        return "untold", "cannot be told" if answer.why else "not calibrated"
    if answer.verdict.same is None:
        return "untold", "cannot be told"
    return (
        ("same", "✓ same person") if answer.verdict.same else ("open", "not shown to be the same")
    )


def _width(pixels: int) -> str:
    return f"{pixels} pixels wide" if pixels else "unknown width"


def _safe(text: str) -> str:
    """Text as HTML; braces and dollars too, because Gradio's templates would read them."""
    shown = escape(printable(text))
    return shown.replace("{", "&#123;").replace("}", "&#125;").replace("$", "&#36;")


def title_html(model: str, facts: Sequence[str]) -> str:
    """The head of the page."""
    return f'<div class="title"><h1>Model {_safe(model)}</h1><p>{" · ".join(map(_safe, facts))}</p></div>'


def table_html(name: str, text: str) -> str:
    """The table of a run, as it was printed."""
    return f"<h3>Results of {_safe(name)}</h3><pre>{_safe_lines(text)}</pre>"


def pictures_html(pictures: Sequence[tuple[str, str]]) -> str:
    """(address, title) of pictures, one below the other."""
    return "".join(
        f'<figure class="wide"><figcaption><b>{_safe(title)}</b></figcaption><img alt="{_safe(title)}" src="{source}">'
        "</figure>"
        for source, title in pictures
    )


def _safe_lines(text: str) -> str:
    return "\n".join(map(_safe, text.rstrip().split("\n")))
