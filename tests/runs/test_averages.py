"""The mean over trials, by hand."""

import pytest

from rireid_jax.evaluation.evaluate import RATES
from rireid_jax.runs.averages import average
from rireid_jax.runs.results import results_table


def metrics(rate, num_query, bins, psnr=20.0, gates=()):
    return {
        "protocol": "single_shot",
        **dict.fromkeys(RATES, rate),
        **{f"{name}_std": 0.5 for name in RATES},  # over galleries: of no interest here
        "num_query": num_query,
        "num_skipped": 0,
        "num_gallery": num_query,
        "by_resolution": [
            {"low": low, "high": high, "num_query": count, "rank1": rank1, "mAP": rank1}
            for low, high, count, rank1 in bins
        ],
        "restoration": {"psnr": psnr, "psnr_bilinear": psnr, "psnr_foreground": None},
        "gates": [
            {"low": low, "high": high, "wL": [wl, 0.0], "wH": [1 - wl, 1.0]}
            for low, high, wl in gates
        ],
    }


def result(protocol_hash, step, baseline, **options):
    return {
        **metrics(**options),
        "protocol_hash": protocol_hash,
        "baseline": baseline,
        "stage": "joint",
        "step": step,
    }


TRIALS = {
    0: result(
        "a",
        10,
        metrics(0.25, 4, [(0.0, 0.5, 4, 0.25), (0.5, 1.0, 0, None)]),
        rate=0.5,
        num_query=4,
        bins=[(0.0, 0.5, 4, 0.5), (0.5, 1.0, 0, None)],
        gates=[(0.0, 0.5, 0.2)],
    ),
    3: result(
        "b",
        13,
        metrics(0.75, 4, [(0.0, 0.5, 1, 1.0), (0.5, 1.0, 3, 2 / 3)]),
        rate=1.0,
        num_query=5,
        bins=[(0.0, 0.5, 1, 1.0), (0.5, 1.0, 4, 0.75)],
        psnr=24.0,
        gates=[(0.0, 0.5, 0.6), (0.5, 1.0, 0.8)],
    ),
}


def on_validation(rank1, num_images):
    rates = {"rank1": rank1, "mAP": rank1 / 2}
    counts = {"num_identities": 2, "num_images": num_images, "num_query": num_images}
    return {**counts, **rates, "baseline": {"num_query": num_images, **rates}}


def test_figures_on_validation_identities():
    held_out = {0: on_validation(0.5, 4), 3: on_validation(1.0, 5)}
    trials = {trial: {**TRIALS[trial], "validation": held_out[trial]} for trial in TRIALS}
    mean = average(trials)["validation"]
    assert (mean["rank1"], mean["mAP"], mean["num_identities"]) == (0.75, 0.375, 2)
    assert (mean["num_images"], mean["num_query"]) == (4.5, 4.5)
    assert mean["baseline"] == {"rank1": 0.75, "mAP": 0.375}


def test_average():
    mean = average(TRIALS)
    assert {mean[name] for name in RATES} == {0.75}
    assert {mean[f"{name}_std"] for name in RATES} == {0.25}  # of 0.5 and 1.0, divided by 2
    assert (mean["num_query"], mean["num_gallery"], mean["num_skipped"]) == (4.5, 4.5, 0)
    assert mean["step"] == 11.5
    assert mean["validation"] is None
    # Four queries at 0.5 and one at 1; four at 0.75, and none in the other trial.
    assert mean["by_resolution"] == [
        {"low": 0.0, "high": 0.5, "num_query": 2.5, "rank1": 0.6, "mAP": 0.6},
        {"low": 0.5, "high": 1.0, "num_query": 2.0, "rank1": 0.75, "mAP": 0.75},
    ]
    assert mean["restoration"] == {"psnr": 22.0, "psnr_bilinear": 22.0, "psnr_foreground": None}
    assert mean["gates"] == [
        {"low": 0.0, "high": 0.5, "wL": [0.4, 0.0], "wH": [pytest.approx(0.6), 1.0]},
        {"low": 0.5, "high": 1.0, "wL": [0.8, 0.0], "wH": [pytest.approx(0.2), 1.0]},
    ]
    baseline = mean["baseline"]
    assert (baseline["rank1"], baseline["rank1_std"], baseline["num_query"]) == (0.5, 0.25, 4)
    assert type(baseline["num_query"]) is int
    first, second = mean["splits"]
    assert (first["split"], first["protocol_hash"], first["step"]) == (0, "a", 10)
    assert (second["rank5"], second["baseline"]["mAP"], second["num_query"]) == (1.0, 0.75, 5)
    assert "rank1_std" not in first


