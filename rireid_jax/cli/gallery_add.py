"""`rireid gallery add`: images and tables of features, with their labels, into a gallery."""

import argparse
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rireid_jax.cli.arguments import open_model
from rireid_jax.errors import UserError
from rireid_jax.gallery import Entry, Gallery
from rireid_jax.progress_bar import ProgressBar

if TYPE_CHECKING:
    from rireid_jax.runs.extractor import Description, Extractor
    from rireid_jax.runs.feature_table import FeatureTable
    from rireid_jax.runs.image_lists import ImageFile

T = TypeVar("T")

logger = logging.getLogger(__name__)

_LINE_SECONDS = 30.0  # between two lines of the log, without a terminal
_AT_ONCE = 256  # files whose content is compared, or rows of a table that are added, at once


def add(arguments: argparse.Namespace) -> None:
    """Adds all that the arguments name.

    Raises:
      UserError: a source, a label or an image is wrong.
    """
    fields = _fields(arguments.field)
    tables, images = sources(arguments.images)
    entries = [_entry(image, arguments, fields) for image in images]  # mistakes before the model
    extractor = open_model(arguments)
    width_max = extractor.width_max
    counts = {"added": 0, "already there": 0, "skipped": 0}
    with (
        Gallery.open(arguments.gallery, extractor.fingerprint, width_max, create=True) as gallery,
        ProgressBar(len(images) + sum(map(len, tables)), "add", "image", 0, _LINE_SECONDS) as bar,
    ):
        for table in tables:
            check_table(table, extractor.fingerprint)
            for rows, features in _table_rows(table, arguments, fields):
                _add_batch(gallery, rows, features, counts, bar)
        for batch in batches(_new(gallery, images, entries, counts, bar), arguments.batch_size):
            good, description = _described(extractor, batch, arguments.skip_bad)
            counts["skipped"] += len(batch) - len(good)
            bar.add(len(batch) - len(good))
            if description is not None:
                rows = [
                    replace(entry, native_width=int(width), resolution=float(r))
                    for (_, entry), width, r in zip(
                        good, description.native_widths, description.resolutions, strict=True
                    )
                ]
                _add_batch(gallery, rows, description.features, counts, bar)
    print(", ".join(f"{number} {what}" for what, number in counts.items()))


def _add_batch(
    gallery: Gallery,
    entries: list[Entry],
    features: np.ndarray,
    counts: dict[str, int],
    bar: ProgressBar,
) -> None:
    gallery.add(entries, features)
    # Only what is on the disk is counted: a killed command goes on where its count stood.
    counts["added"] += len(entries)
    bar.add(len(entries))


def sources(names: Sequence[str]) -> "tuple[list[FeatureTable], list[ImageFile]]":
    """What IMAGES name: tables of features, and images."""
    from rireid_jax.runs.feature_table import read_table
    from rireid_jax.runs.image_lists import list_images

    tables = [name for name in names if name.lower().endswith((".npz", ".parquet"))]
    rest = [name for name in names if name not in tables]
    return [read_table(Path(table)) for table in tables], list_images(rest)


def batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """The items in lists of a size, the last one shorter."""
    while batch := list(islice(items, size)):
        yield batch


def check_table(table: "FeatureTable", fingerprint: str) -> None:
    """Raises UserError if the features of a table are of another model."""
    if table.fingerprint != fingerprint:
        raise UserError(
            f"IMAGES: found a table of model {table.fingerprint}, expected one of {fingerprint}"
        )


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


def _entry(
    image: "ImageFile", arguments: argparse.Namespace, fields: dict[str, Any], **known: Any
) -> Entry:
    person = image.identity or arguments.person
    if arguments.person_from_folder and not image.identity:
        person, separator, _ = image.name.partition("/")
        if not separator:
            raise UserError(
                f"--person-from-folder: found {image.name}, expected images in folders of persons"
            )
    camera = image.camera or arguments.camera
    return Entry(image.name, person, camera, arguments.time, fields=fields, **known)


def _new(
    gallery: Gallery,
    images: "Sequence[ImageFile]",
    entries: Sequence[Entry],
    counts: dict[str, int],
    bar: ProgressBar,
) -> "Iterator[tuple[ImageFile, Entry]]":
    """The images that are not in the gallery yet with the same content and labels."""
    for batch in batches(zip(images, entries, strict=True), _AT_ONCE):
        hashed = [(image, replace(entry, content=_hash(image.path))) for image, entry in batch]
        there = gallery.has([entry for _, entry in hashed])
        counts["already there"] += sum(there)
        bar.add(sum(there))
        yield from (pair for pair, known in zip(hashed, there, strict=True) if not known)


def _hash(path: Path) -> str:
    """Of a file's content; "" if it cannot be read, which is said when it is decoded."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


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


def _table_rows(
    table: "FeatureTable", arguments: argparse.Namespace, fields: dict[str, Any]
) -> Iterator[tuple[list[Entry], np.ndarray]]:
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
