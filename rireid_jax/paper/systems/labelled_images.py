"""The images that the classical systems learn from and rank, and features for their distances."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from rireid_jax.data.degradation import downsample
from rireid_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """N images of one size, with their labels.

    Attributes:
        images: at the size of an image of resolution 1; smaller ones are enlarged to it.
        pids: identities.
        camids: cameras.
        resolutions: r = native width / greatest width of the data set, in (0, 1].

    Raises:
        UserError: there are no images, the arrays differ in length, or a resolution is outside (0, 1].
    """

    images: UInt8[np.ndarray, "N H W 3"]
    pids: Int[np.ndarray, " _"]
    camids: Int[np.ndarray, " _"]
    resolutions: Float[np.ndarray, " _"]

    def __post_init__(self) -> None:
        for field in ("pids", "camids", "resolutions"):
            if len(getattr(self, field)) != len(self):
                found = f"{len(getattr(self, field))} values"
                raise UserError(f"{field}: found {found}, expected {len(self)}, one an image")
        if not len(self):
            raise UserError("images: found none, expected at least one")
        low, high = self.resolutions.min(), self.resolutions.max()
        if not 0 < low <= high <= 1:
            raise UserError(f"resolutions: found {low} to {high}, expected numbers in (0, 1]")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: np.ndarray) -> "LabelledImages":
        """The images that an array of indices or of booleans selects."""
        return LabelledImages(
            self.images[rows], self.pids[rows], self.camids[rows], self.resolutions[rows]
        )


def low_threshold(resolutions: Float[np.ndarray, " N"]) -> float:
    """The resolution up to which an image counts as low: halfway between the least and the greatest.

    Raises:
        UserError: all resolutions are equal.
    """
    low, high = float(resolutions.min()), float(resolutions.max())
    if low == high:
        raise UserError(f"resolutions: found {low} throughout, expected low and high ones")
    return (low + high) / 2


def shrink(images: UInt8[np.ndarray, "N H W 3"], resolution: float) -> UInt8[np.ndarray, "N h w 3"]:
    """Down-samples images, bicubic, to the width of a resolution: round(W * resolution) pixels."""
    width = max(1, round(images.shape[2] * resolution))
    return np.stack(
        [np.asarray(downsample(Image.fromarray(image), width, "bicubic")) for image in images]
    )


def at_resolution(
    images: UInt8[np.ndarray, "N H W 3"], resolutions: Float[np.ndarray, " N"], target: float
) -> UInt8[np.ndarray, "N H W 3"]:
    """Shows images at a resolution, by bicubic down-sampling and bilinear enlarging.

    An image whose own resolution is at most `target` stays as it is.
    """
    above = resolutions > target
    shown = images.copy()
    if above.any():
        size = images.shape[2], images.shape[1]
        for row, small in zip(np.flatnonzero(above), shrink(images[above], target), strict=True):
            shown[row] = Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)
    return shown


def features_with_distances(
    distances: Float[np.ndarray, "Q G"],
) -> tuple[Float[np.ndarray, "Q D"], Float[np.ndarray, "G D"]]:
    """Makes features whose Euclidean distances order the gallery as a matrix of distances does.

    `rireid_jax.evaluation` ranks features, and a learned score need not be a distance of features.
    But there are always features with its order. Let v be a query's row, shifted and scaled to
    [-1/2, 1/2], which keeps the row's order; let query q be the unit vector e_q; and let gallery
    image g have -v[q, g] / 2 as coordinate q, and a last coordinate that gives all gallery images
    the norm c. Then |q - g|^2 = 1 + c^2 + v[q, g].

    c^2 is at most Q / 16, and float32 resolves about 1e-7 of it: enough for the hundreds of
    queries of the benchmarks for which Table 3 reports these systems.

    Returns:
        Features of the queries and of the gallery, D = Q + 1.
    """
    low, high = distances.min(axis=1, keepdims=True), distances.max(axis=1, keepdims=True)
    span = np.where(high > low, high - low, 1)
    coordinates = -((distances - low) / span - 0.5).T / 2
    squares = np.sum(coordinates**2, axis=1, keepdims=True)
    rest = np.sqrt(squares.max() - squares)
    query = np.eye(len(distances), len(distances) + 1)
    return query, np.hstack([coordinates, rest])
