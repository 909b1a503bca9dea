"""`rireid gallery`: persons that are known, in a file or on a Milvus server."""

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rireid_jax.cli.arguments import add_model, open_model
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

if TYPE_CHECKING:
    from rireid_jax.gallery import Gallery, Hit

_COLUMNS = ("query", "rank", "name", "person", "camera", "time", "native_width", "r", "distance")


@COMMANDS.register("gallery")
class GalleryCommand:
    """Adds to a gallery, searches it, removes from it, and says what is in it."""

    SUMMARY = "keep known persons in a gallery, and search it: add, search, remove, stats"
    EXAMPLE = "rireid gallery add crops --person-from-folder --gallery people.db --model runs/mine"

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Adds the four actions."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        add = _action(actions, "add", "add images, or replace those of the same names")
        add_model(add)
        _add_images(add, "images, folders, CSV files with path[,id][,camera], or tables of")
        who = add.add_mutually_exclusive_group()
        who.add_argument("--person", default="", metavar="NAME", help="who the images show")
        who.add_argument(
            "--person-from-folder",
            action="store_true",
            help="who they show is the name of the first folder below the given one",
        )
        add.add_argument("--camera", default="", metavar="NAME", help="which camera took them")
        add.add_argument("--time", default="", help="when, in ISO 8601: 2026-03-01T14:30:00+01:00")
        add.add_argument(
            "--field",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="an own field, to filter by; may be given more than once",
        )
        add.add_argument("--skip-bad", action="store_true", help="go on after an unreadable image")
        search = _action(
            actions, "search", "rank the rows of a gallery by their distance to images"
        )
        add_model(search)
        _add_images(search, "as of `add`; tables of")
        search.add_argument("--top", type=int, default=10, help="rows for an image; 10 by default")
        search.add_argument("--out", metavar="F.csv", help="write the ranking to a file as well")
        _add_filter(search)
        remove = _action(actions, "remove", "remove rows for good, by name, person or filter")
        remove.add_argument("--name", action="append", default=[], help="of a row; repeatable")
        _add_filter(remove)
        stats = _action(actions, "stats", "count what is in a gallery")
        for action in (remove, stats):
            add_model(action, required=False)  # to check that the gallery is of this model

    @staticmethod
    def run(arguments: argparse.Namespace) -> None:
        """Does one of the four."""
        from rireid_jax.cli.gallery_add import add

        actions = {"add": add, "search": _search, "remove": _remove, "stats": _stats}
        actions[arguments.action](arguments)


def _action(actions: Any, name: str, about: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(
        name, help=about, description=about, allow_abbrev=False
    )
    action.add_argument(
        "--gallery",
        required=True,
        metavar="URI",
        help="a file such as people.db, or a Milvus server: http://HOST:19530[/DATABASE]",
    )
    return action


def _add_images(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGES", help=f"{what} `rireid extract`")


def _add_filter(parser: argparse.ArgumentParser) -> None:
    for column in ("person", "camera"):
        parser.add_argument(
            f"--{column}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"rows of this {column} only; given more than once, of one of them",
        )
    parser.add_argument(
        "--where", default="", metavar="FILTER", help='for example: time >= "2026-03-01"'
    )


def _filter(arguments: argparse.Namespace, names: Sequence[str] = ()) -> str:
    from rireid_jax.gallery import matching

    return matching(
        names=names, persons=arguments.person, cameras=arguments.camera, where=arguments.where
    )


def _search(arguments: argparse.Namespace) -> None:
    from rireid_jax.cli.gallery_add import batches, check_table, sources
    from rireid_jax.gallery import Gallery

    tables, images = sources(arguments.images)
    out = None
    if arguments.out is not None:
        out = Path(expanded(arguments.out, "--out"))
        if out.suffix != ".csv" or not out.parent.is_dir():
            raise UserError(f"--out: found {arguments.out!r}, expected F.csv in a folder")
    where = _filter(arguments)
    extractor = open_model(arguments)
    rows: list[list[str]] = []
    with Gallery.open(arguments.gallery, extractor.fingerprint, extractor.width_max) as gallery:
        gallery.check_filter(where)  # before the images are read
        for table in tables:
            check_table(table, extractor.fingerprint)
            rows += _ranked(table.names, gallery.search(table.features, arguments.top, where))
        for batch in batches(iter(images), arguments.batch_size):
            features = extractor.extract([image.path for image in batch])
            names = [image.name for image in batch]
            rows += _ranked(names, gallery.search(features, arguments.top, where))
    if out is not None:
        from etils import epath

        from rireid_jax.runs.files import write_whole

        content = io.StringIO()
        csv.writer(content, lineterminator="\n").writerows([_COLUMNS, *rows])
        write_whole(epath.Path(out), content.getvalue())
    _print_ranked(rows)


def _ranked(names: Sequence[str], found: "list[list[Hit]]") -> Iterator[list[str]]:
    for name, hits in zip(names, found, strict=True):
        for rank, hit in enumerate(hits, 1):
            entry = hit.entry
            texts = [name, str(rank), entry.name, entry.person, entry.camera, entry.time]
            numbers = [str(entry.native_width), f"{entry.resolution:.4f}", f"{hit.distance:.6g}"]
            yield texts + numbers


def _print_ranked(rows: list[list[str]]) -> None:
    from rireid_jax.text_table import aligned

    if not rows:
        print("no rows satisfy the filter", file=sys.stderr)
        return
    titles = ["query", "rank", "distance", "person", "camera", "r", "name"]
    body = [
        [query, rank, distance, person or "-", camera or "-", r, name]
        for query, rank, name, person, camera, _, _, r, distance in rows
    ]
    print(aligned([titles, *body]))


def _remove(arguments: argparse.Namespace) -> None:
    where = _filter(arguments, arguments.name)
    if not where:
        raise UserError(
            "rireid gallery remove: found no rows named, expected --name, --person, "
            "--camera or --where"
        )
    with _opened(arguments) as gallery:
        names = gallery.remove(where)
    if not names:
        raise UserError(f"{arguments.gallery}: found no such rows, expected some to remove")
    print(f"{len(names)} removed")


def _stats(arguments: argparse.Namespace) -> None:
    with _opened(arguments) as gallery:
        found = gallery.stats()
    print(f"rows      {found.rows}")
    print(f"persons   {found.persons}")
    print(f"cameras   {found.cameras}")
    print(f"model     {found.fingerprint or 'none yet'}")
    print(f"features  {found.dimension} dimensions, r = 1 at {found.width_max} pixels")
    if found.bytes_on_disk is not None:
        print(f"on disk   {found.bytes_on_disk / 1e6:.1f} MB")


def _opened(arguments: argparse.Namespace) -> "Gallery":
    from rireid_jax.gallery import Gallery

    if arguments.model is None:
        return Gallery.open(arguments.gallery)
    extractor = open_model(arguments)
    return Gallery.open(arguments.gallery, extractor.fingerprint, extractor.width_max)
