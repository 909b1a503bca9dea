import numpy as np
import pytest

from rireid_jax.paper.systems import sld2l_dictionaries
from rireid_jax.paper.systems.elf import elf
from rireid_jax.paper.systems.sld2l import Sld2l, discriminant_targets, k_means
from rireid_jax.paper.systems.sld2l_dictionaries import (
    Cluster,
    LossWeights,
    low_rank_descent,
    nuclear_norm,
    objective,
    sparse_descent,
    update_codes,
    update_dictionaries,
    update_mappings,
)

WEIGHTS = LossWeights(0.1, 0.7, 0.2, 0.3, 0.6, 0.25)
DIM, ATOMS, PATCHES, PROBES = 6, 4, (9, 7, 5), (3, 5, 0)


@pytest.fixture
def clusters():
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.normal(size=shape)

    def atoms():
        dictionary = normal(DIM, ATOMS)
        return dictionary / np.linalg.norm(dictionary, axis=0)

    return [
        Cluster(
            x=normal(DIM, n),
            y=normal(DIM, n),
            z=normal(DIM, m),
            target=normal(DIM, m),
            high=atoms(),
            low=atoms(),
            mapping=normal(ATOMS, ATOMS),
            high_codes=normal(3 * ATOMS, n),
            low_codes=normal(3 * ATOMS, n),
            probe_codes=normal(ATOMS, m),
        )
        for n, m in zip(PATCHES, PROBES, strict=True)
    ]


def literal_objective(clusters, weights):
    """Equations 1 and 2, patch by patch."""
    total = 0.0
    for i, cluster in enumerate(clusters):
        for data, codes, name in (
            (cluster.x, cluster.high_codes, "high"),
            (cluster.y, cluster.low_codes, "low"),
        ):
            for n in range(data.shape[1]):
                whole, parts = np.zeros(DIM), []
                for j, other in enumerate(clusters):
                    parts.append(getattr(other, name) @ codes[j * ATOMS : (j + 1) * ATOMS, n])
                    whole += parts[-1]
                total += np.sum((data[:, n] - whole) ** 2)
                total += np.sum((data[:, n] - parts[i]) ** 2)
                total += sum(np.sum(part**2) for j, part in enumerate(parts) if j != i)
                total += weights.sparsity * np.sum(np.abs(codes[:, n]))
        for n in range(cluster.x.shape[1]):
            a, b = (
                c[i * ATOMS : (i + 1) * ATOMS, n] for c in (cluster.high_codes, cluster.low_codes)
            )
            total += weights.mapping * np.sum((a - cluster.mapping @ b) ** 2)
        for m in range(cluster.z.shape[1]):
            code = cluster.probe_codes[:, m]
            total += np.sum((cluster.z[:, m] - cluster.low @ code) ** 2)
            gap = cluster.high @ (cluster.mapping @ code) - cluster.target[:, m]
            total += weights.discriminant * (1 - weights.repulsion) * np.sum(gap**2)
            total += weights.sparsity * np.sum(np.abs(code))
        total += weights.ridge * np.sum(cluster.mapping**2)
        for dictionary in (cluster.high, cluster.low):
            total += weights.low_rank * np.sum(
                np.sqrt(np.linalg.eigvalsh(dictionary.T @ dictionary))
            )
    return total


def test_the_objective_is_equation_1(clusters):
    assert objective(clusters, WEIGHTS) == pytest.approx(literal_objective(clusters, WEIGHTS))


@pytest.mark.parametrize("update", [update_codes, update_dictionaries, update_mappings])
def test_every_update_lowers_the_objective(update, clusters):
    values = [literal_objective(clusters, WEIGHTS)]
    for _ in range(3):
        update(clusters, WEIGHTS)
        values.append(literal_objective(clusters, WEIGHTS))
    assert (np.diff(values) <= 1e-12 * values[0]).all()
    assert values[1] < 0.95 * values[0]
    for cluster in clusters:
        for dictionary in (cluster.high, cluster.low):
            assert np.linalg.norm(dictionary, axis=0).max() <= 1 + 1e-12


def test_dictionaries_descend_on_the_objective(clusters, monkeypatch):
    """What each update of a dictionary is told changes with that dictionary as the objective does."""
    rng = np.random.default_rng(0)
    told, values = [], []

    def replace(gram, right, start, low_rank):
        values.append(literal_objective(clusters, WEIGHTS))
        new = rng.normal(size=start.shape)
        f = [
            np.trace(d @ gram @ d.T) - 2 * np.trace(d.T @ right) + low_rank * nuclear_norm(d)
            for d in (start, new)
        ]
        told.append(f[1] - f[0])
        return new

    monkeypatch.setattr(sld2l_dictionaries, "low_rank_descent", replace)
    update_dictionaries(clusters, WEIGHTS)
    values.append(literal_objective(clusters, WEIGHTS))
    assert len(told) == 6
    np.testing.assert_allclose(np.diff(values), told)


