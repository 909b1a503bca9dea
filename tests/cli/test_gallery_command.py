"""The command `rireid gallery`, on a file and on a server, with a quick model; and once with a trained one."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command import ROOT, environment
from PIL import Image

from rireid_jax.cli.rireid import run_command
from rireid_jax.data.loader import load_image
from rireid_jax.errors import UserError
from rireid_jax.gallery import Gallery
from rireid_jax.runs.extractor import Description
from rireid_jax.runs.feature_table import FeatureTable

COLOURS = {"ana": (250, 10, 10), "bob's": (10, 250, 10), "名前": (10, 10, 250)}


class MeanColour:
    """A model whose feature is the mean colour."""

    fingerprint, width_max, image_size = "fedcba9876543210", 20, (4, 4)
    seen = 0

    def describe(self, images) -> Description:
        loaded = [load_image(path, self.image_size) for path in images]
        widths = np.array([width for _, width in loaded], np.int32)
        self.seen += len(loaded)
        features = np.float32([image.mean((0, 1)) for image, _ in loaded]).reshape(-1, 3)
        return Description(
            features, widths, np.minimum(1, widths / self.width_max).astype(np.float32)
        )

    def extract(self, images) -> np.ndarray:
        return self.describe(images).features


@pytest.fixture
def model(monkeypatch) -> MeanColour:
    opened = MeanColour()
    for module in ("gallery_add", "commands.gallery"):
        monkeypatch.setattr(f"rireid_jax.cli.{module}.open_model", lambda arguments: opened)
    return opened


@pytest.fixture(scope="module")
def crops(tmp_path_factory) -> Path:
    """Six images of three persons in folders, 5 to 10 pixels wide."""
    folder = tmp_path_factory.mktemp("crops")
    for p, (person, colour) in enumerate(COLOURS.items()):
        (folder / person).mkdir()
        for i in range(2):
            picture = Image.new("RGB", (5 + 2 * p + i, 16), tuple(c + i for c in colour))
            picture.save(folder / person / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of a Milvus Lite server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = str(tmp_path_factory.mktemp("server"))
    flags = ["--data-dir", folder, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "milvus_lite", "server", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert "listening" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
        process.kill()


@pytest.fixture(params=["file", "server"])
def uri(request, tmp_path):
    if request.param == "file":
        return str(tmp_path / "people.db")
    return request.getfixturevalue("server")


def gallery(action: str, *arguments: object) -> None:
    run_command("gallery", [action, *map(str, arguments)])


def test_a_day_with_a_gallery(model, crops, uri, tmp_path, capsys):
    def said(action: str, *arguments: object) -> str:
        named = ("--model", "runs/mine") if action in ("add", "search") else ()
        gallery(action, *arguments, "--gallery", uri, *named)
        return capsys.readouterr().out

    folders = ("--person-from-folder", "--time", "2026-03-01", "--field", "zone=hall")
    assert said("add", crops, *folders) == "6 added, 0 already there, 0 skipped\n"
    assert said("add", crops, *folders) == "0 added, 6 already there, 0 skipped\n"
    assert model.seen == 6
    assert said("add", crops / "ana", "--camera", "c2").startswith("2 added")
    lines = said("stats").splitlines()
    assert lines[:3] == ["rows      8", "persons   3", "cameras   1"]
    assert lines[3:5] == [
        f"model     {model.fingerprint}",
        "features  3 dimensions, r = 1 at 20 pixels",
    ]
    assert any("on disk" in line for line in lines) == uri.endswith(".db")

    out = tmp_path / "found.csv"
    query = crops / "bob's" / "0.png"
    assert "bob's/1.png" in said("search", query, "--top", 3, "--out", out)
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [row["name"] for row in rows][:2] == ["bob's/0.png", "bob's/1.png"]
    expected = {
        **{"query": "0.png", "rank": "2", "person": "bob's", "camera": "", "native_width": "8"},
        **{"time": "2026-03-01T00:00:00.000", "r": "0.4000", "distance": f"{3**0.5:.6g}"},
    }
    assert {key: rows[1][key] for key in expected} == expected
    assert len(rows) == 3
    where = 'fields["zone"] == "hall" and time < "2026-03-02"'
    found = said("search", query, "--person", "ana", "--person", "名前", "--where", where)
    assert len(found.splitlines()) == 2 + 4
    assert len(said("search", query, "--camera", "c2").splitlines()) == 2 + 2

    assert said("remove", "--person", "bob's") == "2 removed\n"
    assert said("remove", "--name", "名前/0.png") == "1 removed\n"
    with pytest.raises(UserError, match="no such rows"):
        said("remove", "--name", "名前/0.png")
    assert said("stats").splitlines()[:2] == ["rows      5", "persons   2"]
    assert "bob" not in said("search", query, "--top", 100)
    said("remove", "--where", 'name != ""')
    assert said("stats").startswith("rows      0\n")


def test_lists_tables_and_bad_images(model, crops, tmp_path, capsys):
    uri = str(tmp_path / "people.db")
    rest = ("--gallery", uri, "--model", "runs/mine")
    (tmp_path / "bad.png").write_bytes(b"no image")
    listed = tmp_path / "list.csv"
    listed.write_text(
        f"path,id,camera\n{crops}/ana/0.png,7,c1\nbad.png,8,c1\n{crops}/ana/1.png,,\n"
    )
    with pytest.raises(UserError, match=r"bad\.png"):
        gallery("add", listed, *rest)
    gallery("add", listed, "--person", "ana", "--skip-bad", *rest)
    assert capsys.readouterr().out == "2 added, 0 already there, 1 skipped\n"
    names, features = ("x", "y"), np.float32([[250, 10, 10], [0, 0, 0]])
    table = FeatureTable(
        *(names, features, np.int32([5, 6]), np.float32([0.25, 0.3])),
        *(("9", ""), ("", "c4"), model.fingerprint),
    )
    table.write(tmp_path / "t.npz")
    gallery("add", tmp_path / "t.npz", *rest)
    capsys.readouterr()
    gallery("search", tmp_path / "t.npz", "--top", 1, *rest)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["x", "y"]
    with Gallery.open(uri, model.fingerprint, model.width_max) as opened:
        hits = opened.search(np.float32([[250, 10, 10]]), 9)[0]
    found = {hit.entry.name: (hit.entry.person, hit.entry.camera) for hit in hits}
    assert found[f"{crops}/ana/0.png"] == ("7", "c1")
    assert found[f"{crops}/ana/1.png"] == ("ana", "")
    assert (found["x"], found["y"]) == (("9", ""), ("", "c4"))


def test_mistakes_are_one_line(model, crops, tmp_path):
    uri = str(tmp_path / "people.db")

    def line(action: str, *arguments: object) -> str:
        with pytest.raises(UserError) as caught:
            gallery(action, *arguments, "--gallery", uri)
        return str(caught.value)

    rest = ("--model", "runs/mine")
    query = crops / "ana" / "0.png"
    assert "is not there" in line("search", query, *rest)
    assert "folders of persons" in line("add", query, "--person-from-folder", *rest)
    assert "ISO 8601" in line("add", query, "--time", "noon", *rest)
    assert "KEY=VALUE" in line("add", query, "--field", "zone", *rest)
    gallery("add", query, "--gallery", uri, *rest)
    assert "unknown field 'nobody'" in line("search", query, "--where", "nobody == 1", *rest)
    assert "F.csv" in line("search", query, "--out", "no/such/folder.csv", *rest)
    assert "expected --name, --person" in line("remove")
    model.fingerprint = "another"
    for action in (("add", crops), ("search", query), ("stats",), ("remove", "--name", "0.png")):
        assert "expected those of another" in line(*action, *rest)


def test_the_real_command_goes_on_after_a_kill(whole_run, tmp_path):
    """With a trained network, which finds its own images."""
    rng = np.random.default_rng(0)
    crops = tmp_path / "crops"
    crops.mkdir()
    for i in range(40):
        pixels = rng.integers(256, size=(8, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 32)).save(crops / f"{i:02}.png")
    program = "from rireid_jax.main import rireid; rireid()"

    def start(action: str, *rest: object) -> subprocess.Popen[str]:
        arguments = [action, *rest, "--gallery", tmp_path / "people.db"]
        return subprocess.Popen(
            [sys.executable, "-c", program, "gallery", *map(str, arguments)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(action: str, *rest: object) -> str:
        process = start(action, *rest)
        out, error = process.communicate(timeout=600)
        assert process.returncode == 0, error
        return out

    model = ("--model", whole_run.workdir, "--batch-size", 4)
    killed = start("add", crops, *model)
    log = (
        tmp_path / "people.db" / "collections" / "rireid_gallery" / "wal" / "wal_data_000001.arrow"
    )
    while killed.poll() is None and not (log.exists() and log.stat().st_size > 20_000):
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    there = int(said("stats").split()[1])
    assert 0 < there < 40
    assert said("add", crops, *model) == f"{40 - there} added, {there} already there, 0 skipped\n"
    rows = said("search", crops, *model, "--top", 1).splitlines()[2:]
    assert [row.split()[0] for row in rows] == [row.split()[-1] for row in rows]
    assert len(rows) == 40
