"""The README's way from own crops to answers works as it is printed, with smaller networks."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from command import ROOT, TINY, environment, overrides

from rireid_jax.runs.feature_table import read_table

sys.path.insert(0, str(ROOT / "benchmarks"))
import own_crops

SHORT = {
    **TINY,
    "batch_size": 16,
    "run": "('rife',)",
    "baseline": "",
    "stages.rife.init.extractor": "",
    "stages.rife.epochs": 2,
}


def test_every_line(tmp_path, capfd):
    pytest.importorskip("gradio")
    own_crops.draw_crops(tmp_path, 60)  # fewer could not be calibrated on
    lines = own_crops.readme_lines()
    assert len(lines) <= 10
    train, *others = lines
    assert train.startswith("rireid train --config joint:folder,small ")
    folder = Path(sys.executable).parent
    variables = environment(
        PATH=f"{folder}{os.pathsep}{os.environ['PATH']}",
    )
    shorter = f"{train} {shlex.join(overrides(SHORT))}"
    own_crops.run_lines([shorter], tmp_path, variables)
    timed = own_crops.run_lines(others, tmp_path, variables)
    printed = capfd.readouterr().out
    assert [line for line, _ in timed] == others
    assert f"{own_crops.ADDRESS} answers: 200" in printed
    assert len(read_table(tmp_path / "crops.npz")) == 480
    page = (tmp_path / "found.html").read_text()
    assert all(f"{number}.png" in page for number in range(1, 21))
    assert (tmp_path / "model.onnx").stat().st_size > 100_000  # bytes
    assert (tmp_path / "people.db").exists()
