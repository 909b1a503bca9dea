"""Runs that hold out identities, and the choice of settings on them."""

import json
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_pedestrians import tiny_config

from rireid_jax.config import base_config, validate
from rireid_jax.errors import UserError
from rireid_jax.runs import trial
from rireid_jax.runs.run import run
from rireid_jax.training.checkpoint import Checkpoints

choose = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/choose.py")))


def held_out_config(folder, epochs=3):
    config = tiny_config(folder, 12, 4, epochs, epochs)
    config.data.validation = 0.25
    config.eval.batch_size = 24
    return config


@pytest.fixture
def scored(monkeypatch):
    """The split and the Rank-1 of every scoring, and how many images training had."""
    calls = []

    def spy(config, embedder, variables, data, split, rerank=None):
        found = evaluate(config, embedder, variables, data, split)
        calls.append((split, found.metrics["rank1"], len(data.splits["train"])))
        return found

    evaluate = trial.evaluate
    monkeypatch.setattr(trial, "evaluate", spy)
    return calls


def read(workdir, name):
    return json.loads((workdir / f"{name}.json").read_text())


def test_best_checkpoint_and_figures_on_validation_identities(tmp_path, scored, capsys):
    config = held_out_config(tmp_path)
    config.eval.every_epochs, config.checkpoint.keep = 1, 9
    workdir = tmp_path / "run"
    run(config, str(workdir), "train")
    on_the_way, at_the_end = scored[:-2], scored[-2:]
    assert [split for split, *_ in on_the_way] == ["validation"] * 6
    assert [split for split, *_ in at_the_end] == ["query", "validation"]
    assert {images for *_, images in scored} == {18}  # of nine identities in two cameras
    scores = [rank1 for _, rank1, _ in on_the_way[3:]]
    with Checkpoints(str(workdir), "baseline") as checkpoints:
        best = checkpoints.steps.index(checkpoints.best_step())
    assert scores[best] == max(scores)

    results = read(workdir, "results")
    held_out = results["validation"]
    assert (held_out["num_identities"], held_out["num_images"], held_out["num_query"]) == (3, 6, 6)
    assert held_out["rank1"] == scores[-1]
    assert held_out["baseline"] is None
    assert "On 3 validation identities (6 images): Rank-1 " in capsys.readouterr().out

    del scored[:]
    before = (workdir / "results.json").read_bytes()
    config.eval.split = "validation"
    run(config, str(workdir), "evaluate")
    assert [split for split, *_ in scored] == ["validation"]
    assert (workdir / "results.json").read_bytes() == before
    found = read(workdir, "validation")
    assert found["validation"] == held_out
    assert (found["rank1"], found["mAP"]) == (held_out["rank1"], held_out["mAP"])
    assert found["protocol"] == "market"
    config.data.validation = 0.5
    with pytest.raises(UserError, match=r"config\.data\.validation is 0\.5 here and 0\.25 there"):
        run(config, str(workdir), "evaluate")


def test_without_them_queries_choose_and_a_line_says_so(tmp_path, scored, caplog):
    config = held_out_config(tmp_path, epochs=1)
    config.data.validation, config.eval.every_epochs = 0.0, 1
    config.run = ("backbone",)
    run(config, str(tmp_path / "run"), "train")
    assert [split for split, *_ in scored] == ["query", "query"]
    assert read(tmp_path / "run", "results")["validation"] is None
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [line for line in warnings if "best checkpoints" in line] == [
        "config.data.validation is 0: best checkpoints are chosen on the queries that are reported"
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("data.validation", 1.0, r"config\.data\.validation: found 1\.0, expected a number in"),
        ("eval.split", "gallery", r"config\.eval\.split: found 'gallery', expected one of 'query'"),
        ("eval.split", "validation", r"expected 'query' where config\.data\.validation is 0"),
    ],
)
def test_bad_values(field, value, message):
    config = base_config("pedestrians")
    config.run = ("rife",)
    validate(config)
    assert config.data.validation == 0.1
    assert base_config("vr_market1501").data.validation == 0.0
    config.data.validation = 0.0
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=message):
        validate(config)


