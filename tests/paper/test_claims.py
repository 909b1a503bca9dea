"""The verdicts on the paper's claims."""

import pytest
from measured import SYSTEMS, measured, outcomes, result

from rireid_jax.paper.claims import CLAIMS, judge
from rireid_jax.paper.tables import TABLES, System


def claims(systems=SYSTEMS, objective=None, dataset="pedestrians") -> dict[str, dict]:
    return {claim["claim"]: claim for claim in judge(dataset, systems, objective or {})}


def test_verdicts():
    found = claims()
    assert found["FFSR is above the baseline"] == {
        "finding": "Table 3's order",
        "claim": "FFSR is above the baseline",
        "verdict": "holds",  # by 25 points with one seed, by 12.5 with the other
        "ours": "+18.8 [+12.5, +25.0] points of Rank-1, over 8 identities and 2 seeds",
        "paper": "+5.2 points on VR-MSMT17",
    }
    told = found["RIFE is above the baseline"]  # +25 and -25
    assert (told["verdict"], told["ours"][:20]) == ("cannot be told", "+0.0 [-25.0, +25.0] ")
    assert found["FFSR+RIFE is above RIFE"]["verdict"] == "not run"
    assert found["FFSR is of less complexity than VDSR"]["verdict"] == "holds"
    assert "3.71 and 32.7" in found["FFSR is of less complexity than VDSR"]["ours"]
    worse = claims({"rife": measured(0.5, 0.25), "resnet50": measured(0.75, 0.5)})
    assert worse["RIFE is above the baseline"]["verdict"] == "does not hold"


def test_other_seeds_are_drawn_apart():
    systems = {
        "rife": System({0: result(0.5), 1: result(0.25)}, {0: outcomes(0.5), 1: outcomes(0.25)}),
        "resnet50": System({0: result(0.125)}, {0: outcomes(0.125)}),
    }
    found = claims(systems)["RIFE is above the baseline"]
    assert found["verdict"] == "holds"
    assert found["ours"].startswith("+25.0 [+12.5, +37.5] points")
    assert "8 identities and 2 and 1 seeds, of which the single one says nothing" in found["ours"]


def test_results_of_an_older_version_have_no_interval():
    """They hold no outcomes of queries."""
    systems = {"rife": measured(0.5, 0.5), "resnet50": System({0: result(0.25)})}
    found = claims(systems)["RIFE is above the baseline"]
    assert found["verdict"] == "cannot be told"
    assert found["ours"].startswith("+25.0 points of Rank-1; no interval: an older version")


def test_claims_are_about_rows_that_their_table_prints():
    for claim in CLAIMS:
        assert {claim.better, claim.worse} <= {line.row for line in TABLES[claim.table].lines}
    assert claims(dataset="caviar")["FFSR+RIFE is above FFSR"]["paper"] == "+5.3 points on CAVIAR"


def test_objective():
    curves = {
        "resnet50": ([0.5, 0.2], [0.6, 0.2]),
        "ffsr_joint": ([0.3, 0.1], [0.4, 0.1]),
        "rife": ([0.5, 0.3], [0.9, 0.2]),
    }
    found = claims(objective=curves)
    smaller = found["FFSR has a smaller O than the baseline"]
    assert smaller["verdict"] == "holds"
    assert smaller["ours"].startswith("0.225, -40% from 0.375")
    assert found["RIFE has a smaller O than the baseline"]["verdict"] == "does not hold"
    assert found["FFSR decreases the slope of O"]["verdict"] == "holds"
    assert found["RIFE decreases the slope of O"]["verdict"] == "does not hold"
    assert found["FFSR and RIFE together have the least O"]["verdict"] == "not run"
    curves["ffsr_rife"] = ([0.1, 0.1], [0.1, 0.1])
    found = claims(objective=curves)
    assert found["FFSR and RIFE together have the least O"]["verdict"] == "holds"


@pytest.mark.parametrize(
    ("value", "other", "text"),
    [
        (0.0016401, 0.0016405, "0.00164, -0.024% from 0.00164"),
        (-0.1, -0.2, "-0.1, +50% from -0.2"),
        (0.1, 0.0, "0.1, from 0"),
    ],
)
def test_slopes_are_compared(value, other, text):
    curves = {"resnet50": ([1.0, 1.0], [1 + other, 1.0]), "rife": ([1.0, 1.0], [1 + value, 1.0])}
    found = claims(objective=curves)["RIFE decreases the slope of O"]
    assert found["ours"] == f"O(r, 1) falls by {text}"
