"""SDF: scale-distance functions, and the surface that separates feasible from infeasible ones.

Wang, Hu, Yu, Jiang, Liang and Wang, "Scale-adaptive low-resolution person re-identification via
learning a discriminating surface", IJCAI 2016; a reconstruction, see `PARTIAL`. The distance of two
images is a function of the scale at which they are shown. Such functions of two images of one person
(feasible) differ from those of two persons (infeasible). A function is described by a few
parameters, and a surface in the space of these parameters separates both kinds. The equations and
their numbers are ours:

(1)  d(t) = |W_t^T (x_t(q) - x_t(g))|,  t in [0, 1] from the least to the greatest resolution, x_t the
     features of an image shown at that resolution, or at its own if that is lower, and W_t their
     Fisher discriminant directions, without which images of the same camera are nearest
(2)  p = argmin_p sum_k (d(t_k) - sum_j p_j t_k^j)^2,  the parameters of the function
(3)  f(p) = theta^T phi(p) = 0,  the surface; phi has all monomials of (standardised) p to degree 2
(4)  min_theta sum_i weight_i log(1 + exp(-y_i theta^T phi(p_i))) + ridge/2 |theta|^2,
     y = 1 if feasible, else -1; the weights of each kind sum to 1/2

Gallery images are ranked by -f: the deeper on the feasible side, the nearer.
"""

import itertools

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist
from scipy.special import expit

from rireid_jax.errors import UserError
from rireid_jax.paper.systems.elf import elf
from rireid_jax.paper.systems.labelled_images import LabelledImages, at_resolution, low_threshold
from rireid_jax.paper.systems.subspaces import discriminant_components

PARTIAL = (
    "SDF: only the abstract was at hand. From it: scale-distance functions of image pairs, "
    "their representation by parameter vectors, a surface learned to separate feasible from "
    "infeasible ones, and ranking by it. Ours: the distance (Euclidean between Fisher discriminant "
    "components of ELF, learned from the same images as the surface), which scales are sampled and "
    "that both images are shown at each, the family of functions (polynomials, fitted by least "
    "squares), the kind of surface (a quadric) and its loss (logistic, balanced, with a ridge), and "
    "how many infeasible pairs are drawn."
)


