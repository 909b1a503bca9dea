"""Rank a gallery for every query without sorting it.

Every metric of re-identification depends on the positions of a query's correct matches alone. A
match p stands behind the gallery images that precede it, of those that remain for the query,

    position(p) = #{j : d[j] < d[p], or d[j] == d[p] and j < p},

so it is counted, tile by tile of `distances`. The position is 0-based, and equal to p's place in
a *stable* argsort of the same distances: ties are broken by gallery index.

Two conventions of the field decide which images remain: those of the query's own identity *and*
camera are removed for that query, and junk images (identity -1) are removed for all. Identity 0,
Market-1501's label of distractors, needs no rule: no query bears it, so its images are wrong.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rireid_jax.errors import UserError
from rireid_jax.evaluation.distances import (
    JUNK_PID,
    KnownStrip,
    LabelledFeatures,
    RerankedSearch,
    Search,
    Strip,
    distances,
    identity_camera_groups,
    labelled_features,
    round_up,
    search_for,
    strips,
)

# Queries and gallery images of a tile of distances, and the slices and matches that it is counted in.
# XLA's CPU backend multiplies matrices of this size at 1.7 times the rate of whole strips, and writes
# the operand of a long reduction to memory before it reduces; adding column slices first keeps the
# comparisons in registers. benchmarks/notes.md has what was tried.
_BLOCK, _TILE = 256, 2048
_COLUMN_SLICES = 64
_MATCHES_AT_ONCE = 8


@dataclasses.dataclass(frozen=True)
class Ranking:
    """What ranking gave for each of Q queries in each of R draws of the gallery (1 if not drawn).

    Attributes:
        first_match: 0-based position of the first correct match; -1 where the query has none.
        average_precision: mean over the matches, in order of position, of k / (position_k + 1),
            k = 1, 2, ... (not interpolated); nan where the query has no match.
        inverse_negative_penalty: number of matches / (position of the last match + 1), whose mean
            is mINP (Ye et al., AGW, TPAMI 2021); nan where the query has no match.
        valid: whether the query has a correct match among what remains; only such queries are
            counted.
        num_gallery: number of gallery images ranked for a query, before its own identity and camera
            are removed.
    """

    first_match: Int[np.ndarray, "R Q"]
    average_precision: Float[np.ndarray, "R Q"]
    inverse_negative_penalty: Float[np.ndarray, "R Q"]
    valid: Bool[np.ndarray, " Q"]
    num_gallery: int


class Matches:
    """The correct matches of each query: same identity, another camera, not junk.

    Attributes:
        counts: `[Q]`, the number of correct matches of each query.
        pids: `[I]`, the identities of query and gallery, ascending.
        by_pid: `[G]`, gallery indices grouped by identity, ascending within each.
        starts: `[I]`, where each identity begins in `by_pid`.
        sizes: `[I]`, its number of gallery images, which may be 0.
        query_identity: `[Q]`, each query's place in `pids`.
    """

    def __init__(self, query: LabelledFeatures, gallery: LabelledFeatures):
        self.pids, identity = np.unique(
            np.concatenate([query.pids, gallery.pids]), return_inverse=True
        )
        self.query_identity, gallery_identity = identity[: len(query)], identity[len(query) :]
        self.by_pid = np.argsort(gallery_identity, kind="stable")
        self.sizes = np.bincount(gallery_identity, minlength=len(self.pids))
        self.starts = np.cumsum(self.sizes) - self.sizes

        self._query_groups, self._gallery_groups = identity_camera_groups(query, gallery)
        num_groups = self._query_groups.max() + 1
        own_camera = np.bincount(self._gallery_groups, minlength=num_groups)[self._query_groups]
        counts = self.sizes[self.query_identity] - own_camera
        self.counts = np.where(query.pids == JUNK_PID, 0, counts)

    def indices(self, rows: Int[np.ndarray, " B"], width: int) -> Int[np.ndarray, "B width"]:
        """Gallery indices of the matches of queries `rows`, ascending, then arbitrary ones."""
        identity = self.query_identity[rows]
        column = np.arange(max(self.sizes[identity].max(), width))
        # The images of the query's identity, then whatever follows; those of its own camera are
        # moved behind.
        place = np.minimum(self.starts[identity, None] + column, len(self.by_pid) - 1)
        candidates = self.by_pid[place]
        other_camera = self._gallery_groups[candidates] != self._query_groups[rows, None]
        is_match = other_camera & (column < self.sizes[identity, None])
        first = np.argsort(~is_match, axis=1, kind="stable")[:, :width]
        return np.take_along_axis(candidates, first, axis=1).astype(np.int32)


class Places(NamedTuple):
    """What is known about P matches of each query of a block while the gallery passes by."""

    distance: Int[Array, "B P"]  # as `_ordered` has it
    preceding: Int[Array, "B P"]  # images before the match, so far


@functools.partial(jax.jit, donate_argnums=0)
def pass_tile(
    places: Places, tile: Strip | KnownStrip, at: Int[Array, "B P"], rounds: Int[Array, ""]
) -> Places:
    """Takes the distances of the matches that lie in a tile, and counts what precedes all matches there.

    It does both, so that a match's distance has the same bits where it is looked up as where it is
    counted, whatever a backend makes of a matrix product in another program.

    Args:
        places: as the tiles before left them; donated.
        tile: the block's distances to some of the gallery.
        at: column of the tile where each match lies; below 0 in a tile before, beyond the last in a
            tile behind.
        rounds: counts the first `rounds * _MATCHES_AT_ONCE` matches only.
    """
    distance = _ordered(distances(tile))
    num_columns = distance.shape[1]
    here = (at >= 0) & (at < num_columns)
    looked_up = jnp.take_along_axis(distance, jnp.clip(at, 0, num_columns - 1), axis=1)
    match_distance = jnp.where(here, looked_up, places.distance)

    def count_round(i: Array, preceding: Array) -> Array:
        start = i * _MATCHES_AT_ONCE
        bound, column, before = (
            lax.dynamic_slice_in_dim(array, start, _MATCHES_AT_ONCE, axis=1)
            for array in (match_distance, at, preceding)
        )
        count = before + _count_preceding(distance, bound, column)
        return lax.dynamic_update_slice_in_dim(preceding, count, start, axis=1)

    return Places(match_distance, lax.fori_loop(0, rounds, count_round, places.preceding))


def _ordered(distance: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """Numbers in the order of the distances, of which there is none between d and d + 1.

    Comparing floats, a backend may take the least ones for 0. (There is no negative 0 among distances.)
    """
    bits = lax.bitcast_convert_type(distance, jnp.int32)
    return bits ^ ((bits >> 31) & jnp.iinfo(jnp.int32).max)


def _count_preceding(
    distance: Int[Array, "B T"], bound: Int[Array, "B C"], at: Int[Array, "B C"]
) -> Int[Array, "B C"]:
    """Number of columns before each of C matches of distances `bound` in columns `at`.

    Equal distances precede in the slices before the match's own and not in those behind, so that one
    comparison does; only in the match's own slice they are looked at one by one.
    """
    width = distance.shape[1] // _COLUMN_SLICES
    preceding = jnp.zeros((), jnp.int32)
    for i, d in enumerate(jnp.split(distance[:, None], _COLUMN_SLICES, axis=-1)):
        is_before = at[..., None] >= (i + 1) * width
        preceding += d < bound[..., None] + is_before
    own = jnp.clip(at[..., None] // width, 0, _COLUMN_SLICES - 1) * width + jnp.arange(width)
    ties = jnp.take_along_axis(distance[:, None], own, axis=-1) == bound[..., None]
    ties &= (own < at[..., None]) & (at[..., None] < distance.shape[1])
    return jnp.sum(preceding, axis=-1, dtype=jnp.int32) + jnp.sum(ties, axis=-1, dtype=jnp.int32)


def rank_matches(query: LabelledFeatures, gallery: LabelledFeatures) -> Ranking:
    """Ranks the whole gallery for every query and keeps what the metrics need (R = 1).

    Memory: one copy of the gallery features, and a few tiles of `_BLOCK` x `_TILE` distances; where
    the gallery is re-ranked, what that takes, and `_BLOCK` rows of distances instead of the copy.

    Raises:
        UserError: query and gallery features differ in dimension.
    """
    matches = Matches(query, gallery)
    counts = matches.counts
    num_query = len(query)
    first_match = np.full((1, num_query), -1, np.int64)
    average_precision = np.full((1, num_query), np.nan)
    inverse_negative_penalty = np.full((1, num_query), np.nan)

    for rows, positions in _match_positions(search_for(query, gallery), matches):
        column, count = np.arange(positions.shape[1]), counts[rows, None]
        ordered = np.where(column < count, positions, len(gallery))
        ordered.sort(axis=1)
        precision = np.where(column < count, (column + 1) / (ordered + 1), 0)
        last = np.take_along_axis(ordered, count - 1, axis=1)[:, 0]
        first_match[0, rows] = ordered[:, 0]
        average_precision[0, rows] = precision.sum(axis=1) / counts[rows]
        inverse_negative_penalty[0, rows] = counts[rows] / (last + 1)
    return Ranking(
        first_match,
        average_precision,
        inverse_negative_penalty,
        valid=counts > 0,
        num_gallery=int(np.count_nonzero(gallery.pids != JUNK_PID)),
    )


def _match_positions(
    search: Search | RerankedSearch, matches: Matches
) -> Iterator[tuple[Int[np.ndarray, " b"], Int[np.ndarray, "b P"]]]:
    """Blocks of queries that have matches, with the positions of these; the rest of a row is arbitrary."""
    # Queries of an identity together, which share their matches, and of identities of like size, as
    # a block takes as many rounds as its longest row.
    sizes = matches.sizes[matches.query_identity]
    order = np.lexsort((matches.query_identity, -sizes))
    order = order[matches.counts[order] > 0]
    width = round_up(int(matches.counts.max()), _MATCHES_AT_ONCE)
    gallery = [
        search.images(np.arange(start, min(start + _TILE, search.num_gallery)), _TILE)
        for start in range(0, search.num_gallery, _TILE)
    ]
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        filled = np.resize(rows, _BLOCK)
        queries = search.queries(filled)
        at = matches.indices(filled, width)
        own, place = np.unique(at, return_inverse=True)
        place = place.reshape(at.shape).astype(np.int32)
        places = Places(*jnp.zeros((2, *at.shape), jnp.int32))
        for first in range(0, len(own), _TILE):
            tile = search.strip(queries, search.images(own[first : first + _TILE], _TILE))
            places = pass_tile(places, tile, place - first, np.int32(0))
        rounds = np.int32(-(-matches.counts[rows].max() // _MATCHES_AT_ONCE))
        for i, images in enumerate(gallery):
            places = pass_tile(places, search.strip(queries, images), at - i * _TILE, rounds)
        yield rows, np.asarray(places.preceding)[: len(rows)]


@functools.partial(jax.jit, static_argnames="k")
def nearest_of_strip(strip: Strip | KnownStrip, k: int) -> Int[Array, "B k"]:
    """Indices of the k nearest images of a strip's gallery; -1 where fewer remain."""
    negated, index = lax.top_k(-distances(strip), k)  # equal values: the lower index first
    return jnp.where(jnp.isneginf(negated), -1, index)


