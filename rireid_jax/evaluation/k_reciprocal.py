"""Re-ranking with k-reciprocal encoding (Zhong et al., CVPR 2017), sparse and in blocks.

All N images, queries and gallery, are neighbours of each other; labels take no part, except that junk (identity -1)
is left out. Let d[i, j] be the squared Euclidean distance, divided by the largest one of image i.

1. N(i, k) are the k + 1 nearest images of i, equal ones by their index, and i itself is among them as its distance
   to itself is 0. R(i, k) holds j of N(i, k) with i in N(j, k).
2. R(i, k1) grows by each R(j, k1 / 2), j in R(i, k1), of which more than two thirds are in R(i, k1). k1 / 2 is rounded
   to the even number where it ends in a half.
3. Over that set V[i, j] = exp(-d[i, j]) / the sum of it, and 0 elsewhere.
4. V[i] becomes the mean of V over the k2 nearest images of i, of which i is one. k2 = 1 leaves V as it is.
5. The Jaccard distance is J[i, j] = 1 - m / (2 - m), m = sum over n of min(V[i, n], V[j, n]); rows of V have the sum 1.
6. The distance of query i to image j is (1 - lambda) J[i, j] + lambda d[i, j].

These are the values of the program that the authors published, where it and the text of the paper differ: the text
says nothing of squares and of a division of d, and has "at least two thirds" in step 2. (The program divides each
column of its matrix by its largest value and then transposes, which is the division above. Its sort is not stable, so
that equal distances may come in another order.)

V has a few hundred numbers a row and is sparse; an inverted index of its columns gives the sums of step 5, query by
query, and distances are computed twice, in blocks. So memory grows with N x (D + some hundreds) and not with N^2:
benchmarks/reranking.py measures it.
"""

import functools
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Shaped

from rireid_jax.config.base import K_RECIPROCAL
from rireid_jax.errors import UserError
from rireid_jax.evaluation.distances import (
    GALLERY_MULTIPLE,
    JUNK_PID,
    QUERY_MULTIPLE,
    STRIP_BYTES,
    LabelledFeatures,
    Rows,
    Search,
    round_up,
)

if TYPE_CHECKING:
    import scipy.sparse

_PAIRS_AT_ONCE = 2**16


