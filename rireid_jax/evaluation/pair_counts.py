"""Counts all pairs of images by their distance, a tile at a time: the distances are never held together.

A pair is of the same person, or of different people. Pairs of the same person by the same camera are left out, as in
every protocol: they show how alike two frames of one video are. Pairs of different people by the same camera stay.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rireid_jax.evaluation.distances import LabelledFeatures, Search, Strip, distances

# A distance is known to one in so many parts of the greatest that there can be: a few millionths of it, which is the
# error of float32 distances anyway.
STEPS = 2**18
DIFFERENT, SAME = range(2)

_ROWS, _COLUMNS = 1024, 2048  # of a tile
_WAITING = 2**21  # keys, before they are counted


@dataclass(frozen=True)
class Counts:
    """The pairs whose distance is below each of T thresholds.

    Attributes:
      keys: ascending, of pairs of different people: (t x K + the lower identity) x K + the other one, where t is the
        first threshold above the distances.
      numbers: how many pairs of images each key stands for.
      same: pairs of the same person, by identity.
      num_same: the same for all distances.
    """

    keys: Int[np.ndarray, " M"]
    numbers: Int[np.ndarray, " M"]
    same: Int[np.ndarray, "K T"]
    num_same: Int[np.ndarray, " K"]

    def of_people(
        self, t: int
    ) -> tuple[Int[np.ndarray, " L"], Int[np.ndarray, " L"], Int[np.ndarray, " L"]]:
        """Both identities, and the number of pairs below threshold t that are not below the one before."""
        people = len(self.num_same)
        ends = np.array([t, t + 1], np.int64) * people**2
        here = slice(*np.searchsorted(self.keys, ends).tolist())
        one, other = np.divmod(self.keys[here] - ends[0], people)
        return one, other, self.numbers[here]


class PairsOfBins:
    """The pairs of images, one in each of two bins.

    Memory: a copy of the features on the device, and a few tiles.
    """

    def __init__(
        self,
        images: LabelledFeatures,
        bins: Int[np.ndarray, " N"],
        num_bins: int,
        identities: Int[np.ndarray, " N"],
    ):
        """Places the images on the device.

        Args:
          images: of which none is junk.
          bins: of the images, from 0 on.
          num_bins: how many there are.
          identities: their number, from 0 to K - 1.
        """
        self._bins, self._identities = bins, identities.astype(np.int32)
        self.num_identities = int(identities.max()) + 1
        self._search = Search(images, images)
        self._rows = [np.flatnonzero(bins == b) for b in range(num_bins)]
        self._tiles = [
            [
                (columns, self._search.images(columns, _COLUMNS))
                for columns in _blocks(rows, _COLUMNS)
            ]
            for rows in self._rows
        ]
        norms = [np.asarray(tile[1]) for tiles in self._tiles for _, tile in tiles]
        radius = np.sqrt(max(float(norm[np.isfinite(norm)].max()) for norm in norms))
        self._step = 2 * radius / STEPS or 1.0  # no two are further apart than twice the radius
        self.step = self._step * self._search.scale

    def images_of(self, b: int) -> Int[np.ndarray, " K"]:
        """How many images in a bin each identity has."""
        return np.bincount(self._identities[self._bins == b], minlength=self.num_identities)

    def histogram(self, a: int, b: int) -> Int[np.ndarray, "2 C"]:
        """The number of pairs of different people, and of the same person, by distance in steps of `step`.

        Args:
          a: bin of one image.
          b: bin of the other one, at least `a`.
        """
        counts = np.zeros(2 * STEPS + 1, np.int64)
        for codes, _, _ in self._codes(a, b):
            counts += np.bincount(codes.ravel(), minlength=len(counts))
        return counts[:-1].reshape(2, STEPS)

    def counts(self, a: int, b: int, thresholds: Int[np.ndarray, " T"]) -> Counts:
        """The pairs below thresholds, by identity.

        Args:
          a: bin of one image.
          b: bin of the other one, at least `a`.
          thresholds: ascending, in steps: a distance is below one where its number of steps is less.
        """
        num, people = len(thresholds), self.num_identities
        # Of every number of steps: how many thresholds are not above it. Those of the same person come behind.
        level = np.searchsorted(thresholds, np.arange(STEPS), side="right")
        levels = np.concatenate([level, level + num + 1, [num]]).astype(np.uint16)
        same = np.zeros((people, num + 1), np.int64)
        different = _Sums()
        for codes, rows, columns in self._codes(a, b):
            of_tile = levels[codes]
            row, column = np.nonzero(of_tile < num)
            one, other = self._identities[rows[row]], self._identities[columns[column]]
            key = of_tile[row, column] * np.int64(people) + np.minimum(one, other)
            different.add(key * people + np.maximum(one, other))
            row, column = np.nonzero(of_tile > num)
            key = self._identities[rows[row]] * np.int64(num + 1) + of_tile[row, column] - (num + 1)
            same += np.bincount(key, minlength=same.size).reshape(same.shape)
        keys, numbers = different.totals()
        return Counts(keys, numbers, np.cumsum(same, axis=1)[:, :num], same.sum(axis=1))

    def _codes(
        self, a: int, b: int
    ) -> Iterator[tuple[Int[np.ndarray, "B G"], Int[np.ndarray, " B"], Int[np.ndarray, " G"]]]:
        """Tiles of the pairs: their codes (`_codes_of`), and which images are the rows and columns."""
        for start, rows in enumerate(_blocks(self._rows[a], _ROWS)):
            filled = np.resize(rows, _ROWS)
            queries = self._search.queries(filled)
            # Places in the bin, by which a pair of one bin counts once; repeated rows have none.
            row_places = np.full(_ROWS, np.iinfo(np.int32).max, np.int32)
            row_places[: len(rows)] = start * _ROWS + np.arange(len(rows)) if a == b else -1
            people = self._identities[filled]
            for place, (columns, tile) in enumerate(self._tiles[b]):
                if a == b and (place + 1) * _COLUMNS <= start * _ROWS:
                    continue
                column_places = place * _COLUMNS + np.arange(_COLUMNS, dtype=np.int32)
                codes = _codes_of(
                    Strip(*queries, *tile),
                    row_places,
                    column_places,
                    people,
                    np.resize(self._identities[columns], _COLUMNS),
                    np.float32(1 / self._step),
                )
                yield np.asarray(codes), filled, np.resize(columns, _COLUMNS)


class _Sums:
    """Counts keys that arrive in parts, in memory for twice as many as are different."""

    def __init__(self) -> None:
        self._keys, self._numbers = np.zeros(0, np.int64), np.zeros(0, np.int32)
        self._waiting: list[Int[np.ndarray, " M"]] = []

    def add(self, keys: Int[np.ndarray, " M"]) -> None:
        """Counts each of these once more."""
        self._waiting.append(keys)
        if sum(map(len, self._waiting)) > max(_WAITING, len(self._keys)):
            self._merge()

    def totals(self) -> tuple[Int[np.ndarray, " M"], Int[np.ndarray, " M"]]:
        """The keys, ascending, and the number of each."""
        self._merge()
        return self._keys, self._numbers

    def _merge(self) -> None:
        keys = np.concatenate([self._keys, *self._waiting])
        ones = np.ones(len(keys) - len(self._keys), np.int32)
        numbers = np.concatenate([self._numbers, ones])
        self._waiting = []
        order = np.argsort(keys)
        keys, numbers = keys[order], numbers[order]
        del order
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        self._keys = keys[starts]
        self._numbers = np.add.reduceat(numbers, starts) if len(starts) else numbers


def _blocks(rows: Int[np.ndarray, " M"], size: int) -> Iterator[Int[np.ndarray, " B"]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@jax.jit
def _codes_of(
    tile: Strip,
    row_places: Int[Array, " B"],
    column_places: Int[Array, " G"],
    row_people: Int[Array, " B"],
    column_people: Int[Array, " G"],
    per_step: Float[Array, ""],
) -> Int[Array, "B G"]:
    """The distance of each pair in steps; `STEPS` more for the same person; 2 x `STEPS` for no pair.

    No pair are padding, two images of one person by one camera, and what stands on or below the diagonal.
    """
    norms = jnp.sum(jnp.square(tile.queries), axis=1)
    squared = distances(tile) + norms[:, None]
    steps = jnp.floor(jnp.sqrt(jnp.maximum(squared, 0)) * per_step)
    code = jnp.minimum(steps, STEPS - 1).astype(jnp.int32)
    code += jnp.where(row_people[:, None] == column_people, STEPS, 0)
    pair = jnp.isfinite(squared) & (row_places[:, None] < column_places)
    return jnp.where(pair, code, 2 * STEPS)
