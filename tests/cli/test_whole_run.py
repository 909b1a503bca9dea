"""All stages on a folder like Market-1501, from JPEG files to results."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import succeed
from PIL import Image

RATES = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")
# Full batches of 8 in 24 natural images or 32 crops, times the epochs.
STEPS = {
    "ffsr_pretrain": 12,
    "ffsr": 24,
    "backbone": 12,
    "rife": 24,
    "joint": 24,
    "baseline": 12,
}


def strict(text: str):
    """JSON without the NaN and Infinity that Python lets pass."""

    def refuse(constant: str):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def rows(workdir: Path) -> list[dict]:
    return [strict(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_build_says_what_it_built(whole_run):
    market, natural = whole_run.build_output.splitlines()
    assert market.startswith("vr_market1501: 32 train, 16 query, 34 gallery; protocol ")
    assert natural.startswith("natural_images: 24 train; protocol ")
    assert whole_run.results["protocol_hash"] in market
    assert str(whole_run.folder / "data") in market


def test_results(whole_run):
    results = strict((whole_run.workdir / "results.json").read_text())
    assert results["dataset"] == "vr_market1501"
    assert len(results["protocol_hash"]) == 16
    assert results["stage"] == "joint"
    assert results["step"] == 24
    assert results["seconds"] > 0
    for metrics in (results, results["baseline"]):
        assert metrics["protocol"] == "market"
        assert metrics["num_query"] == 16
        assert metrics["num_gallery"] == 34
        assert all(0 <= metrics[name] <= 1 for name in RATES)
        assert metrics["rank1"] <= metrics["rank5"] <= metrics["rank10"] <= metrics["rank20"]
        bins = metrics["by_resolution"]
        assert [(b["low"], b["high"]) for b in bins] == [(0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1)]
        assert sum(b["num_query"] for b in bins) == 16
        hits = sum(b["rank1"] * b["num_query"] for b in bins if b["num_query"])
        assert hits == pytest.approx(16 * metrics["rank1"])
        restoration = metrics["restoration"]
        assert all(5 < restoration[f"psnr{part}"] < 60 for part in ("", "_bilinear"))
        # Market-1501 has no masks.
        assert restoration["psnr_foreground"] is None
        assert restoration["psnr_foreground_bilinear"] is None
    assert results["restoration"]["psnr"] != results["restoration"]["psnr_bilinear"]
    baseline = results["baseline"]["restoration"]
    assert baseline["psnr"] == baseline["psnr_bilinear"]
    assert results["gates"]
    assert not results["baseline"]["gates"]
    assert len(results["inside"]["gates"]) == len(results["gates"][0]["wL"])
    assert all(-1 <= block["correlation_wH"] <= 1 for block in results["inside"]["gates"])
    assert all(0 < block["distance"] < 1 for block in results["inside"]["streams"])
    assert results["baseline"]["inside"] == {"gates": [], "streams": []}
    assert isinstance(results["warnings"], list)
    assert results["config"]["size"] == "small"
    assert results["config"]["data"]["image_size"] == [32, 16]
    assert {"jax", "flax", "python", "rireid_jax", "device"} <= set(results["versions"])


def test_queries(whole_run):
    """Rates and differences are means of the outcomes that are kept of each query."""
    results = whole_run.results
    with np.load(whole_run.workdir / "queries.npz") as file:
        arrays = dict(file)
    names = {f"{rate}/{stage}" for rate in ("rank1", "ap") for stage in ("joint", "baseline")}
    assert set(arrays) == {"pid", "resolution"} | names
    assert {array.shape for array in arrays.values()} == {(16,)}
    for stage, metrics in (("joint", results), ("baseline", results["baseline"])):
        assert np.mean(arrays[f"rank1/{stage}"]) == pytest.approx(metrics["rank1"])
        assert np.mean(arrays[f"ap/{stage}"]) == pytest.approx(metrics["mAP"])
    comparison = results["comparison"]
    for rate in ("rank1", "mAP"):
        found = comparison[rate]
        assert found["difference"] == pytest.approx(results[rate] - results["baseline"][rate])
        assert found["low"] <= found["difference"] <= found["high"]
        assert (found["num_identities"], found["num_seeds"]) == (8, [1, 1])
        told = found["low"] > 0 or found["high"] < 0
        assert (found["verdict"] != "cannot be told") == told
    for found, ours, theirs in zip(
        *(comparison["by_resolution"], results["by_resolution"]),
        results["baseline"]["by_resolution"],
        strict=True,
    ):
        assert (found["low"], found["high"]) == (ours["low"], ours["high"])
        if ours["num_query"]:
            expected = ours["rank1"] - theirs["rank1"]
            assert found["rank1"]["difference"] == pytest.approx(expected)
        else:
            assert found["rank1"] is None
    table = (whole_run.workdir / "results.txt").read_text()
    assert "all queries" in table
    assert "one seed: nothing is said about another training" in table


def test_metrics(whole_run):
    records = rows(whole_run.workdir)
    stages = whole_run.results["config"]["run"]
    assert set(stages) == set(STEPS)
    assert [(r["stage"], r["step"]) for r in records] == [
        (stage, step) for stage in stages for step in range(1, STEPS[stage] + 1)
    ]
    for record in records:
        assert record["loss"] > 0
        assert record["learning_rate"] > 0
        assert math.isfinite(record["gradient_norm"])
        # Nothing is known of the speed of the step that compiles.
        assert record["images_per_second"] is None or record["images_per_second"] > 0
    # Three steps an epoch.
    pretraining = [r for r in records if r["stage"] == "ffsr_pretrain"]
    assert pretraining[3]["epoch"] == pytest.approx(4 / 3)
    joint = next(r for r in records if r["stage"] == "joint")
    assert {"ffsr_loss", "identity_loss", "resolution_loss", "accuracy"} <= set(joint)
    restoring = [r for r in records if r["stage"] in ("ffsr_pretrain", "ffsr", "joint")]
    measured = [r for r in restoring if r["psnr"] is not None]
    assert {r["stage"] for r in measured} == {"ffsr_pretrain", "ffsr", "joint"}
    assert all(5 < r[name] < 60 for r in measured for name in ("psnr", "psnr_bilinear"))
    assert all(r["psnr_foreground"] is None for r in restoring)  # there are no masks
    rife = [r["learning_rate"] for r in records if r["stage"] == "rife"]
    np.testing.assert_allclose(rife, [0.05] * 12 + [0.005] * 12, rtol=1e-6)


def test_every_stage_says_how_long_the_run_takes(whole_run):
    lines = re.findall(r"(\w+): about (.+) of training left in the whole run", whole_run.train_log)
    assert [stage for stage, _ in lines] == list(whole_run.results["config"]["run"])
    assert all(re.fullmatch(r"\d+ (second|minute)s?", time) for _, time in lines)
    assert "this size takes" not in whole_run.train_log


def test_tensorboard(whole_run):
    events = list((whole_run.workdir / "tensorboard").glob("events.out.tfevents.*"))
    assert len(events) == 1
    content = events[0].read_bytes()
    assert all(f"{stage}/loss".encode() in content for stage in STEPS)


def test_pictures(whole_run):
    # Eight images of at most 128 pixels' height in three rows: as seen, restored, original.
    with Image.open(whole_run.workdir / "restored.png") as picture:
        assert picture.format == "PNG"
        assert 8 * 40 < picture.width < 1200
        assert 3 * 128 < picture.height < 4 * 128
    # Four queries in two systems.
    with Image.open(whole_run.workdir / "ranked.png") as picture:
        assert picture.format == "PNG"
        assert 11 * 40 < picture.width < 1500
        assert 8 * 128 < picture.height < 9 * 170
    with Image.open(whole_run.workdir / "gates.png") as picture:
        assert picture.format == "PNG"
        assert 4 * 240 < picture.width < 1500


def test_table(whole_run):
    table = (whole_run.workdir / "results.txt").read_text()
    assert table in whole_run.train_output
    assert max(map(len, table.splitlines())) <= 100
    (joint,) = (line for line in table.splitlines() if line.startswith("joint "))
    assert float(joint.split()[1]) == pytest.approx(100 * whole_run.results["rank1"], abs=0.051)
    assert whole_run.results["protocol_hash"] in whole_run.train_output


def test_only_the_last_checkpoints_are_kept(whole_run):
    for stage in STEPS:
        steps = {path.name for path in (whole_run.workdir / "checkpoints" / stage).iterdir()}
        assert steps == {str(STEPS[stage] - 4), str(STEPS[stage])}


def test_tensorflow_is_not_imported(whole_run):
    found = whole_run.tensorflow_imports
    assert not found.exists(), found.read_text()


def test_evaluate_again(whole_run, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(whole_run.workdir, workdir)
    (workdir / "results.json").unlink()
    queries = (workdir / "queries.npz").read_bytes()
    metrics = (workdir / "metrics.jsonl").read_bytes()
    succeed(*whole_run.flags, f"--workdir={workdir}", "--mode=evaluate")
    again = strict((workdir / "results.json").read_text())
    first = whole_run.results
    del again["seconds"], first["seconds"]
    assert again == first
    assert (workdir / "queries.npz").read_bytes() == queries
    assert (workdir / "metrics.jsonl").read_bytes() == metrics
