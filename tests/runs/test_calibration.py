"""`calibration.json` and its picture, verdicts, and the commands that make and use them."""

import sys

import numpy as np
import pytest
from PIL import Image

from rireid_jax.cli.rireid import run_command
from rireid_jax.errors import UserError
from rireid_jax.runs.calibrating import (
    LabelledImages,
    calibrate_model,
    of_source,
    write_calibration,
)
from rireid_jax.runs.calibration import load_calibration
from rireid_jax.runs.extractor import Description, Extractor
from rireid_jax.runs.feature_table import FeatureTable

EDGES = (0.0, 0.5, 1.0)
WIDTH_MAX = 8


class Pixels(Extractor):
    """Features are the mean colour of an image, a hundredth of it."""

    fingerprint = "0123456789abcdef"

    def __init__(self):
        self.width_max = WIDTH_MAX

    def describe(self, images) -> Description:
        opened = [
            image if isinstance(image, Image.Image) else Image.open(image) for image in images
        ]
        features = [np.asarray(image, np.float32).mean(axis=(0, 1)) / 100 for image in opened]
        widths = np.array([image.width for image in opened])
        return Description(np.stack(features), widths, (widths / WIDTH_MAX).astype(np.float32))


def some_people(num: int, unknown_cameras: bool = False) -> LabelledImages:
    """Four images of each, two of them low; most people are far apart."""
    rng = np.random.default_rng(0)
    pids = np.repeat(np.arange(num), 4)
    features = rng.normal(size=(num, 6))[pids] + 0.2 * rng.normal(size=(4 * num, 6))
    camids = np.full(4 * num, -1) if unknown_cameras else np.tile([0, 1, 1, 0], num)
    resolutions = np.tile(np.array([0.4, 0.4, 1, 1], np.float32), num)
    return LabelledImages(features.astype(np.float32), pids, camids, resolutions, "some", "abc")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with the calibration of `Pixels`, and what was written."""
    folder = tmp_path_factory.mktemp("model")
    found = calibrate_model(some_people(60), Pixels.fingerprint, WIDTH_MAX, EDGES, 0.03)
    path = write_calibration(found, folder)
    assert sorted(p.name for p in folder.iterdir()) == ["calibration.json", "calibration.png"]
    with Image.open(path.with_suffix(".png")) as picture:
        assert picture.width > picture.height > 200
    return folder, found


def test_written_and_read(model, tmp_path):
    folder, written = model
    read = load_calibration(folder, Pixels.fingerprint)
    assert (read.edges, read.width_max, read.source) == (EDGES, WIDTH_MAX, "some")
    assert (read.protocol_hash, read.num_people, read.num_images) == ("abc", 60, 240)
    assert [pair.points for pair in read.pairs] == [pair.points for pair in written.pairs]
    assert [pair.num_same for pair in read.pairs] == [60, 120, 60]
    assert load_calibration(tmp_path, Pixels.fingerprint) is None
    assert load_calibration(folder, Pixels.fingerprint, "baseline") is None
    with pytest.raises(UserError, match=r"calibration of another model \(0123.* of ffff"):
        load_calibration(folder, "ffff")
    for content in ("", "[]", '{"pairs": [{}]}', '{"pairs": []}'):
        (tmp_path / "calibration.json").write_text(content)
        with pytest.raises(UserError, match=r"calibration\.json: found no calibration"):
            load_calibration(tmp_path, Pixels.fingerprint)


def test_verdicts(model):
    calibration = load_calibration(model[0], Pixels.fingerprint)
    low_and_high = calibration.pairs[1]
    rates = [point.asked for point in low_and_high.points]
    assert rates == [0.01, 0.02, 0.03, 0.05, 0.1]  # of 1,770 pairs of people
    point = low_and_high.points[1]
    for distance, same in ((point.threshold * 0.999, True), (point.threshold, False)):
        verdict = calibration.verdict(distance, 0.9, 0.3, 0.025)
        assert (verdict.same, verdict.threshold, verdict.asked) == (same, point.threshold, 0.02)
        assert (verdict.false_positive, verdict.true_positive) == (
            point.false_positive,
            point.true_positive,
        )
        assert verdict.bins == ((0.0, 0.5), (0.5, 1.0))
        assert (verdict.num_different, verdict.num_same) == (60 * 59 * 4, 120)
    verdict = calibration.verdict(0.0, 1.0, 1.0, 0.001)
    assert (verdict.same, verdict.threshold, verdict.false_positive) == (None, None, None)
    assert verdict.why == (
        "60 people at r in 0.50-1.00 and 0.50-1.00 are too few for a false-positive rate of 0.001, the least is 0.01"
    )
    with pytest.raises(UserError, match="fpr: found 1, expected a rate"):
        calibration.verdict(0.0, 1.0, 1.0, 1.0)


def test_without_matplotlib_and_with_few_people(monkeypatch, tmp_path, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = calibrate_model(some_people(5, True), Pixels.fingerprint, WIDTH_MAX, EDGES)
    write_calibration(found, tmp_path / "model.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["model.calibration.json"]
    assert "pip install 'rireid_jax[report]'" in caplog.text
    read = load_calibration(tmp_path / "model.pth", Pixels.fingerprint)
    assert read.verdict(0.0, 1.0, 1.0).why == (
        "5 people at r in 0.50-1.00 and 0.50-1.00 are too few for a threshold"
    )
    assert [pair.num_same for pair in read.pairs] == [5, 20, 5]  # unknown cameras are all different


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Thirty people of one colour each: a folder, and a CSV file of the same."""
    folder = tmp_path_factory.mktemp("crops")
    rng = np.random.default_rng(1)
    rows = ["id,path,camera"]
    for person in range(30):
        (folder / "people" / f"p{person}").mkdir(parents=True)
        colour = rng.integers(0, 256, 3)
        for shot, width in enumerate((4, 8, 8)):
            shade = (colour + rng.integers(-9, 9, 3)).clip(0, 255).astype(np.uint8)
            name = f"people/p{person}/{shot}_c{shot % 2}.png"
            Image.fromarray(np.broadcast_to(shade, (8, width, 3)).copy()).save(folder / name)
            rows.append(f"p{person},{name},{shot % 2}")
    (folder / "crops.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_sources_give_the_same_images(crops, tmp_path):
    extractor = Pixels()
    folder = of_source(extractor, str(crops / "people"))
    listed = of_source(extractor, str(crops / "crops.csv"))
    names = tuple(f"p{pid}" for pid in listed.pids)
    table = FeatureTable(
        names=tuple(map(str, range(90))),
        features=listed.features,
        native_widths=np.full(90, 8),
        resolutions=listed.resolutions,
        identities=names,
        cameras=tuple(map(str, listed.camids)),
        fingerprint=extractor.fingerprint,
    )
    table.write(tmp_path / "table.npz")
    extracted = of_source(extractor, str(tmp_path / "table.npz"))

    def points(images):
        found = calibrate_model(images, "0", WIDTH_MAX, EDGES)
        return [
            ([(p.threshold, p.false_positive.rate) for p in pair.points], pair.num_same)
            for pair in found.pairs
        ]

    assert points(folder) == points(listed) == points(extracted)
    assert [num for _, num in points(folder)] == [0, 30, 30]
    (crops / "nobody.csv").write_text("path\npeople/p0/0_c0.png\n")
    with pytest.raises(UserError, match="found 1 of 1 images without an identity"):
        of_source(extractor, str(crops / "nobody.csv"))
    with pytest.raises(UserError, match=r"--images: found .*nosuch, expected a folder"):
        of_source(extractor, str(crops / "nosuch"))
    extractor.fingerprint = "ffff"
    with pytest.raises(UserError, match=r"features of another model \(0123"):
        of_source(extractor, str(tmp_path / "table.npz"))


def test_commands(crops, tmp_path, monkeypatch, capsys):
    model = str(tmp_path / "model.pth")
    for name in ("calibrate", "match"):
        monkeypatch.setattr(
            f"rireid_jax.cli.commands.{name}.open_model", lambda arguments: Pixels()
        )
    a, same, other = (
        str(crops / "people" / name) for name in ("p0/1_c1.png", "p0/2_c0.png", "p1/1_c1.png")
    )
    common = ["--model", model, "--variant", "resnet50"]
    run_command("match", [a, same, *common])
    shown = capsys.readouterr().out
    assert "distance 0." in shown
    assert shown.endswith(f"rireid calibrate --model {model} says what the distance means\n")
    run_command("calibrate", [*common, "--images", str(crops / "crops.csv"), "--fpr", "0.05"])
    shown = capsys.readouterr().out
    assert "at a false-positive rate of 0.05, from 90 images of 30 people" in shown
    assert shown.endswith(f"in {tmp_path / 'model.calibration.json'}\n")
    run_command("match", [a, same, *common, "--fpr", "0.05"])
    shown = capsys.readouterr().out
    assert f"{a}: 8 pixels wide, r = 1.00\n" in shown
    assert "the same person: the distance is below" in shown
    run_command("match", [a, other, *common, "--fpr", "0.05"])
    shown = capsys.readouterr().out
    assert "not shown to be the same person: the distance is not below" in shown
    assert "of the pairs of one person, from 30 pairs" in shown
    run_command("match", [a, other, *common])
    assert "cannot be told: 30 people" in capsys.readouterr().out
    with pytest.raises(
        UserError, match=r"--fpr: found 0\.001, expected at least 0\.05, as there are 30"
    ):
        run_command("calibrate", [*common, "--images", str(crops / "crops.csv")])
    with pytest.raises(UserError, match="--images: not given"):
        run_command("calibrate", common)
    with pytest.raises(UserError, match="--fpr: found 2, expected a rate"):
        run_command("match", [a, other, *common, "--fpr", "2"])
