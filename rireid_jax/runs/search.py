"""The nearest gallery images of every query, from images or from files of features."""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rireid_jax.errors import UserError
from rireid_jax.evaluation.nearest import Nearest, nearest
from rireid_jax.paths import expanded
from rireid_jax.runs.extraction import extract
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.feature_table import SUFFIXES, FeatureTable, read_table
from rireid_jax.runs.files import written_whole
from rireid_jax.runs.image_lists import ImageFile, list_images

_HEADER = ("query", "query_width", "rank", "name", "width", "distance", "right")
RIGHT = {True: "yes", False: "no", None: ""}  # in words


@dataclass(frozen=True)
class Listed:
    """One side of a search before the model has seen it: images, or the features of a file.

    Attributes:
      source: as the user named it.
      images: none where there is a table.
      table: of the file.
    """

    source: str
    images: Sequence[ImageFile] = ()
    table: FeatureTable | None = None

    def __len__(self) -> int:
        return len(self.images if self.table is None else self.table)


@dataclass(frozen=True)
class Match:
    """A gallery image in the list of a query.

    Attributes:
      index: in the gallery.
      distance: Euclidean.
      right: whether both have one identity; None where one of them is not known.
    """

    index: int
    distance: float
    right: bool | None


@dataclass(frozen=True)
class SearchResult:
    """What a search has found.

    Attributes:
      query: the queries.
      gallery: the gallery.
      found: of each query.
    """

    query: FeatureTable
    gallery: FeatureTable
    found: Nearest

    def matches(self, query: int) -> Iterator[Match]:
        """The list of a query, by its index, nearest first."""
        asked = self.query.identities[query]
        rows = zip(self.found.indices[query], self.found.distances[query], strict=True)
        for index, distance in rows:
            identity = self.gallery.identities[index]
            right = asked == identity if asked and identity else None
            yield Match(int(index), float(distance), right)

    def write_csv(self, path: Path) -> None:
        """Writes a row for every query and rank: names, native widths, distance, and whether it is right."""
        with (
            written_whole(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as f,
        ):
            writer = csv.writer(f, lineterminator="\n")
            writer.writerow(_HEADER)
            for query, name in enumerate(self.query.names):
                width = self.query.native_widths[query]
                for rank, match in enumerate(self.matches(query), 1):
                    other = self.gallery.names[match.index]
                    other_width = self.gallery.native_widths[match.index]
                    distance, right = f"{match.distance:.6g}", RIGHT[match.right]
                    writer.writerow([name, width, rank, other, other_width, distance, right])


def listed(source: str) -> Listed:
    """The images, or the file of features, that a user names.

    Raises:
      UserError: there is no such thing.
    """
    path = Path(expanded(source, "IMAGES"))
    if path.suffix.lower() in SUFFIXES and os.path.isfile(path):
        return Listed(source, table=read_table(path))
    return Listed(source, images=list_images([source]))


def search(
    extractor: Extractor, query: Listed, gallery: Listed, top: int, skip_bad: bool = False
) -> SearchResult:
    """Finds the nearest gallery images of every query.

    Args:
      extractor: the model.
      query: the queries.
      gallery: the gallery.
      top: how many for each query, if the gallery has as many.
      skip_bad: leave out images that cannot be read, and name them in the log.

    Raises:
      UserError: an image cannot be read, or a file holds features of another model.
    """
    for side in (query, gallery):  # before anything is extracted
        if side.table is not None and side.table.fingerprint != extractor.fingerprint:
            raise UserError(
                f"{side.source}: found features of the model {side.table.fingerprint}, expected those of "
                f"{extractor.fingerprint}, which --model names"
            )
    query_table, gallery_table = (
        extract(extractor, side.images, skip_bad=skip_bad) if side.table is None else side.table
        for side in (query, gallery)
    )
    found = nearest(query_table.features, gallery_table.features, top)
    return SearchResult(query_table, gallery_table, found)
