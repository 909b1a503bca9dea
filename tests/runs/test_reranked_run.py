"""A run scored with views and re-ranking in addition."""

import json

from tiny_pedestrians import tiny_config

from rireid_jax import Extractor
from rireid_jax.evaluation import rank
from rireid_jax.evaluation.embed import Embedder
from rireid_jax.evaluation.k_reciprocal import KReciprocal
from rireid_jax.parallel import Parallel
from rireid_jax.runs.averages import average
from rireid_jax.runs.run import run
from rireid_jax.runs.trial import build_dataset
from rireid_jax.training.checkpoint import Checkpoints


def test_rates_with_and_without(tmp_path, capsys):
    config, workdir = tiny_config(tmp_path, 8, 8), tmp_path / "run"
    config.run, config.baseline = ("backbone",), ""
    config.eval.rerank = "k_reciprocal"
    config.eval.k_reciprocal.k1 = 3
    run(config, str(workdir), "train")
    results = json.loads((workdir / "results.json").read_text())
    reranked = results["reranked"]
    assert "backbone, re-ranked" in capsys.readouterr().out
    assert sum(b["num_query"] for b in reranked["by_resolution"]) == reranked["num_query"]
    assert average({0: results})["reranked"]["mAP"] == reranked["mAP"]
    fingerprint = Extractor.from_workdir(workdir).fingerprint

    data = build_dataset(config, "pedestrians")
    with Checkpoints(str(workdir), "backbone") as checkpoints:
        variables = checkpoints.load_latest()[1]

    def scored(rerank):
        embedder = Embedder(config, "backbone", len(data.train_pids), Parallel("shard_map"))
        query, gallery = (embedder(variables, data.splits[split]) for split in ("query", "gallery"))
        labels = query.pids, gallery.pids, query.camids, gallery.camids
        return rank(query.features, gallery.features, *labels, rerank=rerank)

    for found, rerank in ((results, ""), (reranked, KReciprocal(k1=3))):
        expected = scored(rerank)
        assert {name: found[name] for name in expected} == expected

    config.eval.update(rerank="", views="flip")
    run(config, str(workdir), "evaluate")
    results, expected = json.loads((workdir / "results.json").read_text()), scored("")
    assert {name: results[name] for name in expected} == expected
    assert "reranked" not in results
    extractor = Extractor.from_workdir(workdir)
    assert (extractor.views, extractor.fingerprint != fingerprint) == ("flip", True)
