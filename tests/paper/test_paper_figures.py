"""The figures of a report, with a network that can be worked out by hand in the place of every row's."""

import numpy as np
import pytest
from measured import few_pedestrians, measured
from PIL import Image

from rireid_jax.paper import figures
from rireid_jax.paper.rows import ROWS
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.trial import build_dataset

pytest.importorskip("matplotlib")


class MeanColours(Extractor):
    """Features are mean colours, and the gates say how wide an image is."""

    loaded: list[str] = []  # noqa: RUF012 emptied by the test

    def __init__(self):
        """Holds no network."""

    @classmethod
    def from_workdir(cls, folder):
        cls.loaded.append(folder)
        return cls()

    def extract(self, images):
        return np.stack([np.asarray(image, np.float32).mean((0, 1)) for image in images])

    def restore(self, images):
        return np.zeros((len(images), 64, 32, 3), np.uint8)

    def weights(self, images):
        r = np.array([[image.width / 32] * 4 for image in images])
        return 1 - r, r


@pytest.fixture
def drawing(tmp_path, monkeypatch):
    """Draws rows with seed 0 and 1 on a few pedestrians."""
    monkeypatch.setattr(figures, "Extractor", MeanColours)
    MeanColours.loaded.clear()
    config = few_pedestrians(tmp_path)
    data = build_dataset(config, config.dataset)

    def make(*rows):
        systems = {row: measured(0.5, 0.5) for row in rows}
        return figures.Drawing(config, str(tmp_path), systems, data)

    return make


def test_all_figures(drawing, tmp_path):
    made = drawing(*(row for row, spec in ROWS.items() if spec.stage))
    found = made.draw(tmp_path / "report")
    assert len(found) == 5
    for figure in found:
        assert figure.problem == ""
        with Image.open(figure.file) as picture:
            assert picture.format == "PNG"
    rows = ("resnet50", "ffsr_joint", "rife", "ffsr_rife", "ffsr")
    assert sorted(MeanColours.loaded) == sorted(str(tmp_path / row / "seed0") for row in rows)
    assert made.objective.keys() == {"resnet50", "ffsr_joint", "rife", "ffsr_rife"}
    assert all(len(panel) == 8 for panels in made.objective.values() for panel in panels)

    assert not any(figure.file for figure in drawing().draw(tmp_path / "nothing"))
