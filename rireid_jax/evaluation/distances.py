"""Distances of queries to a gallery, a strip `[B, G]` of bounded size at a time, on the device."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rireid_jax.errors import UserError

JUNK_PID = -1

# Bounds one strip of distances. XLA holds about two of them at the peak.
STRIP_BYTES = 64 * 2**20

# Gallery and query blocks are padded to multiples of these, so that a strip splits evenly and no
# row or column falls into a remainder loop of the matrix product, which could round differently:
# equal features must have bit-equal distances to be tied.
GALLERY_MULTIPLE = 512
QUERY_MULTIPLE = 32


# Distances [B, G] of the queries in some rows [B] to the whole gallery.
Rows = Callable[[Int[np.ndarray, " B"]], Float[np.ndarray, "B G"]]


@dataclasses.dataclass(frozen=True)
class LabelledFeatures:
    """Features of N images with identities and cameras, checked by `labelled_features`.

    Attributes:
        features: float32.
        pids: identities, -1 for junk.
        camids: cameras.
        rerank: of a gallery, what makes the distances of queries to it, given both, instead of the
            Euclidean distance; None for that. It goes with the gallery, so that a protocol which
            draws some of it need not know.
    """

    features: Float[np.ndarray, "N D"]
    pids: Int[np.ndarray, " N"]
    camids: Int[np.ndarray, " N"]
    rerank: "Reranker | None" = None

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Int[np.ndarray, " M"]) -> "LabelledFeatures":
        return LabelledFeatures(
            self.features[rows], self.pids[rows], self.camids[rows], self.rerank
        )


# Makes distances of its own from a query and a gallery side of the same dimension; those to junk do
# not matter. Lower is nearer, and none is negative.
Reranker = Callable[[LabelledFeatures, LabelledFeatures], Rows]


class Strip(NamedTuple):
    """What the distances of one block of queries to the padded gallery are computed from."""

    queries: Float[Array, "B D"]
    query_groups: Int[Array, " B"]
    gallery: Float[Array, "G D"]
    gallery_norms: Float[Array, " G"]  # squared; infinite for padding and junk, which removes them
    gallery_groups: Int[Array, " G"]


class KnownStrip(NamedTuple):
    """Distances of one block of queries to the padded gallery that something else has made."""

    distances: Float[Array, "B G"]  # infinite for padding and junk
    query_groups: Int[Array, " B"]
    gallery_groups: Int[Array, " G"]


def labelled_features(
    name: str, features: npt.ArrayLike, pids: npt.ArrayLike, camids: npt.ArrayLike
) -> LabelledFeatures:
    """Checks the arrays of one side of a search.

    Args:
        name: "query" or "gallery", for the errors.
        features: `[N, D]`, converted to float32.
        pids: `[N]` integers.
        camids: `[N]` integers.

    Raises:
        UserError: an array has the wrong shape or type, is empty, or the features are not finite.
    """
    try:
        if np.iscomplexobj(features):
            raise TypeError("found complex ones")  # NumPy would drop a part
        with np.errstate(over="ignore"):  # what float32 cannot hold is reported below
            features = np.asarray(features, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}_features: expected an array of numbers [N, D], {error}") from error
    if features.ndim != 2 or 0 in features.shape:
        raise UserError(
            f"{name}_features: found shape {list(features.shape)}, expected [N, D], N and D > 0"
        )
    num_bad = len(features) - np.count_nonzero(np.isfinite(features).all(axis=1))
    if num_bad:
        raise UserError(
            f"{name}_features: {num_bad} of {len(features)} rows hold NaN or infinity, "
            "expected numbers that float32 can hold"
        )
    labels = []
    for field, values in (("pids", pids), ("camids", camids)):
        try:
            array = np.asarray(values)
        except (TypeError, ValueError) as error:  # rows of different lengths, or on another device
            raise UserError(
                f"{name}_{field}: expected an array of integers [N], {error}"
            ) from error
        if array.shape != (len(features),) or not np.issubdtype(array.dtype, np.integer):
            raise UserError(
                f"{name}_{field}: found {array.dtype} of shape {list(array.shape)}, "
                f"expected integers of shape [{len(features)}], one for each row of {name}_features"
            )
        labels.append(array.astype(np.int64))
    pids, camids = labels
    return LabelledFeatures(features, pids, camids)


def identity_camera_groups(
    query: LabelledFeatures, gallery: LabelledFeatures
) -> tuple[Int[np.ndarray, " Q"], Int[np.ndarray, " G"]]:
    """Numbers the pairs of identity and camera: int32, equal where both are equal."""
    pid = np.unique(np.concatenate([query.pids, gallery.pids]), return_inverse=True)[1]
    camid = np.unique(np.concatenate([query.camids, gallery.camids]), return_inverse=True)[1]
    pair = pid * (camid.max() + 1) + camid
    group = np.unique(pair, return_inverse=True)[1].astype(np.int32)
    return group[: len(query)], group[len(query) :]


class Search:
    """Query and gallery on the device, in numbers whose distances float32 can tell apart."""

    def __init__(self, query: LabelledFeatures, gallery: LabelledFeatures):
        """Looks for the numbers.

        Raises:
            UserError: query and gallery features differ in dimension.
        """
        _check_dimensions(query, gallery)
        self._query, self._gallery = query, gallery
        self._centre, self._scale = _centre_and_scale(gallery.features)
        self._query_groups, self._gallery_groups = identity_camera_groups(query, gallery)

    @property
    def num_gallery(self) -> int:
        """Images of the gallery."""
        return len(self._gallery)

    @property
    def scale(self) -> float:
        """Distances of the features are those of a `Strip` times this."""
        return float(self._scale)

    def queries(self, rows: Int[np.ndarray, " B"]) -> tuple[Float[Array, "B D"], Int[Array, " B"]]:
        """Features and groups of some queries, the first part of a `Strip`."""
        features = self._query.features[rows] / self._scale - self._centre
        return jnp.asarray(features), jnp.asarray(self._query_groups[rows])

    def images(
        self, columns: Int[np.ndarray, " N"], size: int
    ) -> tuple[Float[Array, "G D"], Float[Array, " G"], Int[Array, " G"]]:
        """Features, norms and groups of some gallery images, padded to `size`: the rest of a `Strip`.

        Args:
            columns: gallery indices.
            size: a multiple of `GALLERY_MULTIPLE`, at least N.
        """
        # Placed chunk by chunk into one buffer, so that the gallery is copied once and not twice.
        dim = self._gallery.features.shape[1]
        buffer = jnp.zeros((size, dim), jnp.float32)
        for start in range(0, len(columns), GALLERY_MULTIPLE):
            rows = self._gallery.features[columns[start : start + GALLERY_MULTIPLE]]
            chunk = np.zeros((GALLERY_MULTIPLE, dim), np.float32)
            chunk[: len(rows)] = rows / self._scale - self._centre
            buffer = _place(buffer, chunk, np.int32(start))
        padding = (0, size - len(columns))
        ranked = np.pad(self._gallery.pids[columns] != JUNK_PID, padding)
        groups = np.pad(self._gallery_groups[columns], padding, constant_values=-1)
        return buffer, _squared_norms(buffer, ranked), jnp.asarray(groups)

    def strip(self, queries: tuple[Any, ...], images: tuple[Any, ...]) -> Strip:
        """What the distances of `queries` to `images` are computed from."""
        return Strip(*queries, *images)


class RerankedSearch:
    """As `Search`, for a gallery with distances of its own: they are made when queries are asked for."""

    def __init__(self, query: LabelledFeatures, gallery: LabelledFeatures):
        """Prepares the re-ranking.

        Raises:
            UserError: query and gallery features differ in dimension.
        """
        _check_dimensions(query, gallery)
        assert gallery.rerank is not None
        self._rows = gallery.rerank(query, gallery)
        self._ranked = gallery.pids != JUNK_PID
        self._query_groups, self._gallery_groups = identity_camera_groups(query, gallery)

    @property
    def num_gallery(self) -> int:
        """Images of the gallery."""
        return len(self._ranked)

    def queries(self, rows: Int[np.ndarray, " B"]) -> tuple[Float[np.ndarray, "B G"], Any]:
        """Distances of some queries to the whole gallery, and their groups."""
        different, place = np.unique(
            rows, return_inverse=True
        )  # a block is filled with repetitions
        found = np.where(self._ranked, self._rows(different), np.inf).astype(np.float32)
        return found[place], jnp.asarray(self._query_groups[rows])

    def images(
        self, columns: Int[np.ndarray, " N"], size: int
    ) -> tuple[Int[np.ndarray, " N"], Int[Array, " G"]]:
        """Some gallery images, and their groups padded to `size`."""
        padding = (0, size - len(columns))
        return columns, jnp.asarray(
            np.pad(self._gallery_groups[columns], padding, constant_values=-1)
        )

    def strip(self, queries: tuple[Any, ...], images: tuple[Any, ...]) -> KnownStrip:
        """The distances of `queries` to `images`."""
        (found, query_groups), (columns, gallery_groups) = queries, images
        padding = ((0, 0), (0, len(gallery_groups) - len(columns)))
        known = np.pad(found[:, columns], padding, constant_values=np.inf)
        return KnownStrip(jnp.asarray(known), query_groups, gallery_groups)


def search_for(query: LabelledFeatures, gallery: LabelledFeatures) -> Search | RerankedSearch:
    """The search of some queries in a gallery, re-ranked where the gallery says so.

    Raises:
        UserError: query and gallery features differ in dimension.
    """
    return (RerankedSearch if gallery.rerank else Search)(query, gallery)


def strips(
    query: LabelledFeatures, gallery: LabelledFeatures, order: Int[np.ndarray, " M"]
) -> Iterator[tuple[Int[np.ndarray, " B"], Strip | KnownStrip]]:
    """Cuts a search into blocks of queries that do not depend on each other, by the whole gallery.

    Take each block's result to the host before asking for the next: JAX dispatches ahead, and the
    strips of all blocks in flight would exist at once.

    Args:
        query: the queries.
        gallery: the gallery.
        order: the queries to search for, in the order to take them.

    Yields:
        The numbers `[b]` of the block's queries, and its strip, whose shapes are the same for all
        blocks: a last block of b < B queries is filled up with repetitions.

    Raises:
        UserError: query and gallery features differ in dimension.
    """
    search = search_for(query, gallery)
    if len(order) == 0:
        return
    num_padded = round_up(len(gallery), GALLERY_MULTIPLE)
    images = search.images(np.arange(len(gallery)), num_padded)

    # As few blocks as the bound allows, all of about the same size, so that little is filled up.
    fitting = max(STRIP_BYTES // (4 * num_padded) // QUERY_MULTIPLE, 1) * QUERY_MULTIPLE
    num_blocks = -(-len(order) // fitting)
    block = round_up(-(-len(order) // num_blocks), QUERY_MULTIPLE)
    for start in range(0, len(order), block):
        rows = order[start : start + block]
        yield rows, search.strip(search.queries(np.resize(rows, block)), images)


@jax.jit
def distances(strip: Strip | KnownStrip) -> Float[Array, "B G"]:
    """Squared Euclidean distances less |q|^2, which do not change the ranking: |g|^2 - 2 q.g.

    |q|^2 is the same for all of a query's gallery; without it there is nothing to clip at 0.
    Infinite for what is removed: padding, junk, and images of the query's identity and camera.
    """
    if isinstance(strip, KnownStrip):
        removed = strip.query_groups[:, None] == strip.gallery_groups
        return jnp.where(removed, jnp.inf, strip.distances)
    product = jnp.dot(strip.queries, strip.gallery.T, precision=lax.Precision.HIGHEST)
    removed = strip.query_groups[:, None] == strip.gallery_groups
    return jnp.where(removed, jnp.inf, strip.gallery_norms - 2 * product)


def _check_dimensions(query: LabelledFeatures, gallery: LabelledFeatures) -> None:
    dim = gallery.features.shape[1]
    if query.features.shape[1] != dim:
        raise UserError(
            f"query_features: found dimension {query.features.shape[1]}, "
            f"expected {dim}, that of gallery_features"
        )


@functools.partial(jax.jit, donate_argnums=0)
def _place(
    buffer: Float[Array, "G D"], rows: Float[Array, "C D"], start: Int[Array, ""]
) -> Float[Array, "G D"]:
    return lax.dynamic_update_slice_in_dim(buffer, rows, start, axis=0)


@jax.jit
def _squared_norms(features: Float[Array, "G D"], ranked: Bool[Array, " G"]) -> Float[Array, " G"]:
    return jnp.where(ranked, jnp.sum(jnp.square(features), axis=1), jnp.inf)


def _centre_and_scale(
    features: Float[np.ndarray, "N D"],
) -> tuple[Float[np.ndarray, " D"], np.float32]:
    """The centre to subtract after dividing by the scale, so that float32 is spent on differences.

    Features far from the origin lose their distances to cancellation, so they are centred; very
    large or small ones overflow or vanish in squares, so they are scaled. The scale is the power of
    two nearest to the features' deviation, and the centre is rounded to whole multiples of it: both
    steps are exact for quantised features, whose ties would otherwise become differences of
    rounding.
    """
    if len(features) == 0:  # a gallery of nothing but junk, of which nothing was drawn
        return np.zeros(features.shape[1], np.float32), np.float32(1)
    mean = features.mean(axis=0, dtype=np.float64)
    squares = 0.0
    for start in range(0, len(features), 4096):  # in chunks: float64 copies are large
        squares += np.sum(np.square(features[start : start + 4096] - mean))
    deviation = np.sqrt(squares / features.size)
    if deviation == 0:  # one image, or all alike
        return features[0], np.float32(1)
    scale = np.exp2(np.round(np.log2(deviation)).clip(-126, 126))
    return np.round(mean / scale).astype(np.float32), np.float32(scale)


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
