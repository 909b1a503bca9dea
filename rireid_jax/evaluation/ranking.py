"""Rank a gallery for every query without sorting it.

Every metric of re-identification depends on the positions of a query's correct matches alone. A
match p stands behind the gallery images that precede it, of those that remain for the query,

    position(p) = #{j : d[j] < d[p], or d[j] == d[p] and j < p},

so it is counted, strip by strip of `distances`. The position is 0-based, and equal to p's place in
a *stable* argsort of the same distances: ties are broken by gallery index.

Two conventions of the field decide which images remain: those of the query's own identity *and*
camera are removed for that query, and junk images (identity -1) are removed for all. Identity 0,
Market-1501's label of distractors, needs no rule: no query bears it, so its images are wrong.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rireid_jax.errors import UserError
from rireid_jax.evaluation.distances import (
    JUNK_PID,
    QUERY_MULTIPLE,
    LabelledFeatures,
    Strip,
    distances,
    identity_camera_groups,
    labelled_features,
    round_up,
    strips,
)

# How `match_positions` counts. XLA's CPU backend writes the operand of a long reduction to memory
# before it reduces; adding column slices first keeps the comparisons in registers. On two cores
# (1,000 queries, 20,000 images, 24 matches each) sorting the strip took 3.3 s, searchsorted and a
# histogram 0.36 s, one plain reduction per match 0.12 s, and this 0.06 s, beside 0.05 s for the
# distances themselves.
_COLUMN_SLICES = 16
_MATCHES_AT_ONCE = 4


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


@jax.jit
def match_positions(
    strip: Strip, matches: Int[Array, "B P"], counts: Int[Array, " B"]
) -> Int[Array, "B P"]:
    """Positions of the first `counts` matches of each query of the block; the rest is arbitrary.

    Args:
        strip: the block.
        matches: gallery indices; P is a multiple of `_MATCHES_AT_ONCE`.
        counts: number of matches of each query.
    """

    def of_rows(rows):
        distance, matches, counts = rows
        match_distance = jnp.take_along_axis(distance, matches, axis=1)

        def count_chunk(i, positions):
            start = i * _MATCHES_AT_ONCE
            at = lax.dynamic_slice_in_dim(matches, start, _MATCHES_AT_ONCE, axis=1)
            bound = lax.dynamic_slice_in_dim(match_distance, start, _MATCHES_AT_ONCE, axis=1)
            count = _count_preceding(distance, bound, at)
            return lax.dynamic_update_slice_in_dim(positions, count, start, axis=1)

        num_chunks = -(-jnp.max(counts) // _MATCHES_AT_ONCE)
        return lax.fori_loop(0, num_chunks, count_chunk, jnp.zeros_like(matches))

    # A few rows at a time: they stay in the cache while their matches are counted, and where
    # queries come in order of their number of matches, rows with few of them take few rounds.
    by_rows = jax.tree.map(
        lambda x: x.reshape(-1, QUERY_MULTIPLE, *x.shape[1:]), (distances(strip), matches, counts)
    )
    return lax.map(of_rows, by_rows).reshape(matches.shape)


def _count_preceding(
    distance: Float[Array, "B G"], bound: Float[Array, "B C"], at: Int[Array, "B C"]
) -> Int[Array, "B C"]:
    """Number of gallery images before each of C matches of distances `bound` and indices `at`."""
    index = jnp.arange(distance.shape[1], dtype=jnp.int32)
    bound, at = bound[..., None], at[..., None]
    preceding = jnp.zeros((), jnp.int32)
    for d, j in zip(
        jnp.split(distance[:, None], _COLUMN_SLICES, axis=-1),
        jnp.split(index, _COLUMN_SLICES),
        strict=True,
    ):
        preceding += (d < bound) | ((d == bound) & (j < at))
    return jnp.sum(preceding, axis=-1)


def rank_matches(query: LabelledFeatures, gallery: LabelledFeatures) -> Ranking:
    """Ranks the whole gallery for every query and keeps what the metrics need (R = 1).

    Memory: one copy of the gallery features, and about two strips of `STRIP_BYTES`.
    """
    matches = Matches(query, gallery)
    counts = matches.counts
    num_query = len(query)
    first_match = np.full((1, num_query), -1, np.int64)
    average_precision = np.full((1, num_query), np.nan)
    inverse_negative_penalty = np.full((1, num_query), np.nan)

    # Queries with about equally many matches together: rows are counted as long as the longest.
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    width = round_up(int(counts.max()), _MATCHES_AT_ONCE)
    for rows, strip in strips(query, gallery, order):
        filled = np.resize(rows, len(strip.queries))
        indices = matches.indices(filled, width)
        positions = match_positions(strip, indices, counts[filled].astype(np.int32))
        column, count = np.arange(width), counts[rows, None]
        ordered = np.where(column < count, np.asarray(positions)[: len(rows)], len(gallery))
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


@functools.partial(jax.jit, static_argnames="k")
def _nearest(strip: Strip, k: int) -> Int[Array, "B k"]:
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
        nearest[rows] = np.asarray(_nearest(strip, k))[: len(rows)]
    return nearest
