"""A small cross-resolution problem: drawn people, high before camera 0 and low before camera 1."""

import numpy as np
import pytest

from rireid_jax.data.pedestrians import render
from rireid_jax.paper.systems.labelled_images import LabelledImages, at_resolution


def drawn(identities: range, shots: int = 2) -> LabelledImages:
    images, pids, camids, resolutions = [], [], [], []
    for identity in identities:
        for camera, shot in np.ndindex(2, shots):
            resolution = 1.0 if camera == 0 else 1 / (2 + (identity + shot) % 3)
            image = render(0, identity, camera, shot, (48, 24))[0]
            images += [at_resolution(image[None], np.ones(1), resolution)[0]]
            pids.append(identity)
            camids.append(camera)
            resolutions.append(resolution)
    arrays = (np.stack(images), np.array(pids), np.array(camids), np.array(resolutions))
    return LabelledImages(*arrays)


@pytest.fixture(scope="session")
def train() -> LabelledImages:
    return drawn(range(30))


@pytest.fixture(scope="session")
def query_and_gallery() -> tuple[LabelledImages, LabelledImages]:
    """20 people that are not in `train`: query (low) and gallery (high), two images of each."""
    people = drawn(range(1000, 1020))
    return people[people.camids == 1], people[people.camids == 0]
