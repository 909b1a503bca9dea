"""Eq. 2: the distances between images of one person, relative to those of different persons."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rireid_jax.errors import UserError

# Anything below this share of all squared distances is rounding: D_dif is a difference of two sums
# that are exact to about 1e-15.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Objective:
    """The two sides of Eq. 2 for N images at resolutions r1 and r2.

    As printed, both are sums of squared Euclidean distances over ordered pairs (i, i'). The pair of an
    image with itself belongs to D_sim: it adds nothing if r1 = r2, and otherwise what the resolution
    alone does to the image's feature. O is the smaller, the more identities there are, so it is only
    comparable between systems on the same images; `ratio_of_means` is O times a constant of the data set.

    Attributes:
      d_sim: sum over the pairs of one identity.
      d_dif: sum over the pairs of different identities.
      num_sim: number of pairs of one identity.
      num_dif: number of pairs of different identities.
    """

    d_sim: float
    d_dif: float
    num_sim: int
    num_dif: int

    @property
    def value(self) -> float:
        """O(r1, r2) = D_sim / D_dif; less is better."""
        return self.d_sim / self.d_dif

    @property
    def ratio_of_means(self) -> float:
        """The mean over D_sim's pairs divided by that over D_dif's; 1 if features do not tell identities apart."""
        return self.value * self.num_dif / self.num_sim


def objective(
    features_1: Float[np.ndarray, "N D"],
    features_2: Float[np.ndarray, "N D"],
    pids: Int[np.ndarray, " N"],
) -> Objective:
    """O(r1, r2) of Eq. 2, section 3 of the paper.

    The sums are computed without a loop over pairs. With b' the mean of b,

        sum_ij |a_i - b_j|^2 = n sum_i |a_i - b'|^2 + n sum_j |b_j - b'|^2

    for n features each. Applied to the images of each identity it gives D_sim, and applied to all images
    it gives D_sim + D_dif: O(N D) instead of O(N^2 D), in float64, without cancellation in D_sim.

    Args:
      features_1: of the images at resolution r1.
      features_2: of the same images in the same order at resolution r2.
      pids: identities of the images.

    Raises:
      UserError: features hold NaN or infinity; there are fewer than two identities, or none with
        two images; the features of different people are all the same.
    """
    counts = _check(features_1, features_2, pids)
    centre = features_2.mean(axis=0, dtype=np.float64)
    d_sim = d_all = 0.0
    for rows in np.split(np.argsort(pids, kind="stable"), np.cumsum(counts)[:-1]):
        own = np.stack([features_1[rows], features_2[rows]]).astype(np.float64)
        d_sim += len(rows) * np.square(own - own[1].mean(axis=0)).sum()
        d_all += len(pids) * np.square(own - centre).sum()
    d_dif = d_all - d_sim
    if d_dif <= _ROUNDING * d_all:
        raise UserError(
            "features: found those of different identities all the same, expected them to differ"
        )
    num_sim = int(np.square(counts).sum())
    return Objective(float(d_sim), float(d_dif), num_sim, len(pids) ** 2 - num_sim)


def _check(
    features_1: Float[np.ndarray, "N D"],
    features_2: Float[np.ndarray, "N D"],
    pids: Int[np.ndarray, " N"],
) -> Int[np.ndarray, " I"]:
    """The number of images of each identity, ascending by identity. Raises UserError as `objective`."""
    for name, features in (("features_1", features_1), ("features_2", features_2)):
        if not np.isfinite(features).all():
            raise UserError(f"{name}: found NaN or infinity, expected numbers")
    counts = np.unique(pids, return_counts=True)[1]
    if len(counts) < 2:
        raise UserError(
            f"pids: found {len(counts)} identities in {len(pids)} images, expected at least 2"
        )
    if counts.max() == 1:
        raise UserError(
            f"pids: found one image of each of {len(counts)} identities, expected two of some"
        )
    return counts
