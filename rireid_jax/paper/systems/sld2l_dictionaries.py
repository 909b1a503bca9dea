"""The dictionaries of SLD2L: their objective, and the steps that lower it, one block at a time.

Patches are columns. Cluster i has HR patches X_i and their degraded twins Y_i `[d, n_i]`, patches Z_i
`[d, m_i]` of low images with their targets T_i, sub-dictionaries D_i and L_i `[d, k]`, a mapping V_i
`[k, k]`, codes A_i and B_i `[c k, n_i]` over all sub-dictionaries (A_i^j are the rows of the j-th),
and codes C_i `[k, m_i]` over its own. The objective, in our numbering (see `sld2l.PARTIAL`), is

(1)  sum_i  r(X_i, D, A_i) + r(Y_i, L, B_i) + |Z_i - L_i C_i|^2
          + gamma |A_i^i - V_i B_i^i|^2 + nu |V_i|^2
          + delta (1 - beta) |D_i V_i C_i - T_i|^2
          + alpha (|D_i|_* + |L_i|_*) + lambda (|A_i|_1 + |B_i|_1 + |C_i|_1)
(2)  r(X_i, D, A_i) = |X_i - sum_j D_j A_i^j|^2 + |X_i - D_i A_i^i|^2 + sum_(j != i) |D_j A_i^j|^2

with atoms of norm at most 1, |.| Frobenius and |.|_* nuclear norms. Each step below minimises (1) over
one block, exactly (V) or by descent (codes, dictionaries), so it never rises.
"""

import dataclasses

import numpy as np
import scipy.linalg
from jaxtyping import Float

