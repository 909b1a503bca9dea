import itertools

import numpy as np
import pytest
import scipy.optimize
from literal import literal_scatter

from rireid_jax.paper.systems.elf import elf
from rireid_jax.paper.systems.labelled_images import at_resolution
from rireid_jax.paper.systems.sdf import Sdf, learn_surface


def describe(images, target):
    features = elf(at_resolution(images.images, images.resolutions, target))
    return features.reshape(len(images), -1).astype(float)


def literal_directions(images, target):
    """W_t of equation 1: Fisher's, within the span of the images."""
    features = describe(images, target)
    centred = features - features.mean(0)
    span = np.linalg.svd(centred, full_matrices=False)[2][: len(images) - 1]
    reduced = centred @ span.T
    within, between = literal_scatter(reduced, images.pids)
    cost = within + 0.1 * np.trace(within + between) / len(span) * np.eye(len(span))
    values, vectors = np.linalg.eig(np.linalg.solve(cost, between))
    leading = vectors[:, np.argsort(-values.real)[: len(np.unique(images.pids)) - 1]].real
    return span.T @ (leading / np.sqrt(np.sum(leading * (cost @ leading), 0)))


def literal_parameters(query, gallery, resolutions, directions, degree):
    """Equations 1 and 2 for one pair of images, each described at every resolution."""
    curve = []
    for first, second, along in zip(query, gallery, directions, strict=True):
        curve.append(np.sqrt(np.sum((first @ along - second @ along) ** 2)))
    times = (resolutions - resolutions[0]) / (resolutions[-1] - resolutions[0])
    return np.polyfit(times, curve, degree)[::-1]


def literal_monomials(standard):
    extended = [1.0, *standard]
    return [
        extended[i] * extended[j]
        for i, j in itertools.combinations_with_replacement(range(len(extended)), 2)
    ]


def literal_loss(theta, phi, same, ridge):
    """Equation 4, pair by pair."""
    total = {True: [], False: []}
    for row, feasible in zip(phi, same, strict=True):
        y = 1 if feasible else -1
        total[bool(feasible)].append(np.log(1 + np.exp(-y * np.dot(theta, row))))
    return (np.mean(total[True]) + np.mean(total[False])) / 2 + ridge / 2 * np.sum(theta**2)


def test_the_system_is_its_equations(train):
    few = train[train.pids < 5]
    system = Sdf(scales=4, negatives=10**6, ridge=1e-2).fit(few)
    low, high = np.flatnonzero(few.resolutions < 1), np.flatnonzero(few.resolutions == 1)
    resolutions = np.linspace(1 / 4, 1, 4)
    directions = [literal_directions(few, target) for target in resolutions]
    described = np.stack([describe(few, target) for target in resolutions], axis=1)
    pairs = [(i, j) for i in low for j in high]
    parameters = np.array(
        [
            literal_parameters(described[i], described[j], resolutions, directions, 2)
            for i, j in pairs
        ]
    )
    same = np.array([few.pids[i] == few.pids[j] for i, j in pairs])
    standard = (parameters - parameters.mean(0)) / parameters.std(0)
    phi = np.array([literal_monomials(row) for row in standard])
    found = scipy.optimize.minimize(
        literal_loss, np.zeros(phi.shape[1]), (phi, same, 1e-2), tol=1e-9
    )
    assert system.losses[-1] == pytest.approx(found.fun, rel=1e-6)
    np.testing.assert_allclose(system.theta, found.x, atol=2e-3)
    distances = system.distances(few[low], few[high]).ravel()
    np.testing.assert_allclose(distances, -phi @ found.x, atol=1e-2)


def test_separable_kinds_have_a_finite_surface():
    phi = np.array([[1.0, -1.0], [1.0, 1.0]])
    theta, losses = learn_surface(phi, np.array([False, True]), 1e-4)
    assert np.isfinite(theta).all()
    assert losses[-1] < 0.05


def test_each_feasible_pair_brings_its_number_of_infeasible_ones(train):
    low, high, same = Sdf(negatives=3)._pairs(train)
    assert np.sum(same) == 30 * 2 * 2
    assert np.sum(~same) == 3 * np.sum(same)
    assert len(set(zip(low, high, strict=True))) == len(low)
    assert (train.resolutions[low] < train.resolutions[high]).all()
    assert (train.camids[low] != train.camids[high]).all()
    np.testing.assert_array_equal(train.pids[low] == train.pids[high], same)
