"""The ladder of comparisons with live PyTorch, and the page that shows what it measured."""

from pathlib import Path

import pytest

from .rungs import RUNGS, measure

pytestmark = pytest.mark.torch

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"


@pytest.mark.parametrize("group", list(RUNGS))
def test_rungs_hold(group):
    errors = {name: measure(rung, "float64") for name, rung in RUNGS[group].items()}
    print(errors)
    assert {name: e for name, e in errors.items() if e > RUNGS[group][name].limit} == {}


def test_page_shows_every_rung():
    rows = [line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if "| " in line]
    assert [name for group in RUNGS.values() for name in group] == rows[
        -sum(map(len, RUNGS.values())) :
    ]