def test_choose(tmp_path, scored, caplog, capsys):
    config = held_out_config(tmp_path, epochs=1)
    rate = "stages.baseline.optimizer.extractor.rate"
    settings = choose.combinations([f"{rate}=0.001,0.1"])
    assert [choose.flags_line(setting) for setting in settings] == [
        f"--config.{rate}=0.001",
        f"--config.{rate}=0.1",
    ]
    workdir = str(tmp_path / "choose")
    with caplog.at_level("INFO"):
        results = [
            [
                choose.measure(
                    choose.setting_config(config, "baseline", setting, 0), workdir, setting
                )
            ]
            for setting in settings
        ]
    # The backbone does not depend on the rate of the baseline.
    assert sum("backbone: taken from" in record.message for record in caplog.records) == 1
    assert [split for split, *_ in scored] == ["validation"] * 2
    assert not list(tmp_path.rglob("results.json"))
    again = choose.setting_config(config, "baseline", settings[0], 0)
    assert choose.measure(again, workdir, settings[0]) == results[0][0]
    assert len(scored) == 2

    results = [
        [{**found, "rank1": rank1} for rank1 in rates]
        for (found,), rates in zip(results, ((0.25, 0.5), (0.75, 0.5)), strict=True)
    ]
    shown = choose.table(settings, results, (0, 1)).splitlines()
    assert re.fullmatch(r"0\.1 +62\.5 \(50\.0-75\.0\) .*", shown[6])
    assert re.fullmatch(r"0\.001 +37\.5 \(25\.0-50\.0\) .*", shown[7])
    rates = [100 * part["rank1"] for part in results[0][0]["by_resolution"] if part["num_query"]]
    low = rates[0]
    assert shown[7].endswith(f"{low:.1f} ({low:.1f}-{low:.1f})")
    assert "on 3 validation identities (6 images), mean over the seeds 0, 1" in shown[8]
    assert shown[-1] == f"best: --config.{rate}=0.1"


def test_choose_on_the_queries_of_another_drawing(tmp_path, scored):
    config = held_out_config(tmp_path, epochs=1)
    config.others = ("backbone",)
    choose.draw_anew(config, 3)
    [setting] = choose.combinations(["stages.backbone.epochs+stages.baseline.epochs=2"])
    assert choose.flags_line(setting) == (
        "--config.stages.backbone.epochs=2 --config.stages.baseline.epochs=2"
    )
    own = choose.setting_config(config, "baseline", setting, 0, on_queries=True)
    assert (own.stages.backbone.epochs, own.stages.baseline.epochs) == (2, 2)
    found = choose.measure(own, str(tmp_path / "choose"), setting)
    assert [(found["rank1"], "query")] == [(rank1, split) for split, rank1, _ in scored[:1]]
    shown = choose.table([setting], [[found]], (0,))
    assert f"on the {found['num_query']} queries of drawing 3, mean" in shown
    with pytest.raises(UserError, match="--drawing: found 3, the config's own"):
        choose.draw_anew(config, 3)
    with pytest.raises(UserError, match="found vr_market1501, expected data that are drawn"):
        choose.draw_anew(base_config("vr_market1501"), 1)


def test_combinations_and_values(tmp_path):
    found = choose.combinations(["config.batch_size=8,16", "data.image_size=(32,16),(64,32)"])
    assert len(found) == 4
    assert (
        choose.flags_line(found[3]) == "--config.batch_size=16 --config.data.image_size='(64,32)'"
    )
    own = choose.setting_config(held_out_config(tmp_path), "baseline", found[3], 7)
    assert (own.seed, own.batch_size, own.data.image_size) == (7, 16, (64, 32))
    assert own.run == tuple(own.stages) == ("backbone", "baseline")
    for vary, message in (
        ([], "--vary: not given"),
        (["batch_size"], "expected FIELD=VALUE,VALUE with different values"),
        (["batch_size=8,8"], "with different values"),
        (["batch_size+seed=8", "seed=1"], "and every field once"),
        (["nosuch.field=1"], "found nosuch.field, expected a field of the config"),
        (["stages.rife.epochs=1"], r"stages that are trained \(backbone, baseline\)"),
        (["batch_size=many"], "found batch_size=many, expected a value like 8"),
        (["batch_size=0"], "config.batch_size: found 0"),
        (["data.validation=0.2"], "expected a field that leaves the same people held out"),
        (["seed=1"], "expected a field that leaves the same people held out"),
    ):
        with pytest.raises(UserError, match=message):
            configs_of(vary, tmp_path)


def configs_of(vary, folder):
    config = held_out_config(folder)
    for setting in choose.combinations(vary):
        choose.setting_config(config, "baseline", setting, 0)