def top_matches(
    query_features: npt.ArrayLike,
    gallery_features: npt.ArrayLike,
    query_pids: npt.ArrayLike,
    gallery_pids: npt.ArrayLike,
    query_camids: npt.ArrayLike,
    gallery_camids: npt.ArrayLike,
    k: int,
) -> Int[np.ndarray, "Q k"]:
    """Gallery indices of the k nearest images that remain for each query, nearest first.

    Args:
        query_features: `[Q, D]`.
        gallery_features: `[G, D]`.
        query_pids: `[Q]` integers.
        gallery_pids: `[G]` integers, -1 for junk.
        query_camids: `[Q]` integers.
        gallery_camids: `[G]` integers.
        k: how many, 1 to G.

    Returns:
        int32 `[Q, k]`; -1 at the end of a row for which fewer than k images remain.

    Raises:
        UserError: as `labelled_features`; k is out of range.
    """
    query = labelled_features("query", query_features, query_pids, query_camids)
    gallery = labelled_features("gallery", gallery_features, gallery_pids, gallery_camids)
    if not 1 <= k <= len(gallery):
        raise UserError(f"k: found {k}, expected 1 to {len(gallery)}, the size of the gallery")
    nearest = np.empty((len(query), k), np.int32)
    for rows, strip in strips(query, gallery, np.arange(len(query))):
        nearest[rows] = np.asarray(nearest_of_strip(strip, k))[: len(rows)]
    return nearest
