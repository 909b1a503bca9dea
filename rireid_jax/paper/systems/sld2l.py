"""SLD2L: semi-coupled low-rank discriminant dictionary learning.

Jing, Zhu, Wu, You, Liu, Yue, Hu and Xu, "Super-resolution person re-identification with
semi-coupled low-rank discriminant dictionary learning", CVPR 2015; a reconstruction, see `PARTIAL`.
A pair of dictionaries and a mapping between their codes is learned for each cluster of patches, from
high images (HR) and their degraded versions (semi-coupled, Wang et al., CVPR 2012). Each
sub-dictionary is low-rank and represents other clusters poorly (in the form of Ma et al., CVPR
2012). Low images (LR), converted to HR features with them, shall be near the HR images of their
person and far from those of others. At test time the patches of a low image are converted and
compared with those of high images. `sld2l_dictionaries.py` holds the objective; the discriminant
term for one LR patch z with code c, converted to h = D V c, is

(3)  mean_(x in S) |h - x|^2 - beta mean_(x in F) |h - x|^2 = (1 - beta) |h - t|^2 + constant,
     t = (mean_S x - beta mean_F x) / (1 - beta),

where S holds the HR patches at the same place of the same person before another camera, and F those
of other persons.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

from rireid_jax.errors import UserError
from rireid_jax.paper.systems.elf import elf
from rireid_jax.paper.systems.labelled_images import LabelledImages, at_resolution, low_threshold
from rireid_jax.paper.systems.sld2l_dictionaries import (
    DEFAULT_LOSS_WEIGHTS,
    Cluster,
    LossWeights,
    objective,
    sparse_descent,
    update_codes,
    update_dictionaries,
    update_mappings,
)
from rireid_jax.paper.systems.subspaces import principal_components

PARTIAL = (
    "SLD2L: only the abstract and a reader's list of its terms were at hand. From them: HR "
    "images and their down-sampled and smoothed versions, clusters of patches with a pair of "
    "dictionaries and a mapping each, the terms for fidelity, mapping, poor representation of "
    "other clusters, low rank and discrimination, conversion of LR features, nearest neighbour. "
    "Ours: the exact form and the weights of every term (the mapping as in semi-coupled "
    "dictionaries, fidelity and low rank as in low-rank ones), the order and number of the "
    "updates, codes by proximal gradient, the patches (a 6 x 3 grid described by ELF, reduced "
    "by PCA) and their clusters (k-means on LR patches), how the training images are degraded, "
    "that HR images keep their own features, and all sizes."
)

CODE_STEPS = 200  # for unseen images, whose codes start from 0


class Sld2l:
    """Converts the patches of low images to features of high ones.

    Args:
        clusters: number of clusters of patches.
        atoms: of each sub-dictionary.
        patch_dim: dimension to which the features of a patch are reduced.
        iterations: rounds over the blocks of the objective.
        weights: loss weights of the objective.
        grid: rows and columns of patches.
        seed: of the clusters' and the dictionaries' first values.
    """

    def __init__(
        self,
        clusters: int = 8,
        atoms: int = 32,
        patch_dim: int = 64,
        iterations: int = 10,
        weights: LossWeights = DEFAULT_LOSS_WEIGHTS,
        grid: tuple[int, int] = (6, 3),
        seed: int = 0,
    ):
        self._num_clusters, self._atoms, self._patch_dim = clusters, atoms, patch_dim
        self._iterations, self._weights, self._grid, self._seed = iterations, weights, grid, seed

    def fit(self, train: LabelledImages) -> "Sld2l":
        """Learns the dictionaries and mappings.

        `losses` holds the objective at the start and after each round; it never rises.

        Raises:
            UserError: all resolutions are equal, or no low image has a high one of its person before
                another camera, or there is only one person.
        """
        self._threshold = low_threshold(train.resolutions)
        is_low = train.resolutions <= self._threshold
        high, low = train[~is_low], train[is_low]
        degraded = at_resolution(high.images, high.resolutions, float(low.resolutions.mean()))
        described = [elf(images, self._grid) for images in (high.images, degraded, low.images)]
        everything = np.concatenate(described).reshape(-1, described[0].shape[-1])
        self._mean, basis = principal_components(everything, self._patch_dim)
        # Patches get a mean square norm of 1, so that the loss weights mean the same on any data.
        self._basis = basis / np.sqrt(np.mean(np.sum(((everything - self._mean) @ basis) ** 2, 1)))
        x, y, z = (self._reduce(patches) for patches in described)
        mates, targets = discriminant_targets(x, high, low, self._weights.repulsion)
        self.clusters, self.centres = self._start(x, y, z[mates], targets)
        self.losses = [objective(self.clusters, self._weights)]
        for _ in range(self._iterations):
            update_codes(self.clusters, self._weights)
            update_dictionaries(self.clusters, self._weights)
            update_mappings(self.clusters, self._weights)
            self.losses.append(objective(self.clusters, self._weights))
        return self

    def features(self, images: LabelledImages) -> Float[np.ndarray, "N D"]:
        """HR features: a high image keeps its own, a low image's are converted."""
        patches = self._reduce(elf(images.images, self._grid))
        is_low = images.resolutions <= self._threshold
        if is_low.any():
            patches[is_low] = self._convert(patches[is_low])
        return patches.reshape(len(images), -1)

    def distances(self, query: LabelledImages, gallery: LabelledImages) -> Float[np.ndarray, "Q G"]:
        """Euclidean distances of the HR features."""
        return cdist(self.features(query), self.features(gallery))

    def _reduce(self, patches: Float[np.ndarray, "N P D"]) -> Float[np.ndarray, "N P d"]:
        return (patches - self._mean) @ self._basis

    def _convert(self, patches: Float[np.ndarray, "N P d"]) -> Float[np.ndarray, "N P d"]:
        flat = patches.reshape(-1, patches.shape[-1])
        nearest = cdist(flat, self.centres).argmin(1)
        converted = np.empty_like(flat)
        for i, cluster in enumerate(self.clusters):
            z, start = flat[nearest == i].T, np.zeros((self._atoms, np.sum(nearest == i)))
            gram, right = cluster.low.T @ cluster.low, cluster.low.T @ z
            codes = sparse_descent(gram, right, start, self._weights.sparsity, CODE_STEPS)
            converted[nearest == i] = cluster.convert(codes).T
        return converted.reshape(patches.shape)

    def _start(
        self,
        x: Float[np.ndarray, "N P d"],
        y: Float[np.ndarray, "N P d"],
        z: Float[np.ndarray, "M P d"],
        targets: Float[np.ndarray, "M P d"],
    ) -> tuple[list[Cluster], Float[np.ndarray, "c d"]]:
        """Clusters whose atoms are patches (twins in both dictionaries), with codes 0 and mappings 1."""
        rng = np.random.default_rng(self._seed)
        x, y, z, targets = (a.reshape(-1, a.shape[-1]) for a in (x, y, z, targets))
        nearest, centres = k_means(y, self._num_clusters, rng)
        nearest_z = cdist(z, centres).argmin(1)
        clusters = []
        for i in range(len(centres)):
            own, of_z = np.flatnonzero(nearest == i), nearest_z == i
            atoms = rng.choice(own, self._atoms, replace=len(own) < self._atoms)
            high, low = (
                a[atoms].T / np.maximum(np.linalg.norm(a[atoms], axis=1), 1) for a in (x, y)
            )
            codes = np.zeros((len(centres) * self._atoms, len(own)))
            probe = np.zeros((self._atoms, of_z.sum()))
            data = (x[own].T, y[own].T, z[of_z].T, targets[of_z].T)
            clusters.append(Cluster(*data, high, low, np.eye(self._atoms), codes, codes, probe))
        return clusters, centres


