"""The score on validation identities, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from rireid_jax.config import base_config
from rireid_jax.evaluation.embed import Embedder, Embedding
from rireid_jax.evaluation.evaluate import evaluate

# Position on a line, identity, camera.
IMAGES = (
    (0.0, 1, 0),  # nearest in the other camera: its own second image
    (0.1, 1, 0),  # as above; the image next to it is of the same camera and does not count
    (0.3, 1, 1),  # the first two; right
    (5.0, 2, 0),  # the nearest of another camera is a stranger's (identity 3), its own comes second
    (5.2, 3, 1),  # the first is identity 2's of camera 0; its own match is far
    (6.0, 2, 1),  # right
    (9.0, 3, 0),
    (9.5, 4, 0),  # in one camera alone: no query, but in the way of others
)


DATA = SimpleNamespace(splits={"validation": "the images"})


class OnALine(Embedder):
    def __init__(self):
        pass

    def __call__(self, variables, source):
        assert source == "the images"
        position, pids, camids = map(np.array, zip(*IMAGES, strict=True))
        count = len(IMAGES)
        features = np.stack([position, np.zeros(count)], 1).astype(np.float32)
        restoration = {"psnr": np.full(count, np.nan)}
        return Embedding(
            features, np.zeros((count, 0, 2)), pids, camids, np.ones(count, np.float32), restoration
        )


@pytest.mark.parametrize("dataset", ["pedestrians", "mlr_viper", "mlr_cuhk03"])
def test_every_image_is_a_query_under_market(dataset):
    found = evaluate(base_config(dataset), OnALine(), None, DATA, "validation").metrics
    assert found["protocol"] == "market"
    assert (found["num_query"], found["num_skipped"], found["num_gallery"]) == (7, 1, 8)
    ranks = []
    for x, pid, camid in IMAGES[:7]:
        others = sorted((abs(x - y), p == pid) for y, p, c in IMAGES if (p, c) != (pid, camid))
        ranks.append([match for _, match in others])
    # Identities 1 and 2 have 3 and 1 right; of identity 3, none.
    assert [rank[0] for rank in ranks] == [True, True, True, False, False, False, False]
    assert found["rank1"] == pytest.approx(3 / 7)
    precision = [
        np.mean([np.mean(rank[: i + 1]) for i, match in enumerate(rank) if match]) for rank in ranks
    ]
    assert found["mAP"] == pytest.approx(np.mean(precision))