def inside(error, distance):
    streams = [{"block": "dsb1", "distance": distance}]
    return {"gates": [{"error": error, "sum_mean": 1.0}, {"error": 0.5}], "streams": streams}


def test_average_of_what_is_inside():
    trials = {
        0: TRIALS[0] | {"inside": inside(0.2, 0.0), "warnings": ["gates are constant"]},
        3: TRIALS[3] | {"inside": inside(0.4, 0.5), "warnings": []},
    }
    mean = average(trials)
    assert mean["inside"] == {
        "gates": [{"error": pytest.approx(0.3), "sum_mean": 1.0}, {"error": 0.5}],
        "streams": [{"block": "dsb1", "distance": 0.25}],
    }
    assert mean["warnings"] == ["trial 0: gates are constant"]
    # An older version wrote neither for its trials.
    mean = average({0: TRIALS[0], 3: trials[3]})
    assert mean["inside"] == trials[3]["inside"]
    assert mean["baseline"]["inside"] is average(TRIALS)["inside"] is None
    assert mean["warnings"] == []


def test_average_of_one_has_no_deviation():
    mean = average({3: TRIALS[3]})
    assert mean["rank1"] == 1.0
    assert mean["rank1_std"] is None
    assert mean["num_query"] == 5
    assert mean["by_resolution"] == TRIALS[3]["by_resolution"]
    assert mean["gates"] == TRIALS[3]["gates"]


def test_average_of_what_is_not_there():
    nothing = {**metrics(None, 4, []), "baseline": None, "stage": "ffsr", "step": 1}
    del nothing["num_skipped"]
    mean = average({k: {**nothing, "protocol_hash": str(k)} for k in range(2)})
    assert mean["mAP"] is mean["mAP_std"] is mean["baseline"] is None
    assert mean["by_resolution"] == mean["gates"] == []
    assert mean["splits"][1]["baseline"] is None


def test_protocol_hash_is_that_of_all_trials_in_order():
    hashes = {
        average({k: {**TRIALS[0], "protocol_hash": name} for k, name in enumerate(names)})[
            "protocol_hash"
        ]
        for names in (("a",), ("a", "b"), ("b", "a"), ("a", "b", "c"), ("ab",))
    }
    assert len(hashes) == 5
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in hashes)


def test_table_of_trials():
    mean = average(TRIALS)
    for row in (mean, mean["baseline"]):
        row["restoration"] |= {"psnr_foreground_bilinear": None}
        row["rank5_std"] = 0.5
        row["by_resolution"] = [{"low": 0.0, "high": 0.33, "rank1": 1.0}] * 3
    rows = {"joint": mean, "baseline": mean["baseline"]}
    for trial in mean["splits"]:
        trial["protocol_hash"] = "0123456789abcdef"
    lines = results_table(rows, mean["splits"]).split("\n")
    assert max(map(len, lines)) <= 100
    numbers = ["75.0±25.0", "75.0±50.0", "75.0±25.0", "75.0", *["100.0"] * 3, "22.00", "-"]
    assert lines[4].split() == ["joint", *numbers]
    assert "Means over 2 trials" in lines[7]
    assert [line.split() for line in lines[-2:]] == [
        ["0", *["50.0"] * 4, *["25.0"] * 4, "0123456789abcdef"],
        ["3", *["100.0"] * 4, *["75.0"] * 4, "0123456789abcdef"],
    ]
    # Its deviation over galleries is none over trials.
    assert "±" not in results_table({"joint": TRIALS[0] | {"restoration": mean["restoration"]}})