@dataclass(frozen=True)
class KReciprocal:
    """The re-ranking, as `LabelledFeatures.rerank` wants it.

    Attributes:
        k1: neighbours whose reciprocity is asked for.
        k2: neighbours that an encoding is the mean of, with the image itself.
        lambda_value: share of the original distance in the final one; 1 leaves the order as it is.
    """

    k1: int = K_RECIPROCAL["k1"].default
    k2: int = K_RECIPROCAL["k2"].default
    lambda_value: float = K_RECIPROCAL["lambda_value"].default

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value, declared = getattr(self, name), K_RECIPROCAL[name]
            whole = isinstance(declared.default, int)
            kinds = int | np.integer if whole else int | float | np.integer | np.floating
            good = isinstance(value, kinds) and not isinstance(value, bool)
            if not good or declared.check.problem(value):
                expected = f"{declared.check.expected}{', whole' if whole else ''}"
                raise UserError(f"k_reciprocal.{name}: found {value!r}, expected {expected}")

    def __call__(self, query: LabelledFeatures, gallery: LabelledFeatures) -> Rows:
        """Finds and encodes the neighbours of all images.

        Args:
            query: Q queries.
            gallery: G images, of the same dimension.

        Returns:
            A function from the rows `[B]` of some queries to their distances `[B, G]`, infinite to junk.
        """
        ranked = np.flatnonzero(gallery.pids != JUNK_PID)
        images = _Images(np.concatenate([query.features, gallery.features[ranked]]))
        half = int(np.around(self.k1 / 2))
        neighbours, farthest = images.nearest(max(self.k1 + 1, self.k2))
        members = _members(neighbours[:, : self.k1 + 1], neighbours[:, : half + 1])
        encoded = _encoded(images, members, farthest)
        if self.k2 > 1:
            encoded = _mean_of(neighbours[:, : self.k2]) @ encoded
        num_query = len(query)
        in_gallery = encoded[num_query:].tocsc()

        def rows(asked: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B G"]:
            original = images.squared(asked)[:, num_query:] / farthest[asked, None]
            found = np.full((len(asked), len(gallery)), np.inf, np.float32)
            for place, row in enumerate(asked):
                own = slice(*encoded.indptr[row : row + 2])
                jaccard = _jaccard(encoded.indices[own], encoded.data[own], in_gallery)
                share = self.lambda_value
                found[place, ranked] = (1 - share) * jaccard + share * original[place]
            return found

        return rows


class _Images:
    """Features of N images on the device, in numbers whose distances float32 can tell apart."""

    def __init__(self, features: Float[np.ndarray, "N D"]):
        self._count = len(features)
        nobody = np.zeros(self._count, np.int64)
        everybody = LabelledFeatures(features, nobody, nobody)
        padded = round_up(self._count, GALLERY_MULTIPLE)
        search = Search(everybody, everybody)
        self._features, self._norms, _ = search.images(np.arange(self._count), padded)

    def nearest(self, count: int) -> tuple[Int[np.ndarray, "N K"], Float[np.ndarray, " N"]]:
        """The `count` nearest images of each, nearest first, and its largest squared distance.

        There are no more than N; where all images are alike, the distance is 1, by which 0 is divided.
        """
        count = min(count, self._count)
        nearest = np.empty((self._count, count), np.int32)
        farthest = np.empty(self._count, np.float32)
        fitting = STRIP_BYTES // (4 * len(self._features)) // QUERY_MULTIPLE * QUERY_MULTIPLE
        block = min(max(fitting, QUERY_MULTIPLE), round_up(self._count, QUERY_MULTIPLE))
        for start in range(0, self._count, block):
            rows = np.arange(start, min(start + block, self._count))
            filled = np.resize(rows, block)
            found = _nearest(self._features, self._norms, filled, count)
            nearest[rows], farthest[rows] = (np.asarray(part)[: len(rows)] for part in found)
        return nearest, np.where(farthest > 0, farthest, 1).astype(np.float32)

    def squared(self, rows: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B N"]:
        """Squared distances of some images to all."""
        filled = np.resize(rows, round_up(len(rows), QUERY_MULTIPLE))
        found = _squared(self._features, self._norms, filled)
        return np.asarray(found)[: len(rows), : self._count]

    def squared_pairs(
        self, rows: Int[np.ndarray, " P"], columns: Int[np.ndarray, " P"]
    ) -> Float[np.ndarray, " P"]:
        """Squared distances of P pairs of images."""
        size = min(_PAIRS_AT_ONCE, round_up(max(len(rows), 1), GALLERY_MULTIPLE))
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), size):
            part = slice(start, min(start + size, len(rows)))
            pair = [np.resize(numbers[part], size) for numbers in (rows, columns)]
            found[part] = np.asarray(_pairs(self._features, *pair))[: part.stop - start]
        return found


@functools.partial(jax.jit, static_argnames="count")
def _nearest(
    features: Float[Array, "M D"], norms: Float[Array, " M"], rows: Int[Array, " B"], count: int
) -> tuple[Int[Array, "B count"], Float[Array, " B"]]:
    # Without the row's own norm, as `distances` does it: what rounding adds and clips would make ties.
    near = 2 * jnp.dot(features[rows], features.T, precision=lax.Precision.HIGHEST) - norms
    _, index = lax.top_k(near, count)  # equal values: the lower index first
    least = jnp.min(jnp.where(jnp.isinf(norms), jnp.inf, near), axis=1)
    return index, jnp.maximum(norms[rows] - least, 0)


