"""CAVIAR4REID: low by nature, and pairs made as images are read."""

from collections import Counter

import pytest
from PIL import Image
from raw_folders import write_caviar
from small_recipes import build_preset, records

from rireid_jax.data.records import encoded_size
from rireid_jax.errors import UserError

FIVE = {"train_identities": 5}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Eight people before both cameras, three images by each; another before the first only."""
    return write_caviar(tmp_path_factory.mktemp("raw") / "CAVIAR4REID", shots=3)


def test_records(raw, tmp_path):
    built = build_preset("caviar", raw, tmp_path, **FIVE)
    found = records(built)
    assert {s: len(rows) for s, rows in found.items()} == dict(train=30, query=9, gallery=9)
    assert {r.camid for r in found["query"]} == {1}
    assert {r.camid for r in found["gallery"]} == {0}
    assert {r.pid for r in found["query"]} == {r.pid for r in found["gallery"]}
    assert {r.camid for r in found["train"]} == {0, 1}
    rows = [r for split in found.values() for r in split]
    assert {r.pid for r in rows} == set(range(1, 9))  # the ninth is before one camera only
    widths = {path.name: encoded_size(path.read_bytes())[0] for path in raw.iterdir()}
    assert built.width_max == max(widths.values())
    for record in rows:
        assert record.image == (raw / record.name).read_bytes()
        assert record.target == (record.image if record.camid == 0 else b"")
        assert record.resolution == pytest.approx(widths[record.name] / built.width_max)


def test_which_camera_is_low(raw, tmp_path):
    assert {
        r.camid
        for r in records(build_preset("caviar", raw, tmp_path, low_camera="0", **FIVE))["query"]
    } == {0}
    with pytest.raises(UserError, match=r"low_camera: found '2', expected 0 or 1"):
        build_preset("caviar", raw, tmp_path, low_camera="2", **FIVE)


def test_the_other_way_round_with_one_query_each(raw, tmp_path):
    """VPFA's: a drawn image of the high camera is the query, everything else the gallery."""
    found = records(build_preset("caviar/vpfa", raw, tmp_path, **FIVE))
    assert {r.camid for r in found["query"]} == {0}
    assert set(Counter(r.pid for r in found["query"]).values()) == {1}
    assert len(found["gallery"]) == 3 * 5
    other = records(build_preset("caviar/vpfa", raw, tmp_path, **FIVE, seed=1, trial=1))
    assert {r.name for r in other["query"]} != {r.name for r in found["query"]}


def test_vpfa_queries_are_of_the_first_ten(tmp_path):
    """Whichever camera is narrower: images 001 to 010, as that code has it."""
    raw = write_caviar(tmp_path / "CAVIARa", shots=2)
    for path in raw.iterdir():
        with Image.open(path) as image:
            other = image.resize((80 - image.width, 2 * (80 - image.width)))
        other.save(path)  # now the first camera's are the narrow ones
    found = records(build_preset("caviar/vpfa", raw, tmp_path, train_identities=4))
    assert {int(r.name[4:7]) for r in found["query"]} <= set(range(1, 11))
    found = records(build_preset("caviar", raw, tmp_path, **FIVE))
    assert {r.camid for r in found["query"]} == {0}


def test_only_the_benchmark_counts_for_the_greatest_width(tmp_path):
    raw = write_caviar(tmp_path / "CAVIARa")
    wide = raw / "0009001.jpg"  # before one camera only
    Image.new("RGB", (200, 400)).save(wide)
    assert build_preset("caviar", raw, tmp_path, **FIVE).width_max <= 72
