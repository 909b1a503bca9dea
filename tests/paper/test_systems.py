"""Laws that JUDEA, SLD2L and SDF share, on people drawn at low and high resolution."""

import dataclasses

import numpy as np
import pytest

from rireid_jax.errors import UserError
from rireid_jax.evaluation import rank
from rireid_jax.paper.systems.judea import Judea
from rireid_jax.paper.systems.labelled_images import features_with_distances
from rireid_jax.paper.systems.scoring import PARTIAL
from rireid_jax.paper.systems.sdf import Sdf
from rireid_jax.paper.systems.sld2l import Sld2l

SYSTEMS = {
    "judea": lambda: Judea(components=20, pca_dim=60),
    "sdf": lambda: Sdf(),
    "sld2l": lambda: Sld2l(clusters=3, atoms=12, patch_dim=32, iterations=4),
}


# By chance rank-1 is 1/20, by the descriptor alone 0.225. SDF, whose surface is learned on the same
# distances, measured 0.225 to 0.275; the others twice the descriptor and more.
@pytest.mark.parametrize(("name", "floor"), [("judea", 0.4), ("sdf", 0.15), ("sld2l", 0.3)])
def test_people_are_found_across_resolutions(name, floor, train, query_and_gallery):
    query, gallery = query_and_gallery
    system = SYSTEMS[name]().fit(train)
    distances = system.distances(query, gallery)
    features = features_with_distances(distances)
    found = rank(*features, query.pids, gallery.pids, query.camids, gallery.camids)
    assert found["rank1"] >= floor
    if name != "judea":
        assert len(system.losses) > 2
        falls = -np.diff(system.losses)
        assert (falls >= -1e-9 * system.losses[0]).all()
        assert falls.sum() > 0.05 * system.losses[0]


@pytest.mark.parametrize(
    ("system", "seeded"),
    [
        (lambda seed: Judea(components=4, pca_dim=10), False),
        (lambda seed: Sdf(scales=3, negatives=2, seed=seed), True),
        (lambda seed: Sld2l(2, 4, 8, 1, seed=seed), True),
    ],
)
def test_a_system_is_a_function_of_its_seed(system, seeded, train, query_and_gallery):
    few = train[train.pids < 6]
    pair = [side[np.arange(4)] for side in query_and_gallery]
    first, again, other = (system(seed).fit(few).distances(*pair) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (np.abs(first - other).max() > 1e-6) == seeded


@pytest.mark.parametrize("name", SYSTEMS)
def test_images_that_teach_nothing_are_refused(name, train):
    with pytest.raises(UserError, match=r"^resolutions: found 1.0 throughout, expected low and"):
        SYSTEMS[name]().fit(train[train.resolutions == 1])
    with pytest.raises(UserError, match=r"^(pids|images): found .*, expected"):
        SYSTEMS[name]().fit(train[train.pids == 3])
    if name != "judea":  # pairs are of two cameras
        few = train[train.pids < 3]
        with pytest.raises(UserError, match=r"^images: found .*, expected"):
            SYSTEMS[name]().fit(dataclasses.replace(few, camids=np.zeros_like(few.camids)))


def test_what_is_not_known_is_said():
    for name, text in PARTIAL.items():
        assert text.startswith(f"{name.upper()}: ")
        assert "Ours: " in text
