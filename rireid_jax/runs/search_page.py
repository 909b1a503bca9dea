"""The result of a search as one HTML file that needs no other file, and nothing from outside."""

import base64
import io
import os
from collections.abc import Iterator
from html import escape
from pathlib import Path

from PIL import Image

from rireid_jax.data.files import counted, read_bytes
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError
from rireid_jax.runs.feature_table import FeatureTable
from rireid_jax.runs.files import written_whole
from rireid_jax.runs.search import SearchResult
from rireid_jax.text_table import printable

_HEIGHT = 144  # pixels at which pictures are shown; larger ones are made as small
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = f"""
:root {{ color-scheme: light; }}
body {{ font: 14px/1.4 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 1rem 1.5rem 4rem; }}
h1 {{ font-size: 1.5rem; margin: .4rem 0; }} p {{ color: #444; max-width: 60rem; }}
section {{ display: flex; overflow-x: auto; gap: .6rem; padding: .8rem 0; border-top: 1px solid #ddd; }}
figure {{ margin: 0; flex: 0 0 7.5rem; width: 7.5rem; text-align: center; }}
figure.query {{ padding-right: 1rem; border-right: 2px solid #444; }}
img, .none {{ display: block; margin: 0 auto .2rem; height: {_HEIGHT}px; max-width: 7rem;
  object-fit: contain; image-rendering: pixelated; }}
.none {{ line-height: {_HEIGHT}px; background: #eee; color: #666; }}
img, .none {{ border: 4px solid transparent; }}
.right img, .right .none {{ border-color: #0072b2; }} .wrong img, .wrong .none {{ border-color: #d55e00; }}
.right b {{ color: #0062a3; }} .wrong b {{ color: #a84300; }}
figcaption {{ overflow-wrap: anywhere; font-size: .85rem; font-variant-numeric: tabular-nums; }}
figcaption span {{ color: #555; }}
"""


def write_page(path: Path, result: SearchResult, folder: Path | None = None) -> None:
    """Writes the page: every query with its picture, and the pictures of its list.

    Args:
      path: of the page.
      result: to show.
      folder: where images of these names lie; by default where they lay when they were extracted. The place of a
        picture that is not there stays empty.
    """
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for part in _parts(result, folder):
            file.write(part + "\n")


def _parts(result: SearchResult, folder: Path | None) -> Iterator[str]:
    queries = counted(len(result.query), "query image")
    title = f"{queries} in a gallery of {counted(len(result.gallery), 'image')}"
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
    yield (
        f"<p>Model {escape(result.query.fingerprint)}. Left the query, then the nearest images of the gallery with "
        "their distances and native widths in pixels. The nearest image need not show the same person.</p>"
    )
    pictures = _Pictures(result, folder)
    for query in range(len(result.query)):
        yield "<section>"
        yield _figure("query", pictures.query(query), _caption(result.query, query, "query"))
        for rank, match in enumerate(result.matches(query), 1):
            mark = {True: "right", False: "wrong", None: ""}[match.right]
            first = f"{rank} &middot; {match.distance:.4f}"
            if mark:
                first += f"<br><b>{'&check;' if match.right else '&cross;'} {mark}</b>"
            caption = _caption(result.gallery, match.index, first)
            yield _figure(mark, pictures.gallery(match.index), caption)
        yield "</section>"
    yield "</body></html>"


def _caption(table: FeatureTable, index: int, first: str) -> str:
    lines = [first, escape(printable(table.names[index]))]
    if table.identities[index]:
        lines.append(f"<span>{escape(printable(table.identities[index]))}</span>")
    lines.append(f"<span>{table.native_widths[index]} px</span>")
    return "<br>".join(lines)


def _figure(kind: str, picture: str, caption: str) -> str:
    shown = f'<img alt="" src="{picture}">' if picture else '<span class="none">no picture</span>'
    return f'<figure class="{kind}">{shown}<figcaption>{caption}</figcaption></figure>'


class _Pictures:
    """Pictures as addresses that hold their bytes."""

    def __init__(self, result: SearchResult, folder: Path | None):
        self._result, self._folder = result, folder
        self._of_gallery: dict[int, str] = {}

    def query(self, index: int) -> str:
        return self._address(self._result.query, index)

    def gallery(self, index: int) -> str:
        """Kept, because many queries may have it in their lists."""
        if index not in self._of_gallery:
            self._of_gallery[index] = self._address(self._result.gallery, index)
        return self._of_gallery[index]

    def _address(self, table: FeatureTable, index: int) -> str:
        name = table.names[index]
        path = table.paths[index] if table.paths else name
        if self._folder is not None and os.path.isfile(self._folder / name):
            path = str(self._folder / name)
        try:
            picture = decode_image(read_bytes(Path(path)), name)
        except UserError:  # it was there when it was extracted
            return ""
        return picture_address(picture, _HEIGHT)


def picture_address(picture: Image.Image, height: int) -> str:
    """A picture as the address of itself.

    Args:
      picture: RGB.
      height: pixels at which it is shown; a larger one is made as small, a smaller one stays as it is, without loss.
    """
    buffer = io.BytesIO()
    if picture.height <= height and picture.width <= 2 * height:
        kind = "png"
        picture.save(buffer, "PNG", optimize=True)
    else:
        kind = "jpeg"
        picture = picture.copy()
        picture.thumbnail((2 * height, height))
        picture.save(buffer, "JPEG", quality=90)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
