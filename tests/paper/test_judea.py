import numpy as np
import pytest
import scipy.linalg
from literal import literal_scatter

from rireid_jax.paper.systems.judea import Judea, joint_projections

RNG = np.random.default_rng(0)
PIDS = np.array([7, 3, 3, 7, 5, 3, 5, 7, 9, 9, 5, 3])
NORMAL = RNG.normal(size=(12, 5)) + RNG.normal(size=(10, 5))[PIDS]
SMALL = NORMAL[:, :4] @ RNG.normal(size=(4, 4)) + RNG.normal(size=(12, 4)) / 2


def literal_hcmd(normal_projection, small_projection):
    """Equation 3, identity by identity."""
    gaps = []
    for pid in np.unique(PIDS):
        normal = NORMAL[pid == PIDS].mean(0) @ normal_projection
        small = SMALL[pid == PIDS].mean(0) @ small_projection
        gaps.append(np.sum((normal - small) ** 2))
    return np.mean(gaps)


def literal_matrices(alignment, ridge):
    """B and M of equation 4, from equations 1 and 2; HCMD's matrix from its values, by polarisation."""
    within_n, between_n = literal_scatter(NORMAL, PIDS)
    within_m, between_m = literal_scatter(SMALL, PIDS)
    between = scipy.linalg.block_diag(between_n, between_m)
    within = scipy.linalg.block_diag(within_n, within_m)
    units = np.eye(9)
    hcmd = np.zeros((9, 9))
    for i in range(9):
        for j in range(9):
            both, apart = ((units[i] + s * units[j])[:, None] for s in (1, -1))
            hcmd[i, j] = (literal_hcmd(both[:5], both[5:]) - literal_hcmd(apart[:5], apart[5:])) / 4
    floor = ridge * np.trace(within + between) / 9
    return between, within + alignment * hcmd + floor * units


@pytest.mark.parametrize("alignment", [0.0, 0.7])
def test_projections_solve_equation_4(alignment):
    between, cost = literal_matrices(alignment, 0.1)
    stacked = np.vstack(joint_projections(NORMAL, SMALL, PIDS, 4, alignment, 0.1))
    np.testing.assert_allclose(stacked.T @ cost @ stacked, np.eye(4), atol=1e-9)
    values, vectors = np.linalg.eig(np.linalg.inv(cost) @ between)
    best = np.argsort(-values.real)[:4]
    np.testing.assert_allclose(np.diag(stacked.T @ between @ stacked), values.real[best])
    # Scaled alike, the vectors are the same but for their signs.
    for column, vector in zip(stacked.T, vectors.real.T[best], strict=True):
        vector = vector / np.sqrt(vector @ cost @ vector)
        np.testing.assert_allclose(np.abs(column), np.abs(vector), atol=1e-7)


def test_the_distance_is_over_both_scales(train):
    few = train[train.pids < 6]
    system = Judea(components=4, pca_dim=10).fit(few)
    features = system.features(few.images)
    assert features.shape == (len(few), 8)
    assert [len(projection) for projection in system.projections] == [10, 10]
    expected = np.linalg.norm(features[2] - features[5])
    assert system.distances(few, few)[2, 5] == pytest.approx(expected)
    # Of two scales, there are less than twice as many directions as identities.
    assert Judea().fit(train[train.pids < 3]).projections[0].shape[1] == 4
