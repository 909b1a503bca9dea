"""`Gallery`: add, search, remove, and what is in it."""

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float

from rireid_jax.errors import UserError
from rireid_jax.gallery import collection
from rireid_jax.gallery.collection import NAME
from rireid_jax.gallery.engine import Engine
from rireid_jax.gallery.entries import COLUMNS, FEATURE, KEY, Entry, Hit, entry_of
from rireid_jax.gallery.filters import matching

_ROWS_AT_ONCE = 1000  # of one message, which may have 64 MB
_FLOATS_AT_ONCE = 2**24  # Milvus Lite subtracts every query from every row, in memory
_QUERIES_AT_ONCE = 64
_MOST_HITS = 16_384  # Milvus's own limit
_UNFLUSHED = (
    2000  # rows; Milvus Lite searches those that are not yet in a file at a thirtieth of the speed
)


@dataclass(frozen=True)
class Statistics:
    """What a gallery holds.

    Attributes:
      rows: number of images.
      persons: number of persons, without rows whose person is unknown.
      cameras: number of cameras, likewise.
      dimension: of the features; 0 while the gallery is empty and new.
      fingerprint: of the model.
      width_max: pixels, the native width of r = 1 for that model.
      bytes_on_disk: of a file; None for a server.
    """

    rows: int
    persons: int
    cameras: int
    dimension: int
    fingerprint: str
    width_max: int
    bytes_on_disk: int | None


