"""`rireid gallery`: persons that are known, in a file or on a Milvus server."""

import argparse
import csv
import hashlib
import io
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rireid_jax.cli.arguments import add_model, open_model
from rireid_jax.components import COMMANDS
from rireid_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from rireid_jax.gallery import Entry, Gallery, Hit
    from rireid_jax.runs.extractor import Description, Extractor
    from rireid_jax.runs.image_lists import ImageFile

logger = logging.getLogger(__name__)

_COLUMNS = ("query", "rank", "name", "person", "camera", "time", "native_width", "r", "distance")
_AT_ONCE = 256  # files whose content is compared, or rows of a table that are added, at once


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
            add_model(action)
            model = next(a for a in action._actions if a.dest == "model")
            model.required = False
            model.help = "check that the gallery is of this model"

    @staticmethod
    def run(arguments: argparse.Namespace) -> None:
        """Does one of the four."""
        {"add": _add, "search": _search, "remove": _remove, "stats": _stats}[arguments.action](
            arguments
        )


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


def _add(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    from rireid_jax.gallery import Gallery

    fields = _fields(arguments.field)
    tables, images = _sources(arguments.images)
    entries = [_entry(image, arguments, fields) for image in images]  # mistakes before the model
    extractor = open_model(arguments)
    width_max = extractor.width_max
    counts = {"added": 0, "already there": 0, "skipped": 0}
    with (
        Gallery.open(arguments.gallery, extractor.fingerprint, width_max, create=True) as gallery,
        tqdm(total=len(images) + sum(map(len, tables)), unit="image") as bar,
    ):
        for table in tables:
            _check_table(table, extractor.fingerprint)
            for rows, features in _table_rows(table, arguments, fields):
                _add_batch(gallery, rows, features, counts, bar)
        for batch in _batches(_new(gallery, images, entries, counts, bar), arguments.batch_size):
            good, description = _described(extractor, batch, arguments.skip_bad)
            counts["skipped"] += len(batch) - len(good)
            bar.update(len(batch) - len(good))
            if description is not None:
                rows = [
                    _with(entry, native_width=int(width), resolution=float(r))
                    for (_, entry), width, r in zip(
                        good, description.native_widths, description.resolutions, strict=True
                    )
                ]
                _add_batch(gallery, rows, description.features, counts, bar)
    print(", ".join(f"{number} {what}" for what, number in counts.items()))


def _add_batch(
    gallery: "Gallery",
    entries: "list[Entry]",
    features: "np.ndarray",
    counts: dict[str, int],
    bar: Any,
) -> None:
    gallery.add(entries, features)
    # Only what is on the disk is counted: a killed command goes on where its count stood.
    counts["added"] += len(entries)
    bar.update(len(entries))


def _search(arguments: argparse.Namespace) -> None:
    from rireid_jax.gallery import Gallery

    tables, images = _sources(arguments.images)
    out = None
    if arguments.out is not None:
        out = Path(arguments.out)
        if out.suffix != ".csv" or not out.parent.is_dir():
            raise UserError(f"--out: found {arguments.out!r}, expected F.csv in a folder")
    where = _filter(arguments)
    extractor = open_model(arguments)
    rows: list[list[str]] = []
    with Gallery.open(arguments.gallery, extractor.fingerprint, extractor.width_max) as gallery:
        gallery.check_filter(where)  # before the images are read
        for table in tables:
            _check_table(table, extractor.fingerprint)
            rows += _ranked(table.names, gallery.search(table.features, arguments.top, where))
        for batch in _batches(iter(images), arguments.batch_size):
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
        raise UserError(f"{arguments.gallery}: found no rows with {where}, expected some to remove")
    for name in names:
        print(name)
    print(f"{len(names)} removed for good")


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


def _fields(pairs: Sequence[str]) -> dict[str, Any]:
    """Own fields as they were given; what reads as a number, true or false is one."""
    fields: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or key in fields:
            raise UserError(f"--field: found {pair!r}, expected KEY=VALUE, each key once")
        fields[key] = text
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, int | float):
            fields[key] = value
    return fields


def _sources(sources: Sequence[str]) -> "tuple[list[Any], list[ImageFile]]":
    from rireid_jax.runs.feature_table import read_table
    from rireid_jax.runs.image_lists import list_images

    tables = [source for source in sources if source.lower().endswith((".npz", ".parquet"))]
    rest = [source for source in sources if source not in tables]
    return [read_table(Path(table)) for table in tables], list_images(rest)


def _entry(
    image: "ImageFile", arguments: argparse.Namespace, fields: dict[str, Any], **known: Any
) -> "Entry":
    from rireid_jax.gallery import Entry

    person = image.identity or arguments.person
    if arguments.person_from_folder and not image.identity:
        person, separator, _ = image.name.partition("/")
        if not separator:
            raise UserError(
                f"--person-from-folder: found {image.name}, expected images in folders of persons"
            )
    camera = image.camera or arguments.camera
    return Entry(image.name, person, camera, arguments.time, fields=fields, **known)


def _with(entry: "Entry", **changes: Any) -> "Entry":
    from dataclasses import replace

    return replace(entry, **changes)


def _new(
    gallery: "Gallery",
    images: "Sequence[ImageFile]",
    entries: "Sequence[Entry]",
    counts: dict[str, int],
    bar: Any,
) -> "Iterator[tuple[ImageFile, Entry]]":
    """The images that are not in the gallery yet with the same content and labels."""
    for batch in _batches(zip(images, entries, strict=True), _AT_ONCE):
        hashed = [(image, _with(entry, content=_hash(image.path))) for image, entry in batch]
        there = gallery.has([entry for _, entry in hashed])
        counts["already there"] += sum(there)
        bar.update(sum(there))
        yield from (pair for pair, known in zip(hashed, there, strict=True) if not known)


def _hash(path: Path) -> str:
    """Of a file's content; "" if it cannot be read, which is said when it is decoded."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _batches(items: Any, size: int) -> Iterator[list[Any]]:
    while batch := list(islice(items, size)):
        yield batch


def _described(
    extractor: "Extractor", batch: "list[tuple[ImageFile, Entry]]", skip_bad: bool
) -> "tuple[list[tuple[ImageFile, Entry]], Description | None]":
    """The readable images of a batch, and what the model makes of them."""
    try:
        return batch, extractor.describe([image.path for image, _ in batch])
    except UserError:
        if not skip_bad:
            raise
    from rireid_jax.data.loader import load_image

    good = []
    for image, entry in batch:
        try:
            load_image(image.path, extractor.image_size)
        except UserError as error:
            logger.warning("skipped: %s", error)
        else:
            good.append((image, entry))
    if not good:
        return [], None
    return good, extractor.describe([image.path for image, _ in good])


def _check_table(table: Any, fingerprint: str) -> None:
    if table.fingerprint != fingerprint:
        raise UserError(
            f"IMAGES: found a table of model {table.fingerprint}, expected one of {fingerprint}"
        )


def _table_rows(
    table: Any, arguments: argparse.Namespace, fields: dict[str, Any]
) -> "Iterator[tuple[list[Entry], np.ndarray]]":
    from rireid_jax.runs.image_lists import ImageFile

    for start in range(0, len(table), _AT_ONCE):
        part = range(start, min(start + _AT_ONCE, len(table)))
        entries = []
        for i in part:
            name = table.names[i]
            image = ImageFile(name, Path(name), table.identities[i], table.cameras[i])
            width, r = int(table.native_widths[i]), float(table.resolutions[i])
            entries.append(_entry(image, arguments, fields, native_width=width, resolution=r))
        yield entries, table.features[part.start : part.stop]