class Sdf:
    """A discriminating surface in the space of scale-distance functions.

    Args:
        scales: number of resolutions at which a pair is compared, above `degree`.
        degree: of the polynomials of equation 2.
        negatives: infeasible pairs drawn for each feasible one.
        ridge: of equation 4.
        components: dimension of the discriminant subspaces, below the number of identities.
        pca_dim: dimension to which the features are reduced before.
        metric_ridge: of `discriminant_components`.
        seed: of the drawing.
    """

    def __init__(
        self,
        scales: int = 5,
        degree: int = 2,
        negatives: int = 20,
        ridge: float = 1e-3,
        components: int = 100,
        pca_dim: int = 200,
        metric_ridge: float = 0.1,
        seed: int = 0,
    ):
        self._times = np.linspace(0, 1, scales)
        # Equation 2 is linear in d: p = d times this.
        self._fit_function = np.linalg.pinv(np.vander(self._times, degree + 1, increasing=True)).T
        self._negatives, self._ridge, self._seed = negatives, ridge, seed
        self._components, self._pca_dim = components, pca_dim
        self._metric_ridge = metric_ridge

    def fit(self, train: LabelledImages) -> "Sdf":
        """Learns the surface from pairs of a low- and a high-resolution image of different cameras.

        `losses` holds the value of equation 4 after each step; it never rises.

        Raises:
            UserError: all resolutions are equal, all images are alike, or one kind of pair is missing.
        """
        low, high, same = self._pairs(train)
        resolutions = train.resolutions
        self._resolutions = resolutions.min() + self._times * np.ptp(resolutions)
        distances = np.empty((len(same), len(self._times)))
        self._directions = []
        for k, target in enumerate(self._resolutions):
            described = _describe(train, float(target))
            directions = discriminant_components(
                described, train.pids, self._pca_dim, self._components, self._metric_ridge
            )[1]
            self._directions.append(directions)
            features = described @ directions
            for part in np.array_split(np.arange(len(same)), 1 + len(same) // 4096):
                difference = features[low[part]] - features[high[part]]
                distances[part, k] = np.linalg.norm(difference, axis=1)
        parameters = distances @ self._fit_function
        self._mean, self._deviation = parameters.mean(0), parameters.std(0) + 1e-12
        self.theta, self.losses = learn_surface(self._monomials(parameters), same, self._ridge)
        return self

    def distances(self, query: LabelledImages, gallery: LabelledImages) -> Float[np.ndarray, "Q G"]:
        """-f of equation 3 for every pair; it may be negative, and only its order has a meaning."""
        parameters = np.zeros((len(query), len(gallery), self._fit_function.shape[1]))
        scales = zip(self._resolutions, self._directions, self._fit_function, strict=True)
        for target, directions, share in scales:
            features = [_describe(i, float(target)) @ directions for i in (query, gallery)]
            distances = cdist(*features)
            parameters += distances[..., None] * share
        return np.stack([-self._monomials(row) @ self.theta for row in parameters])

    def _monomials(self, parameters: Float[np.ndarray, "P K"]) -> Float[np.ndarray, "P M"]:
        """phi of equation 3: 1, the parameters, and the products of two parameters."""
        standard = (parameters - self._mean) / self._deviation
        extended = np.hstack([np.ones((len(standard), 1)), standard])
        pairs = itertools.combinations_with_replacement(range(extended.shape[1]), 2)
        return np.stack([extended[:, i] * extended[:, j] for i, j in pairs], axis=1)

    def _pairs(
        self, train: LabelledImages
    ) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"], Bool[np.ndarray, " P"]]:
        """The indices of the low and the high image of each training pair, and whether it is feasible."""
        is_low = train.resolutions <= low_threshold(train.resolutions)
        low, high = np.flatnonzero(is_low), np.flatnonzero(~is_low)
        rng = np.random.default_rng(self._seed)
        pairs: list[tuple[np.ndarray, np.ndarray, bool]] = []
        for image in low:
            other = high[train.camids[high] != train.camids[image]]
            mates = other[train.pids[other] == train.pids[image]]
            strangers = other[train.pids[other] != train.pids[image]]
            count = min(self._negatives * len(mates), len(strangers))
            drawn = rng.choice(strangers, count, replace=False)
            pairs += [(np.full(len(x), image), x, x is mates) for x in (mates, drawn)]
        same = np.concatenate([np.full(len(x), feasible) for _, x, feasible in pairs])
        if same.all() or not same.any():
            found = f"{same.sum()} pairs of one person and {np.sum(~same)} of two"
            raise UserError(
                f"images: found {found}, low with high, two cameras, expected both kinds"
            )
        left, right = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
        return left, right, same


def learn_surface(
    phi: Float[np.ndarray, "P M"], same: Bool[np.ndarray, " P"], ridge: float
) -> tuple[Float[np.ndarray, " M"], list[float]]:
    """Minimises equation 4 by Newton's method with halved steps.

    Returns:
        theta, and the loss at the start and after each step, falling.
    """
    sign = np.where(same, 1.0, -1.0)
    weight = np.where(same, 0.5 / np.sum(same), 0.5 / np.sum(~same))

    def loss(theta: np.ndarray) -> float:
        value = weight @ np.logaddexp(0, -sign * (phi @ theta)) + ridge / 2 * theta @ theta
        return float(value)

    theta = np.zeros(phi.shape[1])
    losses = [loss(theta)]
    for _ in range(100):
        probability = expit(phi @ theta)
        gradient = phi.T @ (weight * (probability - same)) + ridge * theta
        curvature = (phi * (weight * probability * (1 - probability))[:, None]).T @ phi
        step = np.linalg.solve(curvature + ridge * np.eye(len(theta)), gradient)
        size = 1.0
        while size > 1e-6 and loss(theta - size * step) >= losses[-1]:
            size /= 2
        if size <= 1e-6 or gradient @ step < 1e-14:
            break
        theta = theta - size * step
        losses.append(loss(theta))
    return theta, losses


def _describe(images: LabelledImages, resolution: float) -> Float[np.ndarray, "N D"]:
    shown = at_resolution(images.images, images.resolutions, resolution)
    return elf(shown).reshape(len(images), -1)