@jax.jit
def _squared(
    features: Float[Array, "M D"], norms: Float[Array, " M"], rows: Int[Array, " B"]
) -> Float[Array, "B M"]:
    product = jnp.dot(features[rows], features.T, precision=lax.Precision.HIGHEST)
    return jnp.maximum(norms[rows, None] + norms - 2 * product, 0)


@jax.jit
def _pairs(
    features: Float[Array, "M D"], rows: Int[Array, " P"], columns: Int[Array, " P"]
) -> Float[Array, " P"]:
    return jnp.sum(jnp.square(features[rows] - features[columns]), axis=1)


def _members(
    near: Int[np.ndarray, "N _"], nearer: Int[np.ndarray, "N _"]
) -> "scipy.sparse.csr_array":
    """Steps 1 and 2: who is in the grown set of each image, as a sparse `[N, N]` with a value above 0 there.

    Args:
        near: N(i, k1).
        nearer: N(i, k1 / 2).
    """
    reciprocal, half = _reciprocal(near), _reciprocal(nearer)
    # [i, j]: of R(j, k1 / 2) so many are in R(i, k1), for j in R(i, k1).
    shared = reciprocal.multiply(reciprocal @ half.T).tocsr()
    sizes = half.sum(axis=1)
    shared.data = (3 * shared.data > 2 * sizes[shared.indices]).astype(np.int32)
    shared.eliminate_zeros()
    members = (reciprocal + shared @ half).tocsr()
    members.sort_indices()
    return members


def _reciprocal(nearest: Int[np.ndarray, "N K"]) -> "scipy.sparse.csr_array":
    """R: 1 where each of two images is among the other's nearest ones."""
    near = _sparse(nearest, np.ones(nearest.shape, np.int32))
    return near.multiply(near.T).tocsr()


def _mean_of(nearest: Int[np.ndarray, "N K"]) -> "scipy.sparse.csr_array":
    """What takes the mean over the rows of the nearest images."""
    return _sparse(nearest, np.full(nearest.shape, 1 / nearest.shape[1], np.float32))


def _sparse(
    columns: Int[np.ndarray, "N K"], values: Shaped[np.ndarray, "N K"]
) -> "scipy.sparse.csr_array":
    import scipy.sparse  # takes as long to import as the rest of a command that does not re-rank

    count, width = columns.shape
    starts = np.arange(count + 1) * width
    return scipy.sparse.csr_array((values.ravel(), columns.ravel(), starts), shape=(count, count))


def _encoded(
    images: _Images, members: "scipy.sparse.csr_array", farthest: Float[np.ndarray, " N"]
) -> "scipy.sparse.csr_array":
    """Step 3: V, with rows of the sum 1."""
    rows = np.repeat(np.arange(members.shape[0]), np.diff(members.indptr))
    distance = images.squared_pairs(rows, members.indices) / farthest[rows]
    weights = np.exp(-distance)
    sums = np.bincount(rows, weights, members.shape[0])
    encoded = members.astype(np.float32)
    encoded.data = (weights / sums[rows]).astype(np.float32)
    return encoded


def _jaccard(
    columns: Int[np.ndarray, " E"],
    values: Float[np.ndarray, " E"],
    gallery: "scipy.sparse.csc_array",
) -> Float[np.ndarray, " G"]:
    """Step 5 for one query.

    Args:
        columns: where V of the query is not 0.
        values: V there.
        gallery: V of the gallery, `[G, N]`, by columns: an inverted index of who has which neighbour.
    """
    starts = gallery.indptr[columns]
    counts = gallery.indptr[columns + 1] - starts
    # The places of all entries in these columns, one column after another.
    first = np.repeat(starts - np.cumsum(counts) + counts, counts)
    places = first + np.arange(len(first))
    least = np.minimum(np.repeat(values, counts), gallery.data[places])
    shared = np.bincount(gallery.indices[places], least, gallery.shape[0])
    return 1 - shared / (2 - shared)
