"""What holds for JUDEA, SLD2L and SDF alike, on people drawn at low and high resolution."""

import dataclasses

import numpy as np
import pytest

from rireid_jax.errors import UserError
from rireid_jax.evaluation import rank
from rireid_jax.paper.classical import (
    Judea,
    Sdf,
    Sld2l,
    features_with_distances,
    judea,
    sdf,
    sld2l,
)

SYSTEMS = {
    "judea": lambda: Judea(components=20, pca_dim=60),
    "sdf": lambda: Sdf(),
    "sld2l": lambda: Sld2l(clusters=3, atoms=12, patch_dim=32, iterations=4),
}


def rank1(distances, query, gallery):
    features = features_with_distances(distances)
    pids, camids = (query.pids, gallery.pids), (query.camids, gallery.camids)
    return rank(*features, *pids, *camids)["rank1"]


# By chance rank-1 is 1/20, by the descriptor alone 0.225. SDF, whose surface is learned on the same
# distances, measured 0.225 to 0.275; the others twice the descriptor and more.
@pytest.mark.parametrize(("name", "floor"), [("judea", 0.4), ("sdf", 0.15), ("sld2l", 0.3)])
def test_people_are_found_across_resolutions(name, floor, train, query_and_gallery):
    system = SYSTEMS[name]().fit(train)
    distances = system.distances(*query_and_gallery)
    assert distances.shape == (40, 40)
    assert rank1(distances, *query_and_gallery) >= floor
    if name != "judea":
        assert len(system.losses) > 2
        falls = -np.diff(system.losses)
        assert (falls >= -1e-9 * system.losses[0]).all()
        assert falls.sum() > 0.05 * system.losses[0]


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_same_again(name, train, query_and_gallery):
    few = train[train.pids < 8]
    pair = [side[np.arange(8)] for side in query_and_gallery]
    first, second = (SYSTEMS[name]().fit(few).distances(*pair) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "system", [lambda seed: Sdf(negatives=2, seed=seed), lambda seed: Sld2l(2, 4, 8, 1, seed=seed)]
)
def test_another_seed_is_another_system(system, train, query_and_gallery):
    few = train[train.pids < 8]
    pair = [side[np.arange(8)] for side in query_and_gallery]
    first, second = (system(seed=seed).fit(few).distances(*pair) for seed in (0, 1))
    assert np.abs(first - second).max() > 1e-6


@pytest.mark.parametrize("name", SYSTEMS)
def test_images_of_one_resolution_teach_nothing(name, train):
    with pytest.raises(
        UserError, match=r"^resolutions: found 1.0 throughout, expected low and high"
    ):
        SYSTEMS[name]().fit(train[train.resolutions == 1])


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_person_teaches_nothing(name, train):
    with pytest.raises(UserError, match=r"^(pids|images): found .*, expected"):
        SYSTEMS[name]().fit(train[train.pids == 3])


@pytest.mark.parametrize("name", ["sdf", "sld2l"])
def test_pairs_are_of_two_cameras(name, train):
    one_camera = dataclasses.replace(train, camids=np.zeros_like(train.camids))
    with pytest.raises(UserError, match=r"^images: found .*, expected"):
        SYSTEMS[name]().fit(one_camera)


@pytest.mark.parametrize(("module", "name"), [(judea, "JUDEA"), (sdf, "SDF"), (sld2l, "SLD2L")])
def test_what_is_not_known_is_said(module, name):
    assert module.PARTIAL.startswith(f"{name}: ")
    assert "Ours: " in module.PARTIAL
