"""`rireid search`: the nearest gallery images of every query."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rireid_jax.cli.arguments import add_model, add_skip_bad, open_model
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

if TYPE_CHECKING:
    from rireid_jax.runs.search import SearchResult

_MOST_PRINTED = 20  # queries; more are only written
_SIDE = "an image, a folder or a CSV file as for rireid extract, or a file that it has written"


@COMMANDS.register("search")
class Search:
    """Extracts what is not a file of features yet, and ranks."""

    SUMMARY = "show the nearest images of a gallery for each query"
    EXAMPLE = "rireid search asked.jpg crops.npz --model runs/mine --html found.html"

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Adds what is read below."""
        parser.add_argument("queries", metavar="QUERIES", help=_SIDE)
        parser.add_argument("gallery", metavar="GALLERY", help="likewise")
        add_model(parser)
        parser.add_argument(
            "--top", type=int, default=10, help="images for each query; 10 by default"
        )
        parser.add_argument(
            "--out",
            metavar="CSV",
            help=f"CSV file to write, a row for each query and rank; up to {_MOST_PRINTED} queries are printed too",
        )
        parser.add_argument(
            "--html",
            metavar="HTML",
            help="page to write, with all pictures in it and nothing else needed",
        )
        parser.add_argument(
            "--images",
            metavar="FOLDER",
            help="where the pictures of a file of features lie, if no longer where they were extracted",
        )
        add_skip_bad(parser)

    @staticmethod
    def run(arguments: argparse.Namespace) -> None:
        """Prints the nearest images, and writes them where that is asked for."""
        from rireid_jax.runs.search import listed, search
        from rireid_jax.runs.search_page import write_page

        if arguments.top < 1:
            raise UserError(f"--top: found {arguments.top}, expected a whole number of at least 1")
        out, page = (_file(arguments, name) for name in ("out", "html"))
        images = Path(expanded(arguments.images, "--images")) if arguments.images else None
        if images is not None and not os.path.isdir(images):
            raise UserError(f"--images: {images} is not there, expected a folder")
        queries, gallery = listed(arguments.queries), listed(arguments.gallery)
        if len(queries) > _MOST_PRINTED and out is None and page is None:
            raise UserError(
                f"QUERIES: found {len(queries):,}, expected --out or --html for more than {_MOST_PRINTED}"
            )
        result = search(
            open_model(arguments), queries, gallery, arguments.top, skip_bad=arguments.skip_bad
        )
        if len(queries) <= _MOST_PRINTED:
            print(_table(result))
        if out is not None:
            result.write_csv(out)
            print(out)
        if page is not None:
            write_page(page, result, images)
            print(page)


def _file(arguments: argparse.Namespace, name: str) -> Path | None:
    """The file of an option; a mistake is found before hours of extraction."""
    value = getattr(arguments, name)
    if value is None:
        return None
    path = Path(expanded(value, f"--{name}"))
    if os.path.isdir(path) or not os.access(path.parent, os.W_OK):
        raise UserError(f"--{name}: found {value}, expected a file in a folder to write to")
    return path


def _table(result: "SearchResult") -> str:
    from rireid_jax.runs.search import RIGHT
    from rireid_jax.text_table import aligned, printable

    rows = [["query", "px", "rank", "distance", "right", "px", "name"]]
    for query, name in enumerate(result.query.names):
        width = str(result.query.native_widths[query])
        for rank, match in enumerate(result.matches(query), 1):
            own = [printable(name), width] if rank == 1 else ["", ""]
            nearest = printable(result.gallery.names[match.index])
            px = str(result.gallery.native_widths[match.index])
            distance = f"{match.distance:.4f}"
            rows.append([*own, str(rank), distance, RIGHT[match.right], px, nearest])
    if not any(row[4] for row in rows[1:]):  # no identities are known
        rows = [row[:4] + row[5:] for row in rows]
    return aligned(rows)
