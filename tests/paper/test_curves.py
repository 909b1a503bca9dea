"""The curves: the numbers beside the pictures, and what the pictures show of them."""

import csv
import sys

import numpy as np
import pytest
from PIL import Image

from rireid_jax.errors import UserError
from rireid_jax.paper.curves import draw_gates, draw_objective
from rireid_jax.paper.objective import Objective
from rireid_jax.paper.sweep import RESOLUTIONS, GateCurves, ObjectiveCurves

pytest.importorskip("matplotlib")

BLUE, VERMILION = (0, 114, 178), (213, 94, 0)


def constant_curves(equal, varied, num_dif=30):
    """O = 1/10 of the two values, with 10 pairs of the same and 30 of different identities."""
    return ObjectiveCurves(
        *(tuple(Objective(v, 10.0, 10, num_dif) for _ in RESOLUTIONS) for v in (equal, varied))
    )


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def where(path, colour):
    """Rows and columns of the pixels of exactly this colour, and (width, height) of the picture."""
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        found = np.nonzero((np.asarray(picture.convert("RGB")) == colour).all(-1))
        return found, picture.size


def test_objective(tmp_path):
    systems = {
        "ResNet50": constant_curves(2.0, 4.0),
        'FFSR, "new"': constant_curves(1.0, 3.0),
    }
    draw_objective(tmp_path, systems)
    assert {path.name for path in tmp_path.iterdir()} == {"objective.png", "objective.csv"}

    rows = rows_of(tmp_path / "objective.csv")
    found = {(row["system"], float(row["r1"]), float(row["r2"])): row for row in rows}
    # r1 = 1 is in both panels.
    assert len(rows) == 2 * 2 * 8
    assert len(found) == 2 * (2 * 8 - 1)
    row = found["ResNet50", 0.25, 0.25]
    assert float(row["O"]) == 0.2
    assert float(row["ratio_of_means"]) == pytest.approx(0.6)
    assert [row[n] for n in ("d_sim", "d_dif", "num_sim", "num_dif")] == ["2.0", "10.0", "10", "30"]
    assert float(found['FFSR, "new"', 0.25, 1.0]["O"]) == 0.3

    # The black of ResNet50 is the text's too; the blue of the second system is its own.
    (ys, xs), (width, height) = where(tmp_path / "objective.png", BLUE)
    plotted = ys < 0.8 * height  # above the legend
    left, right = (ys[plotted & side].mean() for side in (xs < width / 2, xs >= width / 2))
    assert right < left - 0.2 * height  # 0.3 stands higher than 0.1, on the same scale


def test_systems_of_different_images_are_refused(tmp_path):
    systems = {"a": constant_curves(2.0, 4.0), "b": constant_curves(2.0, 4.0, num_dif=31)}
    with pytest.raises(UserError, match="a with 10 and 30; b with 10 and 31"):
        draw_objective(tmp_path, systems)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("num_blocks", [1, 5])
def test_gates(tmp_path, num_blocks):
    r = np.array(RESOLUTIONS, np.float32)
    mean = np.stack([np.stack([1 - r, r], -1)] * num_blocks, axis=1)
    mean[:, -1] = [0.25, 0.75]
    deviation = np.zeros_like(mean)
    deviation[2, 0, 1] = 0.5
    draw_gates(tmp_path, GateCurves(mean, deviation))
    assert {path.name for path in tmp_path.iterdir()} == {"gates.png", "gates.csv"}

    rows = rows_of(tmp_path / "gates.csv")
    assert [float(row["r"]) for row in rows] == list(RESOLUTIONS)
    assert len(rows[0]) == 1 + 4 * num_blocks
    for block in range(num_blocks):
        for i, stream in enumerate("LH"):
            name = f"w{stream}_{block + 1}"
            np.testing.assert_array_equal([float(row[name]) for row in rows], mean[:, block, i])
            found = [float(row[f"{name}_std"]) for row in rows]
            np.testing.assert_array_equal(found, deviation[:, block, i])

    # In the last panel wL is low, wH is high, both level.
    middle = []
    for colour in (VERMILION, BLUE):
        (ys, xs), (width, height) = where(tmp_path / "gates.png", colour)
        inside = (xs > width - 0.7 * width / num_blocks) & (ys < 0.8 * height)
        middle.append(np.median(ys[inside]))
    assert middle[0] > middle[1] + 0.2 * height


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"matplotlib: not installed, .*rireid_jax\[report\]"):
        draw_objective(tmp_path, {"a": constant_curves(2.0, 4.0)})
