"""`queries.npz`, what runs are compared by, and the pages made from outcomes."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rireid_jax.config import base_config
from rireid_jax.errors import UserError
from rireid_jax.evaluation.scoring import Outcomes, outcomes, rank_queries, summarize
from rireid_jax.runs.queries import Queries, compare_stages, read_queries, write_queries

PIDS = np.array([0, 0, 1, 1, 2, 2])
RESOLUTIONS = np.array([0.3, 1.0] * 3, np.float32)


def queries(**rank1: float) -> Queries:
    """Six queries of three people, with the same Rank-1 in each; the last one does not count."""
    found = {}
    for stage, rate in rank1.items():
        values = np.array([rate] * 5 + [np.nan])
        found[stage] = Outcomes(PIDS, RESOLUTIONS, values, values / 2)
    return Queries(PIDS, RESOLUTIONS, found)


def test_outcomes_are_what_the_rates_are_means_of():
    """In two draws of a gallery, and without the query of identity 5, which has no match."""
    rng = np.random.default_rng(0)
    query_pids, gallery_pids = np.array([0, 1, 2, 5, 1]), np.repeat(np.arange(3), 4)
    features = rng.normal(size=(5, 4)), rng.normal(size=(12, 4))
    cameras = np.zeros(5, int), np.ones(12, int)
    for protocol in ("market", "single_shot", "cuhk03"):
        ranking = rank_queries(*features, query_pids, gallery_pids, *cameras, protocol, repeats=2)
        found, rates = outcomes(ranking, query_pids, np.ones(5)), summarize(ranking)
        assert found.counted().tolist() == [True, True, True, False, True]
        assert np.nanmean(found.rank1) == pytest.approx(rates["rank1"])
        assert np.nanmean(found.average_precision) == pytest.approx(rates["mAP"])
        assert np.isnan(found.average_precision[3])


def test_written_and_read(tmp_path):
    folder = str(tmp_path / "new")
    assert read_queries(folder) is None
    written = queries(joint=1.0, baseline=0.5)
    write_queries(folder, written)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["queries.npz"]
    with np.load(tmp_path / "new" / "queries.npz") as file:
        assert set(file) == {
            *("pid", "resolution"),
            *("rank1/joint", "ap/joint", "rank1/baseline", "ap/baseline"),
        }
    found = read_queries(folder)
    np.testing.assert_array_equal(found.pids, PIDS)
    np.testing.assert_array_equal(found.resolutions, RESOLUTIONS)
    for stage, outcome in written.outcomes.items():
        np.testing.assert_array_equal(found.outcomes[stage].rank1, outcome.rank1)
        expected = outcome.average_precision
        np.testing.assert_array_equal(found.outcomes[stage].average_precision, expected)


@pytest.mark.parametrize("content", [b"", b"no zip", queries(joint=1.0).as_bytes()[:200]])
def test_a_broken_file_is_named(tmp_path, content):
    (tmp_path / "queries.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"queries\.npz: found no outcomes .*expected those"):
        read_queries(str(tmp_path))


def test_stages_are_compared_over_trials():
    trials = [queries(joint=1.0, baseline=0.5), queries(joint=0.75, baseline=0.5)]
    found = compare_stages(trials, "joint", "baseline", (0.0, 0.5, 1.0))
    assert found["rank1"]["difference"] == 0.375
    assert found["rank1"]["num_identities"] == 6
    low, high = found["by_resolution"]
    assert low["rank1"]["difference"] == 0.375
    assert high["rank1"]["num_identities"] == 4  # one query in each trial does not count
    json.dumps(found, allow_nan=False)
    assert compare_stages(trials, "joint", "", (0.0, 1.0)) is None
    assert compare_stages([trials[0], None], "joint", "baseline", (0.0, 1.0)) is None
    assert compare_stages([queries(joint=1.0)], "joint", "baseline", (0.0, 1.0)) is None


def embedded_run(folder: Path, seed: int, ours: float, theirs: float) -> str:
    """A work directory as `make embedded` trains one."""
    restoration = {"psnr_foreground": 24.0, "psnr_foreground_bilinear": 23.0}

    def metrics(rate: float) -> dict:
        bins = [(0.0, 0.5, 3), (0.5, 1.0, 2)]
        rows = [{"low": a, "high": b, "num_query": n, "rank1": rate} for a, b, n in bins]
        rates = {"rank1": rate, "mAP": rate / 2, "by_resolution": rows}
        return {**rates, "num_query": 5, "num_gallery": 9, "restoration": restoration}

    gates = {"correlation_wH": 0.5, "error": 0.25, "constant_error": 0.125}
    results = {
        **metrics(ours),
        "baseline": metrics(theirs),
        "others": {"rife_alone": metrics(ours), "ffsr_joint": metrics(theirs)},
        "comparison": {"rank1": {"num_identities": 3}},
        "inside": {"gates": [gates, gates]},
        "stage": "joint",
        "protocol_hash": "abc",
        "config": {
            "seed": seed,
            "baseline": "baseline",
            "others": ["rife_alone", "ffsr_joint"],
            "eval": {"bins": [0.0, 0.5, 1.0]},
            "data": {"recipe": {"width": 32}},
        },
        "versions": {"jax": "1", "flax": "2", "python": "3", "num_devices": 1, "device": "cpu"},
    }
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results))
    found = queries(joint=ours, baseline=theirs, rife_alone=ours, ffsr_joint=theirs)
    write_queries(str(folder), found)
    return str(folder)


def test_embedded_page(tmp_path):
    script = Path(__file__).parents[2] / "benchmarks" / "embedded.py"

    def run(*workdirs: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, script, *workdirs], capture_output=True, text=True)

    runs = [embedded_run(tmp_path / f"seed{s}", s, 0.75, 0.5 - 0.25 * s) for s in range(2)]
    page = run(*runs).stdout
    assert "trained with seeds 0, 1 on one\n" in page
    assert "| 1 | baseline | 25.0 | 25.0 | 25.0 | 0.0 | 12.5 | 24.00 | 23.00 |" in page
    gains = "+37.5 [+25.0, +50.0] | **higher** | +18.8 [+12.5, +25.0] | **higher**"
    assert f"| all queries | {gains} | 3 |" in page
    assert f"| r in (0.50, 1.00] | {gains} | 2 |" in page
    assert "| gap | +0.0 [+0.0, +0.0] | **cannot be told** |" in page
    assert "over 3 identities and 2 seeds." in page
    assert "with 2 of 2 seeds" in page
    assert "Rank-1 of RIFE is above the baseline's with 2 of 2 seeds" in page
    assert "Rank-1 of FFSR is above the baseline's with 0 of 2 seeds" in page
    assert "| 2 | 0.50 | 0.25 | 0.12 |" in page
    assert "| 9 to 10 pixels | 3 | 75.0 | 75.0 | 37.5 | 37.5 |" in page  # r = 0.3 of 32 pixels
    alone = run(runs[0]).stdout
    assert "trained with seed 0 on one\n" in alone
    assert "3 identities, one seed: nothing is said about another training" in alone

    assert run(runs[0], runs[0]).stdout.count("| 0 | baseline |") == 1
    again = embedded_run(tmp_path / "again", 0, 0.75, 0.5)
    assert "error: found seed 0 twice" in run(runs[0], again).stderr
    (tmp_path / "seed1" / "queries.npz").unlink()
    assert run(*runs).stderr.startswith(f"error: found no queries.npz in {runs[1]}, expected")


def test_strong_page(tmp_path):
    """Outcomes that are known: a system with copies finds half of what was drawn, and all at full resolution."""
    script = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "strong.py"))
    config = base_config("pedestrians")
    pids = np.array([1, 1, 2, 2])

    def outcome(rank1: list[float]) -> list[Outcomes]:
        return [Outcomes(pids, np.ones(4, np.float32), np.array(rank1), np.array(rank1))]

    scored = {}
    for gallery in script["_GALLERIES"]:
        for asked in script["_QUERIES"]:
            for stage in script["STRONG"]:
                plain, copies = [0.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]
                if stage == "strong_joint" and asked == "full":
                    copies = [1.0, 1.0, 1.0, 1.0]
                for name, rates in ((f"{stage}_plain", plain), (stage, copies)):
                    scored[gallery, asked, name] = {seed: outcome(rates) for seed in (3, 4)}
    splits = {"query": range(4), "gallery": range(7)}
    data = SimpleNamespace(splits=splits, protocol_hash="abc")
    page = script["_page"](config, data, scored)
    assert "trained with seeds 3, 4 on the embedded data, protocol\nabc." in page
    assert "The 4 queries are asked as they were drawn, at widths of 4 to 31 pixels" in page
    assert page.count("| FFSR+RIFE | yes | 50.0 | 50.0 | 50.0 | 50.0 | 100.0 |") == 2
    assert page.count("**+50.0 [+50.0, +50.0]** | **+100.0 [+100.0, +100.0]** |") == 2
    assert "over\n2 identities and 2 seeds. They" in page
    everything = (
        "ResNet50 with copies | 50.0 | RIFE with copies, FFSR with copies, FFSR+RIFE with copies |"
    )
    assert f"| a mixed gallery | as drawn | {everything}" in page
    assert "| a mixed gallery | full | FFSR+RIFE with copies | 100.0 | none |" in page
