"""The gallery as a class: exact search, filters, one model, and removal for good."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from gallery_rows import MODEL, features, holds
from hypothesis import given
from hypothesis import strategies as st
from milvus_lite.search.filter import parse_expr
from milvus_lite.storage.wal import WAL

from rireid_jax.errors import UserError
from rireid_jax.evaluation import rank
from rireid_jax.gallery import Entry, Gallery, matching
from rireid_jax.gallery.filters import literal

HOSTILE = (
    "O'Neil",
    'say "hi"',
    "back\\slash",
    "\\",
    'end\\"',
    "two\nlines\r\tand a tab",
    "名前 é 🙂",
    'x" or name != "',
    '"] or person in ["ana',
    "%_like*",
    "{braces} $meta[0] /* */ --",
    " ",
)


@pytest.fixture
def path(tmp_path) -> str:
    return str(tmp_path / "people.db")


@pytest.fixture
def gallery(path):
    with Gallery.open(path, *MODEL, create=True) as opened:
        yield opened


def names(found) -> list[list[str]]:
    return [[hit.entry.name for hit in hits] for hits in found]


def test_distances_are_euclidean_and_ties_are_in_the_order_of_names(gallery):
    gallery.add([Entry(name) for name in "dbca"], np.float32([[3, 4]] * 3 + [[0, 1]]))
    gallery.add([Entry("far")], np.float32([[30, 40]]))
    hits = gallery.search(np.float32([[0, 0]]), top=5)[0]
    assert [(hit.entry.name, hit.distance) for hit in hits] == [
        *(("a", 1), ("b", 5), ("c", 5), ("d", 5), ("far", 50))
    ]
    assert names(gallery.search(np.float32([[0, 0]]), top=2)) == [["a", "b"]]  # cut within a tie


def test_rank_1_is_that_of_evaluation(gallery):
    rng = np.random.default_rng(1)
    pids, cameras = rng.integers(20, size=230), rng.integers(3, size=230)
    found = features(230, 16) + 0.7 * features(20, 16, seed=2)[pids]
    query, rest = slice(0, 30), slice(30, None)
    entries = [
        Entry(f"{i}", person=f"{pid}", camera=f"{camera}")
        for i, (pid, camera) in enumerate(zip(pids[rest], cameras[rest], strict=True))
    ]
    gallery.add(entries, found[rest])
    correct = []
    for feature, pid, camera in zip(found[query], pids[query], cameras[query], strict=True):
        others = f'not (person == "{pid}" and camera == "{camera}")'
        hit = gallery.search(feature[None], top=1, where=others)[0][0]
        correct.append(hit.entry.person == str(pid))
    parts = (values[part] for values in (found, pids, cameras) for part in (query, rest))
    scores = rank(*parts)
    assert scores["num_query"] == 30
    assert 0.2 < scores["rank1"] < 0.8
    assert np.mean(correct) == pytest.approx(scores["rank1"])
    # The whole order, by an independent sort in float64.
    distance = np.linalg.norm(found[query, None].astype(np.float64) - found[None, rest], axis=2)
    order = [[str(i) for i in row] for row in np.argsort(distance, axis=1)]
    assert names(gallery.search(found[query], top=200)) == order


def test_a_row_is_replaced_as_a_whole_and_stays(path):
    old = Entry(
        "a", "ana", "c1", "2026-03-01T01:00+01:00", 20, 0.5, "hash", {"age": 3, "hat": "red"}
    )
    new = Entry("a", "bob", fields={"age": 4.5, "tall": True}, content="hash")
    with Gallery.open(path, *MODEL, create=True) as gallery:
        gallery.add([old], features(1))
        assert gallery.search(features(1))[0][0].entry == old
        assert old.time == "2026-03-01T00:00:00.000+00:00"
        assert gallery.has([old, new, Entry("b", content="hash")]) == [True, False, False]
        gallery.add([new], features(1, seed=5))
    with Gallery.open(path, *MODEL) as gallery:
        [[hit]] = gallery.search(features(1, seed=5))
        assert hit.entry == new
        assert hit.distance == 0
        found = gallery.stats()
    assert (found.rows, found.persons, found.cameras, found.dimension) == (1, 1, 0, 8)
    assert (found.fingerprint, found.width_max) == MODEL
    assert found.bytes_on_disk > 1000


def test_features_of_another_model_are_refused(path):
    with Gallery.open(path, *MODEL, create=True) as gallery:
        with pytest.raises(UserError, match="is empty, expected"):
            gallery.search(features(1))
        gallery.add([Entry("a")], features(1))
        for wrong in (features(1, 9), np.float32([[np.nan] * 8])):
            with pytest.raises(UserError, match="features: found"):
                gallery.search(wrong)
    for model in (("another", 64), (MODEL[0], 128)):
        with pytest.raises(UserError, match=f"of model {MODEL[0]} .* expected those of {model[0]}"):
            Gallery.open(path, *model, create=True)
    with Gallery.open(path) as gallery:  # and what was refused has let go of the file
        assert gallery.stats().fingerprint == MODEL[0]
        with pytest.raises(UserError, match="fingerprint: found ''"):
            gallery.search(features(1))


@given(st.text())
def test_a_literal_is_read_as_the_text(text):
    """By Milvus Lite's own parser."""
    assert parse_expr(f"person == {literal(text)}").right.value == text


