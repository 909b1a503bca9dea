"""Linear subspaces of features: principal components, and discriminant ones."""

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from rireid_jax.errors import UserError


def principal_components(
    features: Float[np.ndarray, "N D"], dim: int
) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, "D d"]]:
    """The mean and the `dim` leading principal directions, or fewer if the features have fewer.

    Raises:
        UserError: all features are alike.
    """
    mean = features.mean(0, dtype=np.float64)
    triangle = np.linalg.qr(features - mean, mode="r")  # the same directions with fewer rows
    _, deviation, directions = np.linalg.svd(triangle, full_matrices=False)
    rank = int(np.sum(deviation > 1e-6 * deviation[0])) if deviation[0] > 0 else 0
    if not rank:
        raise UserError("images: found all alike, expected different ones to learn from")
    return mean, directions[: min(dim, rank)].T


def scatter(
    features: Float[np.ndarray, "N D"], pids: Int[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, "D D"], Float[np.ndarray, "D D"], Float[np.ndarray, "C D"]]:
    """Within-class scatter, between-class scatter, and class means."""
    identity, counts = np.unique(pids, return_inverse=True, return_counts=True)[1:]
    member = np.eye(len(counts))[identity]
    means = member.T @ features / counts[:, None]
    within = features - means[identity]
    between = (means - features.mean(0)) * np.sqrt(counts / len(features))[:, None]
    return within.T @ within / len(features), between.T @ between, means


def discriminant_components(
    features: Float[np.ndarray, "N D"],
    pids: Int[np.ndarray, " N"],
    pca_dim: int,
    components: int,
    ridge: float,
) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, "D K"]]:
    """Fisher's discriminant directions of principal components: mean, and directions w with w^T M w = 1.

    M is the within-class scatter plus `ridge` times the mean of the diagonal of the whole scatter, which keeps it
    invertible where a small training set has no scatter.

    Args:
        features: of training images.
        pids: their identities.
        pca_dim: dimension to which the features are reduced first.
        components: most directions; there are always fewer than identities.
        ridge: of M.

    Raises:
        UserError: all features are alike.
    """
    mean, basis = principal_components(features, pca_dim)
    within, between, means = scatter((features - mean) @ basis, pids)
    floor = ridge * np.trace(within + between) / len(within)
    count = max(1, min(components, len(means) - 1, len(within)))
    _, directions = scipy.linalg.eigh(
        between,
        within + floor * np.eye(len(within)),
        subset_by_index=(len(within) - count, len(within) - 1),
    )
    return mean, basis @ directions[:, ::-1]
