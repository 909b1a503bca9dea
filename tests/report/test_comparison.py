"""The paper's tables beside ours, the claims, and the page."""

import csv
import io
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rireid_jax.paper.claims import CLAIMS, judge
from rireid_jax.paper.comparison import (
    Complexity,
    Data,
    System,
    caption,
    cells,
    csv_text,
    headings,
    markdown,
    table_records,
)
from rireid_jax.paper.page import Figure, page
from rireid_jax.paper.rows import TABLES

ROOT = Path(__file__).parents[2]
PEDESTRIANS = Data("pedestrians", "default", (64, 32))


def result(rank1: float, **more: object) -> dict:
    return {"rank1": rank1, "rank5": 0.75, "mAP": 0.5, "protocol_hash": "abc"} | more


def measured(*rank1: float, **fields: object) -> System:
    return System({seed: result(rate) for seed, rate in enumerate(rank1)}, **fields)


VDSR = Complexity(32_785_000_000, 40_000_000_000, 12_300_000, 4_560_000)
FFSR = Complexity(3_713_500_000, 7_700_000_000, 1_100_000, 210_000)
SYSTEMS = {
    "resnet50": measured(0.25, 0.5),
    "ffsr_joint": measured(0.5, 0.625, complexity=FFSR),
    "rife": measured(0.5, 0.25),
    "sing": measured(0.125, partial="less than SING."),
    "vdsr": System(complexity=VDSR),
    "ffsr_segmentation_joint": System(missing="the data set stores no masks"),
}


def record(table: str, system: str, dataset: str = "pedestrians") -> dict:
    (found,) = (r for r in table_records(TABLES[table], dataset, SYSTEMS) if r["system"] == system)
    return found


def test_means_over_seeds():
    found = record("table2", "ResNet50")
    assert found["rank1"] == 0.375
    assert found["rank1_std"] == 0.125
    assert found["rank5_std"] == 0
    assert found["seeds"] == [0, 1]
    assert found["protocol_hash"] == "abc"
    assert record("table3", "SING")["rank1_std"] is None


@pytest.mark.parametrize(
    ("table", "system", "dataset", "rank1", "rank5"),
    [
        ("table1", "Bilinear", "vr_msmt17", 47.6, 66.4),
        (
            "table1",
            "FFSR, segmented mask, joint",
            "caviar",
            52.9,
            69.2,
        ),  # Table 1 has one benchmark
        ("table3", "FFSR+RIFE", "caviar", 36.4, 72.0),
        ("table3", "FFSR+RIFE", "vr_market1501", 66.9, 84.7),
        ("table3", "FFSR+RIFE", "pedestrians", 55.5, 72.4),  # VR-MSMT17
        (
            "table3",
            "FFSR+RIFE",
            "mlr_market1501",
            55.5,
            72.4,
        ),  # in PS-HRNet's table, not in the paper's
        ("table3", "SDF", "mlr_viper", 9.52, 38.1),
    ],
)
def test_printed_figures(table, system, dataset, rank1, rank5):
    found = record(table, system, dataset)
    assert found["paper_rank1"] == pytest.approx(rank1 / 100)
    assert found["paper_rank5"] == pytest.approx(rank5 / 100)


def test_what_the_paper_does_not_print():
    assert record("table3", "SLD2L", "mlr_cuhk03")["paper_rank1"] is None


def test_complexity_is_of_the_restorer_in_table_1_alone():
    assert record("table1", "FFSR, Gaussian mask, joint")["gmacs_384x128"] == 3.7135
    assert record("table3", "FFSR")["gmacs_384x128"] == 7.7
    found = record("table1", "VDSR")
    assert (found["paper_gmacs"], found["gmacs"]) == (32.79, 0.0123)
    assert "2.53" in record("table1", "SRCNN")["note"]


def test_lines_of_a_table():
    table = TABLES["table3"]
    lines, notes = cells(table, table_records(table, "pedestrians", SYSTEMS))
    assert all(len(line) == len(headings(table, PEDESTRIANS.image_size)) for line in lines)
    found = {line[0]: line[1:] for line in lines}
    assert found["ResNet50"][:4] == ["37.5 ± 12.5", "75.0 ± 0.0", "50.0 ± 0.0", "2"]
    assert found["FFSR+RIFE"][0] == "not run"
    assert found["SING (a)"][0] == "12.5"
    assert found["CSR-GAN"][0] == "not run"
    assert notes == ["(a) partial: less than SING."]


def test_why_a_row_was_not_run():
    note = record("table1", "FFSR, segmented mask, joint")["note"]
    assert note.endswith("; not run: the data set stores no masks")


def test_markdown_and_csv():
    table = TABLES["table1"]
    records = table_records(table, "pedestrians", SYSTEMS)
    text = markdown("table1", PEDESTRIANS, records)
    grid = [line for line in text.splitlines() if line.startswith("|")]
    assert len(grid) == 2 + 7
    assert len({line.count("|") for line in grid}) == 1
    assert "SR GMACs at 384x128 | paper's SR GMACs | GMACs at 64x32" in grid[0]
    rows = list(csv.DictReader(io.StringIO(csv_text(records))))
    assert [row["system"] for row in rows] == [line.title for line in table.lines]
    assert rows[0]["rank1"] == "0.375"
    assert rows[0]["seeds"] == "0 1"
    assert rows[1]["rank1"] == ""


