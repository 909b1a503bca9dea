"""The tables that a run prints."""

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
