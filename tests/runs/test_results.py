"""The tables that a run prints."""

import numpy as np

from rireid_jax.evaluation.intervals import compare
from rireid_jax.evaluation.scoring import Outcomes
from rireid_jax.runs.files import jsonable
from rireid_jax.runs.results import results_table, results_text
from rireid_jax.text_table import aligned


def metrics(rank1, psnr, bins=((0.0, 0.5, 0.125), (0.5, 1.0, None))):
    return {
        **dict.fromkeys(("rank1", "rank5", "mAP", "mINP"), rank1),
        "by_resolution": [{"low": low, "high": high, "rank1": r} for low, high, r in bins],
        "restoration": {
            "psnr": psnr,
            "psnr_bilinear": 20.0,
            "psnr_foreground": None,
            "psnr_foreground_bilinear": None,
        },
    }


def test_aligned():
    rows = [["name", "a\nlong", "b"], ["x", "1", "22.5"], ["longer", "12345", "-"]]
    assert aligned(rows).split("\n") == [
        "            a",
        "name     long     b",
        "------  -----  ----",
        "x           1  22.5",
        "longer  12345     -",
    ]


def test_results_table():
    table = results_table({"joint": metrics(0.6694, 21.346), "baseline": metrics(0.5, 20.0)})
    lines = table.split("\n")
    assert [" ".join(line.split()) for line in lines[:3]] == [
        "Rank-1 Rank-1",
        "at r in at r in PSNR PSNR",
        "system Rank-1 Rank-5 mAP mINP 0.00-0.50 0.50-1.00 image foreground",
    ]
    assert [line.split() for line in lines[4:6]] == [
        ["joint", "66.9", "66.9", "66.9", "66.9", "12.5", "-", "21.35", "-"],
        ["baseline", "50.0", "50.0", "50.0", "50.0", "12.5", "-", "20.00", "-"],
    ]
    assert lines[6].startswith("Rates in percent, PSNR in dB")
    assert len(lines) == 7


def test_bilinear_images_are_a_row_where_no_system_has_them():
    table = results_table({"ffsr": metrics(None, 21.0, bins=())})
    assert [line.split() for line in table.split("\n")[3:5]] == [
        ["ffsr", "-", "-", "-", "-", "21.00", "-"],
        ["bilinear", "-", "-", "-", "-", "20.00", "-"],
    ]


def test_no_row_of_bilinear_images_where_nothing_is_known_of_them():
    unknown = metrics(0.5, None, bins=())
    unknown["restoration"]["psnr_bilinear"] = None
    assert "bilinear" not in results_table({"joint": unknown})


def test_warnings_are_below_the_table():
    results = {**metrics(0.5, 21.0), "stage": "joint", "baseline": None}
    table = results_text(results)  # of an older version, without warnings
    assert table == results_table({"joint": results}) == results_text(results | {"warnings": []})
    text = results_text(results | {"warnings": ["short", "long " * 30]})
    rest = text.removeprefix(table).split("\n")
    assert rest[:3] == ["", "", "warning: short"]
    assert " ".join(rest[3:]).split() == ["warning:", *["long"] * 30]
    assert len(rest) == 5
    assert max(map(len, rest)) <= 100


def outcomes(rank1: float) -> Outcomes:
    resolutions = np.array([0.25] * 4 + [0.4] * 4, np.float32)
    return Outcomes(np.arange(8) % 4, resolutions, np.full(8, rank1), np.full(8, 0.5))


def results(comparison) -> dict:
    ours = {"stage": "joint", "baseline": metrics(0.5, 20.0), "config": {"baseline": "baseline"}}
    return {**metrics(0.75, 21.0), **ours, "comparison": comparison}


def test_differences_are_below_the_table():
    found = compare({0: [outcomes(0.75)]}, {0: [outcomes(0.5)]}, (0.0, 0.3, 0.5, 1.0))
    lines = results_text(results(jsonable(found.as_json()))).split("\n")
    assert max(map(len, lines)) <= 100
    gain = ["+25.0", "[+25.0,", "+25.0]", "higher", "+0.0", "[+0.0,", "+0.0]"]
    told = [*gain, "cannot", "be", "told", "4"]
    nothing = ["-", "-", "-", "-", "0"]
    assert [line.split() for line in lines[-6:-2]] == [
        ["all", "queries", *told],
        ["r", "in", "0.00-0.30", *told],
        ["r", "in", "0.30-0.50", *told],
        ["r", "in", "0.50-1.00", *nothing],
    ]
    assert lines[-2].startswith("Differences joint - baseline in points, 95 % intervals")
    assert lines[-1] == (
        "Intervals over 4 identities, one seed: nothing is said about another training."
    )


def test_results_of_an_older_version_have_no_differences():
    older = results(None)
    del older["comparison"]
    assert results_text(older) == results_table({"joint": older, "baseline": older["baseline"]})
    assert results_text(results(None)) == results_text(older)