@pytest.mark.parametrize(
    ("update", "times", "names"),
    [
        (update_mappings, 1, ("mapping",)),
        (update_codes, 200, ("high_codes", "low_codes", "probe_codes")),
    ],
)
def test_updates_arrive_at_the_minimum(update, times, names, clusters):
    """There no block can be changed for the better, given the others."""
    update_mappings(clusters, WEIGHTS)
    for _ in range(times):
        update(clusters, WEIGHTS)
    best = literal_objective(clusters, WEIGHTS)
    rng = np.random.default_rng(1)
    for cluster in clusters[:2]:
        for name in names:
            found = getattr(cluster, name)
            for _ in range(10):
                setattr(cluster, name, found + 1e-3 * rng.normal(size=found.shape))
                assert literal_objective(clusters, WEIGHTS) > best
            setattr(cluster, name, found)


def test_sparse_descent_solves_the_lasso():
    rng = np.random.default_rng(0)
    dictionary, x = rng.normal(size=(8, 5)), rng.normal(size=8)
    expected = np.zeros(5)
    for _ in range(500):  # coordinate descent on |x - D c|^2 + 1.5 |c|_1
        for i in range(5):
            rest = x - dictionary @ expected + dictionary[:, i] * expected[i]
            along = dictionary[:, i] @ rest
            soft = np.sign(along) * max(abs(along) - 0.75, 0)
            expected[i] = soft / (dictionary[:, i] @ dictionary[:, i])
    gram, right = dictionary.T @ dictionary, dictionary.T @ x[:, None]
    found = sparse_descent(gram, right, np.zeros((5, 1)), 1.5, 2000)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-8)
    assert 0 < np.sum(expected == 0) < 5


def test_low_rank_dictionaries():
    rng = np.random.default_rng(0)
    codes, data = rng.normal(size=(4, 30)), rng.normal(size=(6, 30)) / 10
    gram, right = codes @ codes.T, data @ codes.T
    start = rng.normal(size=(6, 4)) / 5
    free = low_rank_descent(gram, right, start, 0.0)
    np.testing.assert_allclose(free, right @ np.linalg.inv(gram), atol=1e-3)
    # The gradient at 0 is 2 right: beyond its greatest singular value nothing but 0 is best.
    weight = 2 * np.linalg.norm(right, 2)
    np.testing.assert_allclose(low_rank_descent(gram, right, start, 1.1 * weight), 0, atol=1e-3)
    some = low_rank_descent(gram, right, start, 0.5 * weight)
    assert 0 < np.linalg.matrix_rank(some, tol=1e-3) < 4
    assert nuclear_norm(some) < nuclear_norm(free)


def test_targets_are_equation_3(train):
    few = train[train.pids < 4]
    high, low = few[few.camids == 0], few[few.camids == 1]
    rng = np.random.default_rng(0)
    x, beta = rng.normal(size=(len(high), 2, 3)), 0.3
    rows, targets = discriminant_targets(x, high, low, beta)
    assert rows.tolist() == list(range(len(low)))

    def literal(image, patch, h):
        same, others = [], []
        for j in range(len(high)):
            (same if high.pids[j] == low.pids[image] else others).append(
                np.sum((h - x[j, patch]) ** 2)
            )
        return np.mean(same) - beta * np.mean(others)

    for image, patch in np.ndindex(len(low), 2):
        one, two = rng.normal(size=(2, 3))
        short = [(1 - beta) * np.sum((h - targets[image, patch]) ** 2) for h in (one, two)]
        full = [literal(image, patch, h) for h in (one, two)]
        assert short[0] - short[1] == pytest.approx(full[0] - full[1])

    # A low image without a high one of its person has no target.
    lonely = high.pids != 1
    rows, targets = discriminant_targets(x[lonely], high[lonely], low, beta)
    assert low.pids[rows].tolist() == [0, 0, 2, 2, 3, 3]
    assert len(targets) == 6


def test_k_means_finds_what_is_apart():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(m, 0.1, (20, 2)) for m in (-5, 0, 5)])
    nearest, centres = k_means(points, 3, np.random.default_rng(3))
    assert len(centres) == nearest.max() + 1
    for i, centre in enumerate(centres):
        np.testing.assert_allclose(points[nearest == i].mean(0), centre)
    assert k_means(np.zeros((5, 2)), 3, np.random.default_rng(0))[1].shape == (1, 2)


def test_high_images_keep_their_features(train):
    few = train[train.pids < 6]
    system = Sld2l(clusters=2, atoms=4, patch_dim=8, iterations=2, grid=(3, 2)).fit(few)
    features = system.features(few)
    assert features.shape == (len(few), 3 * 2 * 8)
    patches = system._reduce(elf(few.images, (3, 2)))
    own = patches.reshape(len(few), -1)
    is_low = few.resolutions < 1
    np.testing.assert_array_equal(features[~is_low], own[~is_low])
    assert (np.abs(features[is_low] - own[is_low]).max(1) > 1e-3).all()
    # A converted patch is D V c, with c the sparse code of the patch over the low dictionary.
    image = np.flatnonzero(is_low)[0]
    patch = patches[image, 0]
    i = np.argmin(np.linalg.norm(system.centres - patch, axis=1))
    cluster = system.clusters[i]
    gram, right = cluster.low.T @ cluster.low, cluster.low.T @ patch[:, None]
    code = sparse_descent(gram, right, np.zeros((4, 1)), 0.05, 5000)
    expected = cluster.high @ cluster.mapping @ code
    np.testing.assert_allclose(features[image, :8], expected[:, 0], atol=1e-3)
