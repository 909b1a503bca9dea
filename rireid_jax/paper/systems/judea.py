"""JUDEA: joint multi-scale discriminant component analysis.

Li, Zheng, Wang, Xiang and Gong, "Multi-scale learning for low-resolution person re-identification",
ICCV 2015; a reconstruction, see `PARTIAL`. Every image is described at two scales, normal and
small. One problem learns a subspace at each scale, discriminant by itself and aligned with the other
by the heterogeneous class mean discrepancy (HCMD). The equations and their numbers are ours:

(1)  S_w^s = 1/N sum_i (x_i^s - u_c(i)^s)(x_i^s - u_c(i)^s)^T,  scales s = n(ormal), m (small)
(2)  S_b^s = 1/N sum_c N_c (u_c^s - u^s)(u_c^s - u^s)^T
(3)  HCMD(W) = 1/C sum_c |W_n^T u_c^n - W_m^T u_c^m|^2
(4)  max_W tr( (W^T M W)^-1 W^T B W ),  W = [W_n; W_m],  B = S_b^n (+) S_b^m,
     W^T M W = W^T (S_w^n (+) S_w^m + eps I) W + lambda HCMD-matrix(W)

with u_c^s the mean of identity c at scale s and u^s of all. (4) is solved by the leading vectors of
the generalised eigenproblem B w = mu M w. Two images are matched by the sum over the scales of the
squared distances of their projections.
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int, UInt8
from scipy.spatial.distance import cdist

from rireid_jax.errors import UserError
from rireid_jax.paper.systems.elf import elf
from rireid_jax.paper.systems.labelled_images import LabelledImages, low_threshold, shrink
from rireid_jax.paper.systems.subspaces import principal_components, scatter

PARTIAL = (
    "JUDEA: neither the text nor the abstract of the publication was at hand. Known: its title, "
    "the names of its parts (joint multi-scale discriminant component analysis; HCMD for the "
    "alignment of scales), and that images of one person shall be near across resolutions (Mao "
    "et al., section 2). Ours: that there are two scales with a subspace each; the exact form "
    "of the objective (a ratio of traces with HCMD added to the within-class scatter) and its "
    "solution by one generalised eigenproblem instead of what the authors may iterate; which "
    "images enter which mean; the descriptor (ELF), the reduction by PCA, all weights and "
    "dimensions, and the distance over both scales."
)


class Judea:
    """Joint discriminant subspaces at two scales.

    Args:
        components: dimension of the subspaces, at most 2 (identities - 1).
        pca_dim: dimension to which the features of a scale are reduced first.
        alignment: lambda of equation 4, the weight of HCMD.
        ridge: eps of equation 4, as a fraction of the mean of the diagonal of the scatter.
    """

    def __init__(
        self,
        components: int = 100,
        pca_dim: int = 200,
        alignment: float = 1.0,
        ridge: float = 0.1,
    ):
        self._components, self._pca_dim = components, pca_dim
        self._alignment, self._ridge = alignment, ridge

    def fit(self, train: LabelledImages) -> "Judea":
        """Learns the subspaces. Cameras play no part: an identity's scatter is over all its images.

        Raises:
            UserError: there are fewer than two identities, all resolutions are equal, or images of
                the small scale have fewer rows of pixels than ELF has stripes.
        """
        if len(np.unique(train.pids)) < 2:
            raise UserError("pids: found one identity, expected at least two to tell apart")
        low = train.resolutions[train.resolutions <= low_threshold(train.resolutions)]
        self._small_scale = float(low.mean())
        self._bases = [
            principal_components(features, self._pca_dim)
            for features in self._describe(train.images)
        ]
        normal, small = self._reduced(train.images)
        self.projections = joint_projections(
            normal, small, train.pids, self._components, self._alignment, self._ridge
        )
        return self

    def features(self, images: UInt8[np.ndarray, "N H W 3"]) -> Float[np.ndarray, "N D"]:
        """Projections at both scales, side by side; their Euclidean distance is JUDEA's."""
        pairs = zip(self._reduced(images), self.projections, strict=True)
        return np.hstack([reduced @ projection for reduced, projection in pairs])

    def distances(self, query: LabelledImages, gallery: LabelledImages) -> Float[np.ndarray, "Q G"]:
        """The distance of every query to every gallery image."""
        return cdist(self.features(query.images), self.features(gallery.images))

    def _describe(self, images: np.ndarray) -> list[np.ndarray]:
        small = shrink(images, self._small_scale)
        return [elf(scale).reshape(len(images), -1) for scale in (images, small)]

    def _reduced(self, images: np.ndarray) -> list[np.ndarray]:
        pairs = zip(self._describe(images), self._bases, strict=True)
        return [(features - mean) @ basis for features, (mean, basis) in pairs]


def joint_projections(
    normal: Float[np.ndarray, "N D"],
    small: Float[np.ndarray, "N E"],
    pids: Int[np.ndarray, " N"],
    components: int,
    alignment: float,
    ridge: float,
) -> tuple[Float[np.ndarray, "D K"], Float[np.ndarray, "E K"]]:
    """Solves equation 4 for W_n and W_m, whose columns w = [w_n; w_m] have w^T M w = 1."""
    within_n, between_n, means_n = scatter(normal, pids)
    within_m, between_m, means_m = scatter(small, pids)
    gap = np.hstack([means_n, -means_m])  # row c times W is the discrepancy of class c
    within = scipy.linalg.block_diag(within_n, within_m)
    floor = ridge * np.trace(within + scipy.linalg.block_diag(between_n, between_m)) / len(within)
    cost = within + alignment * gap.T @ gap / len(gap) + floor * np.eye(len(within))
    dim = min(components, 2 * (len(gap) - 1), len(within))
    _, vectors = scipy.linalg.eigh(
        scipy.linalg.block_diag(between_n, between_m),
        cost,
        subset_by_index=(len(within) - dim, len(within) - 1),
    )
    vectors = vectors[:, ::-1]
    return vectors[: normal.shape[1]], vectors[normal.shape[1] :]
