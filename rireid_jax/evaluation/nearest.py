"""The nearest images of a gallery and their distances, without labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from rireid_jax.errors import UserError
from rireid_jax.evaluation.distances import labelled_features, strips
from rireid_jax.evaluation.ranking import nearest_of_strip

# The strips' distances are rounded, so a few more candidates are taken than asked for, and put in order exactly.
_SPARE = 16
_CHUNK_NUMBERS = 2**22  # float64 numbers of candidates at once: 32 MiB


@dataclass(frozen=True)
class Nearest:
    """The k nearest gallery images of Q queries, nearest first; of equal distances, the lower index first.

    Attributes:
      indices: in the gallery.
      distances: Euclidean.
    """

    indices: Int[np.ndarray, "Q k"]
    distances: Float[np.ndarray, "Q k"]


def nearest(query_features: npt.ArrayLike, gallery_features: npt.ArrayLike, k: int) -> Nearest:
    """Searches the gallery for every query, in strips of bounded size.

    Args:
      query_features: `[Q, D]`.
      gallery_features: `[G, D]`.
      k: how many; at most G are found.

    Raises:
      UserError: the features are no such arrays or not finite, or differ in dimension.
    """
    queries, gallery = (np.shape(array)[:1] for array in (query_features, gallery_features))
    # Labels by which nothing is junk, and no image is of its query's identity and camera.
    query = labelled_features(
        "query", query_features, np.zeros(queries, int), np.zeros(queries, int)
    )
    images = labelled_features(
        "gallery", gallery_features, np.zeros(gallery, int), np.ones(gallery, int)
    )
    k = min(k, len(images))
    candidates = min(k + _SPARE, len(images))
    indices = np.empty((len(query), k), np.int64)
    distances = np.empty((len(query), k), np.float64)
    step = max(_CHUNK_NUMBERS // (candidates * images.features.shape[1]), 1)
    for rows, strip in strips(query, images, np.arange(len(query))):
        found = np.asarray(nearest_of_strip(strip, candidates))[: len(rows)]
        if (found < 0).any():
            raise UserError(
                "query_features: found numbers too far from those of gallery_features for float32, expected "
                "features of the same model"
            )
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            indices[rows[part]], distances[rows[part]] = _in_order(
                query.features[rows[part]], images.features, found[part], k
            )
    return Nearest(indices, distances)


def _in_order(
    query: Float[np.ndarray, "b D"],
    gallery: Float[np.ndarray, "G D"],
    candidates: Int[np.ndarray, "b c"],
    k: int,
) -> tuple[Int[np.ndarray, "b k"], Float[np.ndarray, "b k"]]:
    candidates = np.sort(candidates, axis=1)  # so that a stable sort puts the lower index first
    difference = gallery[candidates].astype(np.float64) - query[:, None]
    distances = np.sqrt(np.square(difference).sum(axis=2))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(candidates, order, 1), np.take_along_axis(distances, order, 1)
