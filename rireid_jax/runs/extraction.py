"""Features of any number of images, read ahead in threads; as a file, in steps that survive a kill."""

import contextlib
import logging
import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from rireid_jax.data.files import counted, some_of
from rireid_jax.data.loader import LoadedImage, load_image
from rireid_jax.errors import UserError
from rireid_jax.progress_bar import ProgressBar
from rireid_jax.runs.extraction_parts import (
    Described,
    Parts,
    joined,
    newer_than,
    parts_folder,
    parts_of,
)
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.feature_table import FeatureTable, check_format, read_table
from rireid_jax.runs.image_lists import ImageFile

logger = logging.getLogger(__name__)

_LINE_SECONDS = 30.0  # between two lines of the log, without a terminal
_READ_AHEAD = 2  # batches, while the devices work on one

Loaded = LoadedImage | UserError


def extract(
    extractor: Extractor,
    images: Sequence[ImageFile],
    *,
    skip_bad: bool = False,
    parts: Parts | None = None,
) -> FeatureTable:
    """What a model makes of images, with progress on stderr.

    Args:
      extractor: the model.
      images: at least one.
      skip_bad: leave out images that cannot be read, and name them in the log.
      parts: of an extraction that this one goes on from, and to which it adds.

    Raises:
      UserError: an image cannot be read, or none can.
    """
    done = parts.read(skip_bad) if parts is not None else []
    begun = sum(len(part.kept) for part in done)
    if begun:
        logger.info("goes on after %s of %s", f"{begun:,}", counted(len(images), "image"))
    with ProgressBar(len(images), "extract", "image", begun, _LINE_SECONDS) as shown:
        for described in _described(extractor, images, begun, skip_bad):
            done.append(described)
            if parts is not None:
                parts.add(described)
            shown.add(len(described.kept))
    whole = joined(done)
    kept = [image for image, good in zip(images, whole.kept, strict=True) if good]
    skipped = [image.name for image, good in zip(images, whole.kept, strict=True) if not good]
    if not kept:
        raise UserError(
            f"IMAGES: found none of {counted(len(images), 'image')} readable, expected some"
        )
    return FeatureTable(
        names=tuple(image.name for image in kept),
        features=whole.features,
        native_widths=whole.native_widths,
        resolutions=whole.resolutions,
        identities=tuple(image.identity for image in kept),
        cameras=tuple(image.camera for image in kept),
        fingerprint=extractor.fingerprint,
        paths=tuple(str(image.path) for image in kept),
        skipped=tuple(skipped),
    )


def extract_to_file(
    extractor: Extractor,
    images: Sequence[ImageFile],
    out: Path,
    *,
    skip_bad: bool = False,
    overwrite: bool = False,
) -> tuple[FeatureTable, bool]:
    """As `extract`, to a file `.npz` or `.parquet`.

    An extraction that was killed goes on from the files in `out.parts`, and ends with the same bytes. One that has
    ended is not repeated.

    Args:
      extractor: the model.
      images: at least one.
      out: the file, in an existing folder.
      skip_bad: as for `extract`.
      overwrite: replace a file of another model, of other images, or of images that have changed since.

    Returns:
      The table, and whether the file held it already.

    Raises:
      UserError: as `extract`; the file is another one and not to be overwritten, or cannot be written.
    """
    check_format(out)
    # Absolute, so that whoever reads the file finds the pictures, and images of other folders are not taken for these.
    images = [replace(image, path=Path(os.path.abspath(image.path))) for image in images]
    found = _finished(out, images, extractor.fingerprint, skip_bad, overwrite)
    if found is not None and not parts_folder(out).exists():
        return found, True
    try:
        with parts_of(out, images, extractor.fingerprint, extractor.batch_size) as parts:
            if found is not None:  # killed between writing it and removing its parts
                return found, True
            table = extract(extractor, images, skip_bad=skip_bad, parts=parts)
            table.write(out)
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: {error.strerror}, expected a place to write to; the same command goes on "
            "from what has been written"
        ) from error
    return table, False


def _finished(
    out: Path, images: Sequence[ImageFile], fingerprint: str, skip_bad: bool, overwrite: bool
) -> FeatureTable | None:
    """The table that is in a file already, if it is the one that is asked for."""
    if not os.path.exists(out):
        return None
    try:
        table = read_table(out)
        problem = _difference(table, images, fingerprint, skip_bad)
        if not problem and (newer := newer_than(out, images)):
            problem = f"features older than {newer}"
    except UserError as error:
        table, problem = None, str(error).removeprefix(f"{out}: ")
    if problem and not overwrite:
        raise UserError(f"{out}: found {problem}; --overwrite replaces the file")
    return None if problem else table


def _difference(
    table: FeatureTable, images: Sequence[ImageFile], fingerprint: str, skip_bad: bool
) -> str:
    """What a table has that one of these images would not have; "" for nothing."""
    if table.fingerprint != fingerprint:
        return f"features of the model {table.fingerprint}, expected those of {fingerprint}"
    skipped = set(table.skipped)
    expected = [
        (image.name, str(image.path), image.identity, image.camera)
        for image in images
        if image.name not in skipped
    ]
    paths = table.paths or ("",) * len(table)
    rows = list(zip(table.names, paths, table.identities, table.cameras, strict=True))
    other = [(row, wanted) for row, wanted in zip(rows, expected, strict=False) if row != wanted]
    if other:
        (name, there, *labels), (own, here, *wanted) = other[0]
        if (name, there) == (own, here):
            return f"{name} with the labels {labels}, expected {wanted}"
        place, expected_place = (name, own) if there in ("", here) else (there, here)
        return f"features of {place}, expected those of {expected_place}"
    number = len(table) + len(skipped)
    if len(rows) != len(expected) or number != len(images):
        return f"features of {counted(number, 'image')}, expected those of {len(images):,}"
    if skipped and not skip_bad:
        return f"features without {some_of(table.skipped)}, expected --skip-bad or all images"
    return ""


def _described(
    extractor: Extractor, images: Sequence[ImageFile], begin: int, skip_bad: bool
) -> Iterator[Described]:
    """Batch after batch, each of the same images wherever an extraction begins: that is why its bits are the same."""
    with contextlib.closing(_loaded(images, begin, extractor)) as batches:
        for batch in batches:
            bad = [loaded for loaded in batch if isinstance(loaded, UserError)]
            if bad and not skip_bad:
                raise UserError(f"{bad[0]}; --skip-bad leaves out what cannot be read") from bad[0]
            for error in bad:
                logger.warning("skipped: %s", error)
            good = [loaded for loaded in batch if not isinstance(loaded, UserError)]
            rows = extractor.describe(good)
            kept = np.array([not isinstance(loaded, UserError) for loaded in batch])
            yield Described(kept, rows.features, rows.native_widths, rows.resolutions)


def _loaded(
    images: Sequence[ImageFile], begin: int, extractor: Extractor
) -> Generator[list[Loaded], None, None]:
    """Batches of images at the network's size, or what is wrong with them."""
    size = extractor.batch_size

    def load(image: ImageFile) -> Loaded:
        try:
            return load_image(image.path, extractor.image_size)
        except UserError as error:
            return error

    pool = ThreadPoolExecutor(os.cpu_count())  # Pillow decodes outside of Python's lock
    try:
        waiting: deque[list[Future[Loaded]]] = deque()
        for start in range(begin, len(images), size):
            waiting.append([pool.submit(load, image) for image in images[start : start + size]])
            if len(waiting) > _READ_AHEAD:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)
