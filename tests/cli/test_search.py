"""`rireid search`: what it finds, and the page that shows it."""

import base64
import csv
import io
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from tiny_extractor import tiny_extractor, write_images

from rireid_jax.cli.rireid import run_command
from rireid_jax.errors import UserError

HOSTILE = ["<script>alert(1)<img src=x onerror=1>.png", "\"'&lt;\x1b[2J\u202e\n.png"]
QUERIES = [*HOSTILE, "q.png"]
GALLERY = [f"g/{n:02d}.png" for n in range(12)]


@pytest.fixture(scope="module")
def model():
    return tiny_extractor()


@pytest.fixture
def command(model, tmp_path, monkeypatch, capsys):
    write_images(tmp_path / "asked", QUERIES)
    write_images(tmp_path / "crops", GALLERY)
    # Three images of a query, so that they are tied (2 is one already); a large image, which is shown smaller.
    for name in ("g/04.png", "g/09.png"):
        shutil.copy(tmp_path / "asked" / "q.png", tmp_path / "crops" / name)
    Image.new("RGB", (600, 1200), (9, 99, 9)).save(tmp_path / "crops" / "g" / "11.png")
    monkeypatch.chdir(tmp_path)
    for module in ("extract", "search"):
        monkeypatch.setattr(f"rireid_jax.cli.commands.{module}.open_model", lambda arguments: model)

    def run(name, *arguments):
        run_command(name, [*arguments, "--model=x"])
        return capsys.readouterr().out

    return run


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text without the style."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def images(self):
        for tag, attributes in self.tags:
            if tag == "img":
                kind, _, data = attributes["src"].partition(";base64,")
                assert kind in ("data:image/png", "data:image/jpeg")
                yield Image.open(io.BytesIO(base64.b64decode(data)))


def test_ranks_and_page(command, model, tmp_path):
    rows = ["id,path", *(f"p{n % 2},crops/{name}" for n, name in enumerate(GALLERY))]
    (tmp_path / "crops.csv").write_text("\n".join(rows))
    (tmp_path / "asked.csv").write_text("path,id\nasked/q.png,p0\n")
    command("extract", "crops.csv", "--out=crops.npz")
    printed = command("search", "asked.csv", "crops.npz", "--top=4", "--out=r.csv", "--html=r.html")
    assert printed.splitlines()[-2:] == ["r.csv", "r.html"]

    q, g = (
        model.extract([tmp_path / n for n in names])
        for names in (["asked/q.png"], [f"crops/{n}" for n in GALLERY])
    )
    distance = np.linalg.norm(q.astype(np.float64) - g, axis=1)
    order = np.argsort(distance.round(4), kind="stable")[:4]  # batches of other sizes
    assert order[:3].tolist() == [2, 4, 9]
    with open("r.csv", encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["name"] for row in found] == [f"crops/{GALLERY[i]}" for i in order]
    assert [row["right"] for row in found] == ["no" if i % 2 else "yes" for i in order]
    np.testing.assert_allclose(
        [float(row["distance"]) for row in found], distance[order], atol=1e-5
    )
    assert [(row["query"], row["rank"]) for row in found] == [
        ("asked/q.png", str(n)) for n in range(1, 5)
    ]
    assert [line.split()[-1] for line in printed.splitlines()[2:6]] == [
        row["name"] for row in found
    ]

    page = Page((tmp_path / "r.html").read_text())
    assert len(list(page.images())) == 5
    asked = next(page.images())
    with Image.open(tmp_path / "asked" / "q.png") as seen:
        np.testing.assert_array_equal(np.asarray(asked), np.asarray(seen))
    marks = [attributes["class"] for tag, attributes in page.tags if tag == "figure"]
    assert marks == ["query", *("wrong" if i % 2 else "right" for i in order)]
    shutil.move("crops", "moved")
    command("search", "asked.csv", "crops.npz", "--top=4", "--html=r.html")
    gone = Page((tmp_path / "r.html").read_text())
    assert (len(list(gone.images())), gone.text.count("no picture")) == (1, 4)
    (tmp_path / "new").mkdir()
    shutil.move("moved", "new/crops")
    command("search", "asked.csv", "crops.npz", "--top=4", "--html=r.html", "--images=new")
    assert Page((tmp_path / "r.html").read_text()).tags == page.tags


def test_hostile_names(command, tmp_path):
    printed = command("search", "asked", "asked", "--html=r.html", "--out=r.csv")
    assert not re.search("[\x1b\u202e]", printed)
    assert len(printed.splitlines()) == 2 + 3 * 3 + 2
    text = (tmp_path / "r.html").read_text()
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe"})
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert HOSTILE[0] in page.text
    assert "\"'&lt;\\x1b[2J\\u202e\\n.png" in page.text
    assert not re.search(r"(src|href)=.?(http|//)", text)
    with open("r.csv", encoding="utf-8", newline="") as file:
        assert {row["query"] for row in csv.DictReader(file)} == set(QUERIES)


def test_mistakes(command, tmp_path):
    command("extract", "crops", "--out=crops.npz")
    with np.load("crops.npz") as file:
        np.savez("other.npz", **{**file, "fingerprint": np.asarray("0" * 16)})
    write_images(tmp_path / "many", [f"{n}.png" for n in range(21)])
    for arguments, message in (
        (["asked", "other.npz"], "other.npz: found features of the model 0{16}, expected those of"),
        (["many", "crops.npz"], "QUERIES: found 21, expected --out or --html for more than 20"),
        (["asked", "crops", "--top=0"], "--top: found 0, expected"),
        (
            ["asked", "crops", "--html=no/such.html"],
            "--html: found no/such.html, expected a file in a",
        ),
        (["asked", "crops", "--images=nosuch"], "--images: nosuch is not there, expected a folder"),
        (["nosuch", "crops"], "nosuch: is not there"),
    ):
        with pytest.raises(UserError, match=message):
            command("search", *arguments)
