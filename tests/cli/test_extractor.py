"""The Extractor on what a whole run has trained."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import environment
from PIL import Image

import rireid_jax
from rireid_jax.cli.rireid import run_command
from rireid_jax.data.build import build
from rireid_jax.errors import UserError
from rireid_jax.evaluation import rank
from rireid_jax.runs.calibration import load_calibration


@pytest.fixture(scope="module")
def extractor(whole_run):
    # One batch size, one compilation.
    return rireid_jax.Extractor.from_workdir(whole_run.workdir, batch_size=8)


@pytest.fixture(scope="module")
def data(whole_run):
    config = whole_run.results["config"]
    return build("vr_market1501", config["data"]["recipe"], data_dir=config["data"]["dir"])


@pytest.fixture(scope="module")
def files(data, tmp_path_factory) -> dict[str, list[Path]]:
    """Query and gallery as image files, as a user has them."""
    folder = tmp_path_factory.mktemp("crops")
    paths: dict[str, list[Path]] = {}
    for split in ("query", "gallery"):
        paths[split] = [folder / f"{split} {i}.png" for i in range(len(data.splits[split]))]
        for i, path in enumerate(paths[split]):
            path.write_bytes(data.splits[split][i].image)
    return paths


def test_features_score_as_the_run_did(whole_run, extractor, data, files):
    features = {split: extractor.extract(paths) for split, paths in files.items()}
    records = {split: [data.splits[split][i] for i in range(len(files[split]))] for split in files}
    metrics = rank(
        features["query"],
        features["gallery"],
        [record.pid for record in records["query"]],
        [record.pid for record in records["gallery"]],
        [record.camid for record in records["query"]],
        [record.camid for record in records["gallery"]],
    )
    for name in ("rank1", "rank5", "rank10", "num_query", "num_gallery"):
        assert metrics[name] == whole_run.results[name]
    assert metrics["mAP"] == pytest.approx(whole_run.results["mAP"], abs=1e-3)


def test_the_run_has_calibrated_this_model(whole_run, extractor):
    """On eight people, which are too few for a threshold."""
    calibration = load_calibration(whole_run.workdir, extractor.fingerprint)
    assert (calibration.num_people, calibration.width_max) == (8, extractor.width_max)
    assert calibration.protocol_hash == whole_run.results["protocol_hash"]
    assert [pair.points for pair in calibration.pairs] == [()] * 6
    assert (whole_run.workdir / "calibration.png").exists()


def test_the_command_calibrates_on_what_the_run_did(whole_run):
    """And says that eight people are too few, as its table is empty."""
    path = whole_run.workdir / "calibration.json"
    before = json.loads(path.read_text())
    with pytest.raises(UserError, match=r"--fpr: found 0\.001, expected more people than the 8"):
        run_command("calibrate", ["--model", str(whole_run.workdir), "--batch-size", "8"])
    assert json.loads(path.read_text()) == before


def test_features(extractor, files):
    features = extractor.extract(files["query"])
    assert features.shape == (16, 256)
    assert features.dtype == np.float32
    assert np.ptp(features, axis=0).max() > 0


def test_all_ways_to_give_an_image(extractor, files):
    path = files["query"][0]
    picture = Image.open(path)
    pixels = np.asarray(picture)
    features = extractor.extract([str(path), path, picture, pixels])
    np.testing.assert_array_equal(features, np.broadcast_to(features[:1], features.shape))


def test_images_of_any_size_and_mode(extractor):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((1, 1), (300, 7), (33, 200))]
    pictures = [
        Image.fromarray(images[1]).convert(mode) for mode in ("L", "P", "RGBA", "CMYK", "1")
    ]
    features = extractor.extract([*images, *pictures])
    assert features.shape == (8, 256)
    assert np.isfinite(features).all()


def test_more_than_a_batch_keeps_the_order(extractor, files):
    paths = files["gallery"][:20]
    together = extractor.extract(paths)
    alone = [extractor.extract([path])[0] for path in paths[::7]]
    np.testing.assert_allclose(together[::7], alone, rtol=1e-4, atol=1e-5)


def test_no_images(extractor):
    assert extractor.extract([]).shape == (0, 256)
    assert extractor.extract([]).dtype == np.float32
    assert extractor.restore([]).shape == (0, 32, 16, 3)
    assert [w.shape for w in extractor.weights([])] == [(0, 4), (0, 4)]


def test_restore(extractor, files):
    restored = extractor.restore(files["query"][:3])
    assert restored.shape == (3, 32, 16, 3)
    assert restored.dtype == np.uint8
    # A network of six epochs still gives the enlarged image, more or less.
    with Image.open(files["query"][0]) as image:
        enlarged = np.asarray(image.resize((16, 32), Image.Resampling.BILINEAR), np.float32)
    assert np.abs(restored[0] - enlarged).mean() < 16


def test_weights(extractor, files):
    low, high = extractor.weights(files["query"])
    assert low.shape == high.shape == (16, 4)
    assert ((low >= 0) & (low <= 1) & (high >= 0) & (high <= 1)).all()
    assert low.std() > 0 < high.std()


_ONE_IMAGE = """
import sys, pathlib, PIL.Image, numpy, rireid_jax
from rireid_jax.errors import UserError
extractor = rireid_jax.Extractor.from_workdir(sys.argv[1])
for kind in (str, pathlib.Path, PIL.Image.open, lambda p: numpy.asarray(PIL.Image.open(p))):
    try:
        extractor.extract(kind(sys.argv[2]))
    except UserError as error:
        print(error)
