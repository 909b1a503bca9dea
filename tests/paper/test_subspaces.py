import numpy as np
import pytest

from rireid_jax.errors import UserError
from rireid_jax.paper.systems.subspaces import discriminant_components, principal_components


@pytest.mark.parametrize("count", [5, 40])
def test_principal_components(count):
    features = np.random.default_rng(0).normal(size=(count, 12)) * np.arange(1, 13)
    mean, basis = principal_components(features, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    values = np.linalg.eigvalsh(np.cov(features.T, bias=True))[::-1]
    np.testing.assert_allclose(((features - mean) @ basis).var(0), values[:3])
    assert principal_components(features, 100)[1].shape[1] == min(12, count - 1)
    with pytest.raises(UserError, match="found all alike"):
        principal_components(np.ones((4, 3)), 2)


def test_two_identities_have_fishers_direction():
    """Fisher 1936: between two classes, the direction is the inverse within-class scatter times their difference."""
    rng = np.random.default_rng(0)
    pids = np.repeat([3, 8], 50)
    features = rng.normal(size=(100, 4)) @ rng.normal(size=(4, 4)) + (pids == 8)[:, None]
    mean, directions = discriminant_components(features, pids, 4, 10, ridge=0.0)
    np.testing.assert_allclose(mean, features.mean(0))
    first, second = features[:50], features[50:]
    within = (np.cov(first.T, bias=True) + np.cov(second.T, bias=True)) / 2
    expected = np.linalg.solve(within, second.mean(0) - first.mean(0))
    expected /= np.sqrt(expected @ within @ expected)
    assert directions.shape == (4, 1)
    np.testing.assert_allclose(np.abs(directions[:, 0]), np.abs(expected))
    np.testing.assert_allclose(np.outer(*[directions[:, 0]] * 2), np.outer(*[expected] * 2))


def test_numbers_of_directions():
    rng = np.random.default_rng(0)
    features, pids = rng.normal(size=(30, 8)), np.repeat(np.arange(5), 6)
    assert discriminant_components(features, pids, 100, 100, 0.1)[1].shape == (8, 4)
    assert discriminant_components(features, pids, 3, 100, 0.1)[1].shape == (8, 3)
    assert discriminant_components(features, pids, 8, 2, 0.1)[1].shape == (8, 2)