CODE_STEPS = 20
ALM_STEPS = 40


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Loss weights of the objective; none is known from the publication.

    Attributes:
        sparsity: lambda.
        mapping: gamma, of the agreement of codes.
        ridge: nu, of the mapping.
        low_rank: alpha.
        discriminant: delta.
        repulsion: beta, the push of other persons relative to the pull of the same person; below 1,
            because the discriminant term has no minimum otherwise.
    """

    sparsity: float = 0.05
    mapping: float = 0.5
    ridge: float = 0.1
    low_rank: float = 0.1
    discriminant: float = 0.5
    repulsion: float = 0.3


DEFAULT_LOSS_WEIGHTS = LossWeights()


@dataclasses.dataclass
class Cluster:
    """The patches of one cluster and what is learned from them; the objective explains the letters."""

    x: Float[np.ndarray, "d n"]
    y: Float[np.ndarray, "d n"]
    z: Float[np.ndarray, "d m"]
    target: Float[np.ndarray, "d m"]
    high: Float[np.ndarray, "d k"]
    low: Float[np.ndarray, "d k"]
    mapping: Float[np.ndarray, "k k"]
    high_codes: Float[np.ndarray, "ck n"]
    low_codes: Float[np.ndarray, "ck n"]
    probe_codes: Float[np.ndarray, "k m"]

    def convert(self, codes: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "d m"]:
        """Converts codes of LR patches to HR patches: D_i V_i C."""
        return self.high @ self.mapping @ codes


def objective(clusters: list[Cluster], weights: LossWeights) -> float:
    """Equation 1."""
    high, low = [c.high for c in clusters], [c.low for c in clusters]
    total = 0.0
    for i, c in enumerate(clusters):
        own = _rows(i, c)
        total += _representation(c.x, high, c.high_codes, i)
        total += _representation(c.y, low, c.low_codes, i)
        total += _square(c.z - c.low @ c.probe_codes)
        total += weights.mapping * _square(c.high_codes[own] - c.mapping @ c.low_codes[own])
        total += weights.ridge * _square(c.mapping)
        total += _pull(weights) * _square(c.convert(c.probe_codes) - c.target)
        total += weights.low_rank * (nuclear_norm(c.high) + nuclear_norm(c.low))
        codes = (c.high_codes, c.low_codes, c.probe_codes)
        total += weights.sparsity * sum(float(np.abs(code).sum()) for code in codes)
    return total


def update_codes(clusters: list[Cluster], weights: LossWeights) -> None:
    """Descends over A, B and C: sparse coding with the mapping and the discriminant term."""
    high_gram, high = _gram([c.high for c in clusters])
    low_gram, low = _gram([c.low for c in clusters])
    for i, c in enumerate(clusters):
        own, v = _rows(i, c), c.mapping
        gram, right = high_gram.copy(), high.T @ c.x
        gram[own, own] += weights.mapping * np.eye(len(v))
        right[own] += c.high.T @ c.x + weights.mapping * v @ c.low_codes[own]
        c.high_codes = sparse_descent(gram, right, c.high_codes, weights.sparsity)

        gram, right = low_gram.copy(), low.T @ c.y
        gram[own, own] += weights.mapping * v.T @ v
        right[own] += c.low.T @ c.y + weights.mapping * v.T @ c.high_codes[own]
        c.low_codes = sparse_descent(gram, right, c.low_codes, weights.sparsity)

        converter = c.high @ v
        gram = c.low.T @ c.low + _pull(weights) * converter.T @ converter
        right = c.low.T @ c.z + _pull(weights) * converter.T @ c.target
        c.probe_codes = sparse_descent(gram, right, c.probe_codes, weights.sparsity)


def update_dictionaries(clusters: list[Cluster], weights: LossWeights) -> None:
    """Descends over every D_i and L_i: a quadratic with a nuclear norm, atoms of norm at most 1."""
    for i, c in enumerate(clusters):
        gram, right = _dictionary_terms(
            [k.x for k in clusters], [k.high for k in clusters], [k.high_codes for k in clusters], i
        )
        codes = c.mapping @ c.probe_codes
        gram += _pull(weights) * codes @ codes.T
        right += _pull(weights) * c.target @ codes.T
        c.high = low_rank_descent(gram, right, c.high, weights.low_rank)

        gram, right = _dictionary_terms(
            [k.y for k in clusters], [k.low for k in clusters], [k.low_codes for k in clusters], i
        )
        gram += c.probe_codes @ c.probe_codes.T
        right += c.z @ c.probe_codes.T
        c.low = low_rank_descent(gram, right, c.low, weights.low_rank)


def update_mappings(clusters: list[Cluster], weights: LossWeights) -> None:
    """The minimum of (1) over every V_i, which solves V P + S V Q = R."""
    for i, c in enumerate(clusters):
        own = _rows(i, c)
        a, b, pull = c.high_codes[own], c.low_codes[own], _pull(weights)
        p = weights.mapping * b @ b.T + weights.ridge * np.eye(len(b))
        q = c.probe_codes @ c.probe_codes.T
        s = pull * c.high.T @ c.high
        right = weights.mapping * a @ b.T + pull * c.high.T @ c.target @ c.probe_codes.T
        # U^T P U = I and U^T Q U = diag(values) make it W + S W diag(values) = R U, W = V U^-T.
        values, u = scipy.linalg.eigh(q, p)
        scale, e = np.linalg.eigh(s)
        c.mapping = e @ (e.T @ right @ u / (1 + scale[:, None] * values)) @ u.T


def sparse_descent(
    gram: Float[np.ndarray, "k k"],
    right: Float[np.ndarray, "k n"],
    codes: Float[np.ndarray, "k n"],
    sparsity: float,
    steps: int = CODE_STEPS,
) -> Float[np.ndarray, "k n"]:
    """Proximal gradient steps on tr(C^T gram C) - 2 tr(C^T right) + sparsity |C|_1."""
    lipschitz = 2 * np.linalg.eigvalsh(gram)[-1] + 1e-12
    for _ in range(steps):
        moved = codes - 2 * (gram @ codes - right) / lipschitz
        codes = np.sign(moved) * np.maximum(np.abs(moved) - sparsity / lipschitz, 0)
    return codes


def low_rank_descent(
    gram: Float[np.ndarray, "k k"],
    right: Float[np.ndarray, "d k"],
    start: Float[np.ndarray, "d k"],
    low_rank: float,
) -> Float[np.ndarray, "d k"]:
    """Lowers f(D) = tr(D gram D^T) - 2 tr(D^T right) + low_rank |D|_*, atoms of norm at most 1.

    Inexact augmented Lagrangian (Lin et al. 2010) with a copy J = D that carries the nuclear norm;
    then atoms are shortened to norm 1, and the step from `start` is halved until f does not rise.
    That takes few halvings, because f and the set of such dictionaries are convex.
    """

    def f(d: np.ndarray) -> float:
        return float(np.sum(d @ gram * d) - 2 * np.sum(d * right)) + low_rank * nuclear_norm(d)

    penalty = 0.1 * np.trace(gram) / len(gram) + 1e-3
    copy, multiplier = start, np.zeros_like(start)
    for _ in range(ALM_STEPS):
        d = np.linalg.solve(
            2 * gram + penalty * np.eye(len(gram)), (2 * right - multiplier + penalty * copy).T
        ).T
        copy = _shrink_singular_values(d + multiplier / penalty, low_rank / penalty)
        multiplier = multiplier + penalty * (d - copy)
        penalty *= 1.2
    found = copy / np.maximum(np.linalg.norm(copy, axis=0), 1)
    before, step = f(start), 1.0
    while step > 1e-4:
        candidate = start + step * (found - start)
        if f(candidate) <= before:
            return candidate
        step /= 2
    return start


def nuclear_norm(matrix: Float[np.ndarray, "d k"]) -> float:
    """The sum of the singular values."""
    return float(np.linalg.svd(matrix, compute_uv=False).sum())


def _shrink_singular_values(matrix: np.ndarray, by: float) -> np.ndarray:
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return (left * np.maximum(values - by, 0)) @ right


def _representation(
    x: np.ndarray, dictionaries: list[np.ndarray], codes: np.ndarray, i: int
) -> float:
    """Equation 2."""
    parts = np.split(codes, len(dictionaries))
    made = [d @ part for d, part in zip(dictionaries, parts, strict=True)]
    others = sum(_square(m) for j, m in enumerate(made) if j != i)
    return _square(x - np.sum(made, axis=0)) + _square(x - made[i]) + others


def _gram(dictionaries: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The quadratic form of equation 2 in the codes, and all sub-dictionaries side by side."""
    whole = np.hstack(dictionaries)
    return whole.T @ whole + scipy.linalg.block_diag(*(d.T @ d for d in dictionaries)), whole


def _dictionary_terms(
    data: list[np.ndarray], dictionaries: list[np.ndarray], codes: list[np.ndarray], i: int
) -> tuple[np.ndarray, np.ndarray]:
    """The terms that equation 2, summed over the clusters, adds to `gram` and `right` of dictionary i."""
    own = slice(i * dictionaries[i].shape[1], (i + 1) * dictionaries[i].shape[1])
    whole = np.hstack(dictionaries)
    gram: np.ndarray = np.zeros((dictionaries[i].shape[1],) * 2)
    right = np.zeros_like(dictionaries[i])
    for j, (x, code) in enumerate(zip(data, codes, strict=True)):
        rest = x - whole @ code + dictionaries[i] @ code[own]
        gram += 2 * code[own] @ code[own].T
        right += (rest + x if j == i else rest) @ code[own].T
    return gram, right


def _rows(i: int, cluster: Cluster) -> slice:
    """The rows of A_i^i in A_i."""
    atoms = cluster.high.shape[1]
    return slice(i * atoms, (i + 1) * atoms)


def _pull(weights: LossWeights) -> float:
    return weights.discriminant * (1 - weights.repulsion)


def _square(matrix: np.ndarray) -> float:
    return float(np.sum(matrix**2))
