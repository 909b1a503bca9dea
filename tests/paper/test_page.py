"""The report's page, and docs/reproduction.md made from a report."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from measured import PEDESTRIANS, SYSTEMS
from PIL import Image

from rireid_jax.paper.claims import judge
from rireid_jax.paper.page import Figure, page
from rireid_jax.paper.tables import TABLES, markdown, table_records

RECORDS = {name: table_records(table, "pedestrians", SYSTEMS) for name, table in TABLES.items()}


def test_page(tmp_path):
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "figure.png")
    figures = [Figure("<drawn>", tmp_path / "figure.png"), Figure("lost", None, "not run: rife")]
    text = page({"data": "a & b"}, PEDESTRIANS, RECORDS, judge("caviar", SYSTEMS, {}), figures)

    (source,) = re.findall(r'(?:src|href)="([^"]*)"', text)  # it needs no other file
    assert source.startswith("data:image/png;base64,")
    assert "url(" not in text
    assert "<script" not in text

    assert all(part in text for part in ("a &amp; b", "&lt;drawn&gt;", "not run: rife"))
    for table in TABLES.values():
        for line in table.lines:
            assert re.search(rf"<td>{re.escape(line.title)}( \([a-z]\))?</td>", text)
    best = re.findall(r'<tr class="best"><td>([^<]*)', text)
    # In Table 2 two are equal.
    assert best == ["FFSR, Gaussian mask, joint", "ResNet50", "RIFE", "FFSR"]


def test_reproduction_page(tmp_path):
    """It says what the report says, and no more."""
    folder = tmp_path / "report"
    folder.mkdir()
    for name, records in RECORDS.items():
        (folder / f"{name}.md").write_text(markdown(name, PEDESTRIANS, records))
    judged = judge("pedestrians", SYSTEMS, {})
    about = {"dataset": "pedestrians", "about": {"protocol": "abc"}}
    (folder / "report.json").write_text(json.dumps({**about, "tables": RECORDS, "claims": judged}))

    def run(workdir: Path) -> subprocess.CompletedProcess[str]:
        script = Path(__file__).parents[2] / "benchmarks" / "reproduction.py"
        return subprocess.run([sys.executable, script, workdir], capture_output=True, text=True)

    made = run(tmp_path).stdout
    for claim in judged:
        line = (claim["claim"], f"**{claim['verdict']}**", claim["ours"], claim["paper"])
        assert f"| {' | '.join(line)} |" in made
    assert "protocol abc" in made
    counts = [claim["verdict"] for claim in judged]
    assert f"{len(judged)} claims: {counts.count('holds')} holds" in made
    assert f" {counts.count('cannot be told')} cannot be told" in made
    assert all((folder / f"{name}.md").read_text() in made for name in TABLES)
    missing = run(folder)
    assert missing.returncode == 1
    assert re.match(r"error: found no .*report\.json, expected", missing.stderr)