"""


def test_one_image_instead_of_a_list(whole_run, files):
    """In a process in which types are not checked: as users have it."""
    result = subprocess.run(
        [sys.executable, "-c", _ONE_IMAGE, whole_run.workdir, files["query"][0]],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.splitlines() == [
        f"images: found one {kind}, expected a list of images"
        for kind in ("str", "PosixPath", "PngImageFile", "ndarray")
    ], result.stderr


def test_corrupt_and_missing_files_are_named(extractor, files, tmp_path):
    torn, missing = tmp_path / "torn.jpg", tmp_path / "missing.jpg"
    buffer = io.BytesIO()
    Image.open(files["query"][0]).save(buffer, "JPEG")
    torn.write_bytes(buffer.getvalue()[:-40])
    for path in (torn, missing):
        with pytest.raises(UserError, match=rf"{path.name}: .*expected a readable image"):
            extractor.extract([files["query"][0], path])


@pytest.mark.parametrize(
    "array", [np.zeros((8, 4, 3)), np.zeros((8, 4), np.uint8), np.zeros((8, 4, 4), np.uint8)]
)
def test_arrays_of_another_kind(extractor, files, array):
    with pytest.raises(UserError, match=r"image 9: found an array .*, expected uint8 \[H, W, 3\]"):
        extractor.extract([*files["query"][:9], array])


def test_other_stages(whole_run, files):
    load = rireid_jax.Extractor.from_workdir
    baseline = load(whole_run.workdir, stage="baseline")
    assert [w.shape for w in baseline.weights([])] == [(0, 0), (0, 0)]
    ffsr = load(str(whole_run.workdir), stage="ffsr", batch_size=8)
    assert ffsr.restore(files["query"][:1]).shape == (1, 32, 16, 3)
    with pytest.raises(UserError, match="only restores images"):
        ffsr.extract(files["query"])
    with pytest.raises(UserError, match=r"stage: found 'nosuch', expected one of .*joint"):
        load(whole_run.workdir, stage="nosuch")
    with pytest.raises(UserError, match=r"no evaluated checkpoint.*eval\.every_epochs"):
        load(whole_run.workdir, checkpoint="best")


def test_no_run(tmp_path):
    with pytest.raises(UserError, match=r"found no config\.json"):
        rireid_jax.Extractor.from_workdir(tmp_path / "nosuch")