class Gallery:
    """Features of known persons that stay.

    All methods may be called from several threads: a lock lets one call at a time through, because Milvus Lite wants
    its writes one by one. A file belongs to one process, and in it to one `Gallery`, until `close`.

    Example:
      with Gallery.open("people.db", extractor.fingerprint, extractor.width_max, create=True) as gallery:
        gallery.add([Entry("ana/1.jpg", person="ana", camera="c1")], extractor.extract(["ana/1.jpg"]))
        hits = gallery.search(extractor.extract(["who.jpg"]), top=5, where=matching(cameras=["c1"]))
        print(hits[0][0].entry.person, hits[0][0].distance)
    """

    def __init__(self, engine: Engine, fingerprint: str, width_max: int):
        """Use `open`."""
        self._engine = engine
        self._lock = threading.RLock()
        self._fingerprint, self._width_max = fingerprint, width_max
        self._model_is_known = bool(fingerprint)
        self._dimension = 0
        self._unflushed = 0
        self._write_failed = False
        with engine.calling():
            if collection.restore(engine):
                self._recall()

    @classmethod
    def open(
        cls, uri: str, fingerprint: str = "", width_max: int = 0, *, create: bool = False
    ) -> "Gallery":
        """Opens a gallery.

        Args:
          uri: `people.db`, which Milvus Lite keeps in a folder of this name, or `http://HOST:19530[/DATABASE]`, a
            Milvus server. `http://USER:PASSWORD@HOST:19530` if the server asks for them.
          fingerprint: of the model whose features are added or searched (`Extractor.fingerprint`); "" to do neither.
          width_max: of that model, in pixels.
          create: whether to begin a gallery that is not there.

        Raises:
          UserError: there is no such gallery or server; it is of another model; another process has it open; the
            extra `gallery` is not installed.
        """
        engine = Engine(uri, create)
        try:
            return cls(engine, fingerprint, width_max)
        except BaseException:
            engine.close()
            raise

    def add(self, entries: Sequence[Entry], features: Float[np.ndarray, "N D"]) -> None:
        """Adds rows, or replaces those of the same names. When it returns, they survive a kill and a loss of power.

        Args:
          entries: N, of different names.
          features: float32, in their order.

        Raises:
          UserError: the features are of another dimension than those in the gallery or not finite, or names repeat.
        """
        if len({entry.name for entry in entries}) < len(entries):
            raise UserError("entries: found a name twice, expected one entry of each name")
        if len(entries) != len(features):
            raise UserError(
                f"features: found {len(features)}, expected one for each of {len(entries)} entries"
            )
        features = self._checked(features)
        if not len(entries):
            return
        rows = [
            {**entry.row(), FEATURE: feature}
            for entry, feature in zip(entries, features, strict=True)
        ]
        with self._lock, self._writing():
            if not self._dimension:
                collection.create(
                    self._engine, features.shape[1], self._fingerprint, self._width_max
                )
                self._recall()
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                self._engine.client.upsert(NAME, rows[start : start + _ROWS_AT_ONCE])
            self._unflushed += len(rows)
            self._engine.sync()

    def has(self, entries: Sequence[Entry]) -> list[bool]:
        """Whether each entry is there already: same name, labels, and content, which must be known."""
        found: dict[str, Entry] = {}
        with self._lock, self._engine.calling():
            for start in range(0, len(entries) if self._dimension else 0, _ROWS_AT_ONCE):
                names = [entry.name for entry in entries[start : start + _ROWS_AT_ONCE]]
                rows = self._engine.client.query(
                    NAME, filter=matching(names=names), output_fields=list(COLUMNS)
                )
                found.update((row[KEY], entry_of(row)) for row in rows)
        return [
            bool(entry.content) and entry.key in found and entry.same_labels(found[entry.key])
            for entry in entries
        ]

    def search(
        self, features: Float[np.ndarray, "Q D"], top: int = 10, where: str = ""
    ) -> list[list[Hit]]:
        """The nearest rows to each query, nearest first; equal distances in the order of names. The search is exact.

        Args:
          features: float32, of the same model.
          top: how many rows for each query; fewer are found if no more satisfy the filter.
          where: filter in Milvus's expression language, as `matching` writes it.

        Raises:
          UserError: the features are of another dimension, the filter is none, or top is out of range.
        """
        if not 1 <= top < _MOST_HITS:
            raise UserError(f"top: found {top}, expected 1 to {_MOST_HITS - 1}")
        features = self._checked(features)
        with self._lock:
            self.check_filter(where)
            with self._engine.calling():
                if self._engine.folder is not None and self._unflushed > _UNFLUSHED:
                    self._engine.client.flush(NAME)
                    self._engine.sync()
                    self._unflushed = 0
                size = collection.count(self._engine) * self._dimension
                step = min(_QUERIES_AT_ONCE, max(1, _FLOATS_AT_ONCE // max(1, size)))
                return [
                    hits
                    for start in range(0, len(features), step)
                    for hits in self._nearest(features[start : start + step], top, where)
                ]

    def check_filter(self, where: str) -> None:
        """Raises UserError if the gallery is empty, or the filter is wrong."""
        with self._lock:
            if not self._dimension:
                raise UserError(f"{self._engine.uri}: is empty, expected a gallery with rows")
            if where:
                with self._engine.calling(f"filter {where!r}"):
                    self._engine.client.query(NAME, filter=where, output_fields=[KEY], limit=1)

    def remove(self, where: str) -> list[str]:
        """Removes rows for good.

        Of a file, what remains is written anew, so that neither names nor features of the removed rows are in it when
        this returns. A server deletes them from its storage when it next compacts, which is asked of it.

        Args:
          where: filter, as `matching` writes it.

        Returns:
          The names of the removed rows.

        Raises:
          UserError: the filter is empty or wrong.
        """
        if not where.strip():
            raise UserError("where: found '', expected which rows to remove")
        with self._lock:
            self.check_filter(where)
            engine = self._engine
            with self._writing():
                names = [
                    row["name"] for page in collection.rows(engine, ["name"], where) for row in page
                ]
                if not names:
                    return []
                if engine.folder is not None:
                    collection.begin_rewrite(engine)
                engine.client.delete(NAME, filter=where)
                engine.sync()
                if engine.folder is not None:
                    collection.rewrite(engine)
                else:
                    engine.client.flush(NAME)
                    engine.client.compact(NAME)
            return names

    def labels(self) -> tuple[list[str], list[str]]:
        """The persons and the cameras in the gallery, without "", in the order of their names."""
        persons: set[str] = set()
        cameras: set[str] = set()
        with self._lock, self._engine.calling():
            columns = ["person", "camera"]
            for page in collection.rows(self._engine, columns) if self._dimension else ():
                persons.update(row["person"] for row in page)
                cameras.update(row["camera"] for row in page)
        return sorted(persons - {""}), sorted(cameras - {""})

    def stats(self) -> Statistics:
        """Counts what is in the gallery."""
        with self._lock, self._engine.calling():
            persons, cameras = self.labels()
            return Statistics(
                rows=collection.count(self._engine) if self._dimension else 0,
                persons=len(persons),
                cameras=len(cameras),
                dimension=self._dimension,
                fingerprint=self._fingerprint,
                width_max=self._width_max,
                bytes_on_disk=self._engine.bytes_on_disk(),
            )

    def close(self) -> None:
        """Lets other processes have the file. The gallery cannot be used any more."""
        with self._lock:
            self._engine.close()

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Refuses to write once a write has failed, for example on a full disk.

        Milvus Lite would append to the broken record in its log, and after a kill read nothing behind that record.
        """
        if self._write_failed:
            raise UserError(
                f"{self._engine.uri}: a write to it has failed, expected it to be opened again"
            )
        self._write_failed = True
        with self._engine.calling():
            yield
        self._write_failed = False

    def _recall(self) -> None:
        """Reads what the gallery remembers of its model, and compares."""
        found = collection.remembered(self._engine)
        assert found
        self._dimension, fingerprint, width_max = found
        if self._model_is_known and (fingerprint, width_max) != (
            self._fingerprint,
            self._width_max,
        ):
            raise UserError(
                f"{self._engine.uri}: found features of model {fingerprint} (r = 1 at {width_max} "
                f"pixels), expected those of {self._fingerprint} (at {self._width_max}): a gallery "
                "holds the features of one model"
            )
        self._fingerprint, self._width_max = fingerprint, width_max

    def _checked(self, features: Any) -> Float[np.ndarray, "N D"]:
        if not self._model_is_known:
            raise UserError("fingerprint: found '', expected that of the model of the features")
        features = np.asarray(features, np.float32)
        dimension = self._dimension or (features.shape[1] if features.ndim == 2 else 0)
        if features.ndim != 2 or features.shape[1] != dimension or not dimension:
            raise UserError(
                f"features: found {list(features.shape)}, expected [N, {dimension or 'D'}]"
            )
        if not np.isfinite(features).all():
            raise UserError("features: found one that is not finite, expected finite ones")
        return features

    def _nearest(self, features: Float[np.ndarray, "Q D"], top: int, where: str) -> list[list[Hit]]:
        # One more than asked: only then it is known whether rows at the last distance were left out.
        limit = top + 1
        while True:
            found = self._engine.client.search(
                NAME,
                data=list(features),
                anns_field=FEATURE,
                limit=limit,
                filter=where,
                output_fields=list(COLUMNS),
            )
            tied = any(
                len(hits) == limit and hits[top - 1]["distance"] == hits[-1]["distance"]
                for hits in found
            )
            if not tied or limit == _MOST_HITS:
                break
            limit = min(2 * limit, _MOST_HITS)
        return [
            sorted(
                (
                    Hit(entry_of(hit["entity"]), math.sqrt(max(0.0, hit["distance"])))
                    for hit in hits
                ),
                key=lambda hit: (hit.distance, hit.entry.name),
            )[:top]
            for hits in found
        ]