@pytest.mark.parametrize(
    ("dataset", "recipe", "says"),
    [
        ("caviar", "default", "printed for CAVIAR. Rates"),
        ("caviar", "vpfa", "printed for CAVIAR, not made by this recipe, so that only the order"),
        ("pedestrians", "default", "printed for VR-MSMT17, other data than ours, so that only the"),
    ],
)
def test_caption_says_what_may_be_compared(dataset, recipe, says):
    table = TABLES["table3"]
    records = table_records(table, dataset, SYSTEMS)
    text = caption(table, Data(dataset, recipe, (384, 128)), records)
    assert says in text
    assert f"{recipe} recipe, protocol abc;" in text
    nothing = table_records(table, dataset, {})
    assert "none: nothing was run" in caption(table, Data(dataset, recipe, (384, 128)), nothing)


def claims(systems=SYSTEMS, objective=None, dataset="pedestrians") -> dict[str, dict]:
    return {claim["claim"]: claim for claim in judge(dataset, systems, objective or {})}


def test_verdicts():
    found = claims()
    assert found["FFSR is above the baseline"]["verdict"] == "holds"
    assert found["FFSR is above the baseline"]["ours"] == (
        "+18.8 points of Rank-1; above with 2 of 2 seeds"
    )
    assert found["FFSR is above the baseline"]["paper"] == "+5.2 points on VR-MSMT17"
    assert found["RIFE is above the baseline"]["verdict"] == "does not hold"  # +25 and -25
    assert found["RIFE is above FFSR"]["verdict"] == "does not hold"
    assert found["FFSR+RIFE is above RIFE"]["verdict"] == "not run"
    assert found["FFSR is of less complexity than VDSR"]["verdict"] == "holds"
    assert "3.71 and 32.7" in found["FFSR is of less complexity than VDSR"]["ours"]
    uneven = claims({"rife": measured(0.5, 0.25), "resnet50": measured(0.1, 0.26)})
    assert uneven["RIFE is above the baseline"]["verdict"] == "holds on average"


def test_only_seeds_that_both_have_are_compared():
    systems = {
        "rife": System({1: result(0.5), 2: result(0.1)}),
        "resnet50": System({0: result(0.9), 1: result(0.25)}),
    }
    assert claims(systems)["RIFE is above the baseline"]["ours"].startswith("+25.0 points")


def test_claims_are_of_rows_that_their_table_prints():
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
    assert found["FFSR has a smaller O than the baseline"]["verdict"] == "holds"
    assert found["FFSR has a smaller O than the baseline"]["ours"].startswith(
        "0.225, -40% from 0.375"
    )
    assert found["RIFE has a smaller O than the baseline"]["verdict"] == "does not hold"
    assert found["FFSR decreases the slope of O"]["verdict"] == "holds"
    assert found["FFSR decreases the slope of O"]["ours"].endswith("0.3, -25% from 0.4")
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
def test_slopes_side_by_side(value, other, text):
    curves = {"resnet50": ([1.0, 1.0], [1 + other, 1.0]), "rife": ([1.0, 1.0], [1 + value, 1.0])}
    found = claims(objective=curves)["RIFE decreases the slope of O"]
    assert found["ours"] == f"O(r, 1) falls by {text}"


def whole_page(tmp_path: Path) -> str:
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "figure.png")
    tables = {name: table_records(table, "pedestrians", SYSTEMS) for name, table in TABLES.items()}
    figures = [Figure("<drawn>", tmp_path / "figure.png"), Figure("lost", None, "not run: rife")]
    return page({"data": "a & b"}, PEDESTRIANS, tables, judge("caviar", SYSTEMS, {}), figures)


def test_page_needs_nothing_from_outside(tmp_path):
    text = whole_page(tmp_path)
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(sources) == 1
    assert sources[0].startswith("data:image/png;base64,")
    assert "url(" not in text
    assert "<script" not in text


def test_page_shows_all(tmp_path):
    text = whole_page(tmp_path)
    assert "a &amp; b" in text
    assert "&lt;drawn&gt;" in text
    assert "not run: rife" in text
    for table in TABLES.values():
        for line in table.lines:
            assert re.search(rf"<td>{re.escape(line.title)}( \([a-z]\))?</td>", text)
    best = re.findall(r'<tr class="best"><td>([^<]*)', text)
    # In Table 2 two are equal.
    assert best == ["FFSR, Gaussian mask, joint", "ResNet50", "RIFE", "FFSR"]


def test_reproduction_page(tmp_path):
    """The page says what the report says, and no more."""
    folder = tmp_path / "report"
    folder.mkdir()
    tables = {}
    for name, table in TABLES.items():
        tables[name] = table_records(table, "pedestrians", SYSTEMS)
        (folder / f"{name}.md").write_text(markdown(name, PEDESTRIANS, tables[name]))
    judged = judge("pedestrians", SYSTEMS, {})
    about = {"dataset": "pedestrians", "about": {"protocol": "abc"}}
    (folder / "report.json").write_text(json.dumps({**about, "tables": tables, "claims": judged}))
    script = ROOT / "benchmarks" / "reproduction.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=True
    )
    for claim in judged:
        line = (claim["claim"], f"**{claim['verdict']}**", claim["ours"], claim["paper"])
        assert f"| {' | '.join(line)} |" in done.stdout
    assert "protocol abc" in done.stdout
    counts = [claim["verdict"] for claim in judged]
    assert f"Of {len(judged)} claims: {counts.count('holds')} holds" in done.stdout
    assert all((folder / f"{name}.md").read_text() in done.stdout for name in TABLES)
    with pytest.raises(SystemExit, match=r"found no .*report\.json"):
        runpy.run_path(str(script))["main"](str(folder))