def discriminant_targets(
    x: Float[np.ndarray, "N P d"], high: LabelledImages, low: LabelledImages, repulsion: float
) -> tuple[Int[np.ndarray, " M"], Float[np.ndarray, "M P d"]]:
    """Equation 3: the low images that have a mate among the high ones, and t of each of their patches.

    Raises:
        UserError: no low image has a mate, or there is only one person.
    """
    same = low.pids[:, None] == high.pids
    mate = same & (low.camids[:, None] != high.camids)
    rows = np.flatnonzero(mate.any(1) & ~same.all(1))
    if not len(rows):
        raise UserError(
            "images: found no low image with a high one of its person before another camera and "
            "one of another person, expected such to learn from"
        )
    mate_share = mate[rows] / mate[rows].sum(1, keepdims=True)
    other_share = ~same[rows] / (~same[rows]).sum(1, keepdims=True)
    return rows, np.tensordot((mate_share - repulsion * other_share) / (1 - repulsion), x, 1)


def k_means(
    points: Float[np.ndarray, "N d"], clusters: int, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, "c d"]]:
    """Lloyd's algorithm from random points; a cluster that loses all its points is dropped."""
    centres = points[rng.choice(len(points), min(clusters, len(points)), replace=False)]
    for _ in range(30):
        nearest = np.unique(cdist(points, centres).argmin(1), return_inverse=True)[1]
        member = np.eye(nearest.max() + 1)[nearest]
        centres = member.T @ points / member.sum(0)[:, None]
    nearest = cdist(points, centres).argmin(1)
    used, nearest = np.unique(nearest, return_inverse=True)
    return nearest, centres[used]