def test_filters_match_what_they_say_whatever_the_values(gallery):
    entries = [Entry(f"{i} {text}", person=text, camera=text) for i, text in enumerate(HOSTILE)]
    entries += [Entry("z", "ana", "c", "2026-03-01", fields={"age": 7})]
    gallery.add(entries, features(len(entries)))

    def found(where: str) -> set[str]:
        return set(names(gallery.search(features(1), 100, where))[0])

    for entry in entries:
        assert found(matching(persons=[entry.person])) == {entry.name}
        assert found(matching(cameras=[entry.camera], names=[entry.name])) == {entry.name}
    assert found(matching(persons=['nobody" or person != "'])) == set()
    assert len(found(matching(persons=HOSTILE))) == len(HOSTILE)
    wanted = 'time >= "2026" and fields["age"] > 6'
    assert found(matching(where=wanted)) == {"z"}
    assert found(matching(cameras=["other"], where=f'{wanted} or name == "z"')) == set()
    for wrong in ('person = "a"', "nobody == 1", 'name == "a") or (1 == 1', "person", "time > 3"):
        with pytest.raises(UserError, match=r"^filter .*: .") as caught:
            found(matching(cameras=["c"], where=wrong) if ")" not in wrong else wrong)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("merged", [False, True], ids=["in the log", "in files"])
def test_a_removed_person_is_gone_from_the_disk(path, merged):
    entries = [Entry(f"{p}-{i}.png", p) for i in range(9) for p in ("Anastasia", "Bob")]
    rows = features(18)
    with Gallery.open(path, *MODEL, create=True) as gallery:
        gallery.add(entries, rows)
        gallery.add(entries[:4], rows[:4])  # an older version of a row is to be gone as well
        if merged:
            gallery.close()
            gallery = Gallery.open(path, *MODEL)
        assert holds(path, "Anastasia", rows[0])
        removed = gallery.remove(matching(persons=["Anastasia"]))
        assert sorted(removed) == [f"Anastasia-{i}.png" for i in range(9)]
        # While it is still open, and afterwards.
        assert not any(holds(path, "Anastasia", row) for row in rows[::2])
        assert holds(path, "Bob", rows[1])
        assert gallery.remove(matching(persons=["Anastasia"])) == []
        with pytest.raises(UserError, match="which rows to remove"):
            gallery.remove(" ")
        gallery.close()
    assert not any(holds(path, "Anastasia", row) for row in rows[::2])
    with Gallery.open(path, *MODEL) as gallery:
        assert gallery.stats().rows == 9
        assert names(gallery.search(rows[1::2], 1)) == [[f"Bob-{i}.png"] for i in range(9)]


def test_threads_take_turns(gallery):
    rows = features(200)
    errors: list[BaseException] = []

    def work(part: int) -> None:
        try:
            for i in range(part * 50, part * 50 + 50, 10):
                gallery.add([Entry(f"{j:03}") for j in range(i, i + 10)], rows[i : i + 10])
                assert names(gallery.search(rows[i : i + 1], 1)) == [[f"{i:03}"]]
            gallery.remove(matching(names=[f"{part * 50 + 1:03}"]))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert gallery.stats().rows == 196


def test_nothing_is_written_behind_a_write_that_failed(path, monkeypatch):
    """The log of Milvus Lite would end there for whoever reads it after a kill."""
    with Gallery.open(path, *MODEL, create=True) as gallery:
        gallery.add([Entry("a")], features(1))
        with monkeypatch.context() as full:
            full.setattr(WAL, "write_insert", lambda *_: (_ for _ in ()).throw(OSError("no space")))
            with pytest.raises(UserError, match="no space"):
                gallery.add([Entry("b")], features(1))
        for write in (
            lambda: gallery.add([Entry("b")], features(1)),
            lambda: gallery.remove("true"),
        ):
            with pytest.raises(UserError, match="opened again"):
                write()
        assert gallery.stats().rows == 1
    with Gallery.open(path, *MODEL) as gallery:
        gallery.add([Entry("b")], features(1))
        assert gallery.stats().rows == 2


def test_mistakes_are_one_line(path, tmp_path, monkeypatch):
    def line(uri: str, **options) -> str:
        with pytest.raises(UserError) as caught:
            Gallery.open(uri, **options)
        return str(caught.value)

    (tmp_path / "old.db").write_text("SQLite")
    assert "is not there" in line(path)
    assert "found a file" in line(str(tmp_path / "old.db"))
    assert "ends in .db" in line(str(tmp_path / "people"))
    assert "found no folder" in line(str(tmp_path / "no" / "people.db"), create=True)
    assert "connecting" in line("http://user:secret@127.0.0.1:1")
    assert "secret" not in line("http://user:secret@127.0.0.1:1")
    with Gallery.open(path, *MODEL, create=True):
        assert "found in use, expected one process" in line(path)
    for wrong in ({"time": "noon"}, {"person": "x" * 1025}, {"fields": {"a b": 1}}, {"name": ""}):
        with pytest.raises(UserError):
            Entry(**{"name": "a", **wrong})
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    assert "pip install 'rireid_jax[gallery]'" in line(path)


def test_help_needs_no_pymilvus():
    program = (
        "import sys, rireid_jax.gallery; from rireid_jax.cli.rireid import help_text; "
        "assert 'gallery' in help_text(); assert not {'pymilvus', 'grpc', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_logging_stays_as_it_is():
    """pymilvus would close all handlers when it is imported."""
    program = (
        "import logging, sys; from rireid_jax.gallery.engine import client_class; "
        "handler = logging.FileHandler(sys.argv[1]); logging.getLogger('x').addHandler(handler); "
        "client_class(embedded=True); assert handler in [r() for r in logging._handlerList]; "
        "logging.getLogger('x').warning('heard'); assert not handler.stream is None"
    )
    subprocess.run([sys.executable, "-c", program, "/dev/null"], check=True)
