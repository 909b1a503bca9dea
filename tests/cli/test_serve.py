"""`rireid serve`: what is behind the page, the page in a browser, and what strangers may send."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from browser import browser
from command import ROOT, environment
from etils import epath
from hostile_pictures import PICTURE, answered, refused, saved
from page_client import PageClient
from PIL import Image

from rireid_jax.cli.page import texts
from rireid_jax.cli.page.pictures import stored_picture
from rireid_jax.cli.page.query import Answer
from rireid_jax.cli.page.run_results import ALL, RIGHT, WRONG, read_run
from rireid_jax.cli.page.uploads import picture_of, sweep, take_picture
from rireid_jax.cli.rireid import run_command
from rireid_jax.errors import UserError
from rireid_jax.gallery import Entry, Hit

HOSTILE = "<img src=x onerror=alert(1)>{{value}}${1+1}`*"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def page(folder):
    """The server, for all tests; Ctrl-C must end it, and leave nothing behind."""
    temporary = folder / "tmp"
    temporary.mkdir()
    variables = {
        "TMPDIR": str(temporary),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "PYTHONUNBUFFERED": "1",
    }
    with (
        (folder / "errors").open("w+") as errors,
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("page_process.py"), folder],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+\n", line), (folder / "errors").read_text()
            (uploads,) = temporary.glob("rireid-serve-*")
            assert uploads.stat().st_mode & 0o777 == 0o700
            yield _ready(line.strip(), uploads)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            assert process.stdout.read() == ""
            assert "rireid_jax" not in (folder / "errors").read_text()  # no traceback of ours
            assert not uploads.exists()
        finally:
            process.kill()


def _ready(url: str, uploads: Path) -> PageClient:
    deadline = time.monotonic() + 60
    while True:
        try:
            return PageClient(url, uploads)
        except ValueError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def names(html: str) -> list[str]:
    """Names of the ranked entries."""
    return re.findall(r'class="name">([^<]*)<', html)


def test_a_search_by_its_functions(page, folder):
    """The gallery's own image is nearest; filters, number and opening do what they say."""
    data = (folder / "crops" / "1_c1.png").read_bytes()
    ok, (upload, _, _, look, ranked, opened) = page.ask(page.upload(data))
    assert ok
    assert upload is None
    assert opened == ""
    assert "6 x 12 pixels" in look
    assert "r = 0.38" in look
    assert look.count("data:image/png;base64,") == 3
    assert look.count('class="low"') == 4  # blocks
    assert len(names(ranked)) == 9
    assert names(ranked)[0] == "1_c1.png"
    assert "distance <b>0.000</b>" in ranked
    assert "✓ same person" in ranked.split("</button>")[0]
    # Entries whose pictures lie outside of the folder are listed, and not shown.
    outside = [card for card in ranked.split("<button") if "eve" in card]
    assert len(outside) == 3
    assert all("no picture" in card and "<img" not in card for card in outside)
    assert "alert(1)" in ranked
    assert "<img src=x" not in ranked
    assert "{{" not in ranked
    ok, opened = page.call("click", None, None, event_data={"rank": 1})
    assert ok
    assert "the same person: the distance is below 0.01" in opened[0].lower()
    assert page.call("click", None, None, event_data={"rank": 99})[0] is False
    assert page.call("click", None, None, event_data={"rank": "x"})[0] is False
    ok, (_, ranked, _) = page.call("change", None, ["c2"], ["ana", "bob"], 12, 0.001)
    assert ok
    assert sorted(names(ranked)) == ["0_c2.png", "1_c2.png"]
    ok, (_, ranked, _) = page.call("change", None, [], [], 2, 0.0001)
    assert len(names(ranked)) == 2
    assert "cannot be told" in ranked
    for wrong in (
        [["c99"], [], 12, 0.001],
        [[], [], -3, 0.001],
        [[], [], 12, "x"],
        [[], [], 1e9, 1],
    ):
        assert page.call("change", None, *wrong)[0] is False
    assert page.files() == []


@pytest.mark.parametrize("kind", ["refused", "answered"])
def test_strange_uploads(page, kind):
    """Each gives a message or an answer, and no file stays."""
    for what, name, data in refused() if kind == "refused" else answered():
        path = page.upload(data, name)
        if path:
            assert Path(path).parent.parent == page.uploads, what
            ok, found = page.ask(path)
            assert ok == (kind == "answered"), (what, found)
            if not ok:
                assert re.fullmatch("picture: .*", found), (what, found)
        else:
            assert len(data) > 10**7, what
        assert page.files() == [], what


def test_only_the_page_itself_passes(page, folder):
    secret = str(folder / "secret.png")
    picture = saved(PICTURE, "PNG")
    link = page.uploads / "link" / "a.png"
    link.parent.mkdir()
    link.symlink_to(secret)
    for path in (
        secret,
        "/etc/passwd",
        "http://127.0.0.1:1/a.png",
        "../../secret.png",
        str(link),
        "",
    ):
        assert page.ask(path)[0] is False
    for path in (secret, "http://127.0.0.1:1/", str(folder / "crops" / "0_c1.png")):
        assert page.get(f"/gradio_api/file={path}")[0] == 404
    for path in ("proxy=http://127.0.0.1:1/", "info", "openapi.json", "runs", "deep_link"):
        assert page.get(f"/gradio_api/{path}")[0] == 404
    assert page.get("/static/..%2f..%2froutes.py")[0] == 404
    assert page.get("/docs")[0] == 404
    assert page.post("/gradio_api/component_server", b"{}", "application/json")[0] == 404
    # Another site, by its own name or from its own page.
    assert page.get("/", Host="evil.example")[0] == 421
    assert page.get("/config", Origin="http://evil.example")[0] == 403
    assert page.get("/", Host="localhost:1")[0] == 200
    # Several at once, no file, a body that never ends as it began: nothing stays.
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + picture
    for body in (part + b"\r\n", part[:50], b"", b"--x--\r\n"):
        page.post("/gradio_api/upload", body, "multipart/form-data; boundary=x")
    assert page.post("/gradio_api/upload", b"", "text/plain")[0] == 400
    assert set(page.files()) <= {"link", "a.png"}
    assert page.post("/gradio_api/queue/join", b"not JSON", "application/json")[0] in (400, 422)
    assert page.ask(page.upload(picture))[0]


def test_in_a_browser(page, folder, tmp_path):
    """Upload, search, filter by camera, open a result, look at the run; nothing is loaded from outside."""
    kept = Path(os.environ.get("PAGE_SCREENSHOTS", tmp_path))
    with browser(tmp_path / "profile") as window:
        window.call("/url", {"url": page.url})
        window.wait("document.querySelector('#upload input[type=file]')")
        window.keys("#upload input[type=file]", str(folder / "crops" / "0_c1.png"))
        window.wait("document.querySelectorAll('.card[data-rank]').length == 9")
        assert "✓ same person" in window.text()
        assert HOSTILE in window.text()
        window.screenshot(kept / "search.png")
        window.click("#cameras input")
        window.keys("#cameras input", "c2\ue007")
        window.wait("document.querySelectorAll('.card[data-rank]').length == 3")
        window.click(".card[data-rank='2']")
        window.wait("document.querySelector('.opened')")
        assert "camera c1" not in window.text()
        window.screenshot(kept / "opened.png")
        window.script("[...document.querySelectorAll('[role=tab]')].at(-1).click()")
        window.wait("document.body.innerText.includes('Queries right and wrong')")
        window.wait("document.querySelector('canvas, svg.marks')")
        window.screenshot(kept / "results.png")
        loaded = window.script("return performance.getEntriesByType('resource').map(e => e.name);")
        assert all(name.startswith((page.url, "data:", "blob:")) for name in loaded)
        log = [entry["message"] for entry in window.call("/se/log", {"type": "browser"})]
        assert not [line for line in log if "Content Security Policy" in line or "Uncaught" in line]
        (tmp_path / "text.png").write_text("no image")
        window.keys("#upload input[type=file]", str(tmp_path / "text.png"))
        window.wait("document.querySelector('.toast-body')")
        assert "picture: found" in window.text()
        window.wait("!document.querySelector('.card[data-rank]')")  # ready for another one
        window.screenshot(kept / "error.png")
    assert page.files() == [] or set(page.files()) <= {"link", "a.png"}


def test_pictures_stay_in_their_folder(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    for place in (inside / "a", outside):
        place.mkdir(parents=True)
        PICTURE.save(place / "x.png")
    (inside / "file.png").symlink_to(outside / "x.png")
    (inside / "folder").symlink_to(outside)
    (inside / "own.png").symlink_to(inside / "a" / "x.png")
    (inside / "text.png").write_text("no image")
    (inside / "x.txt").write_bytes((outside / "x.png").read_bytes())
    for name in ("a/x.png", "a/../a/x.png", "own.png", str(inside / "a" / "x.png")):
        assert stored_picture(inside, name).size == PICTURE.size
    wrong = (
        "file.png",
        "folder/x.png",
        "../out/x.png",
        str(outside / "x.png"),
        "text.png",
        "x.txt",
    )
    for name in (*wrong, "a", "", "missing.png", "a\0.png", "a/" * 3000, "\ud800.png"):
        assert stored_picture(inside, name) is None
    assert stored_picture(None, "a/x.png") is None


def test_uploads_are_read_once(tmp_path):
    place = tmp_path / "hash" / "a.png"
    place.parent.mkdir()
    PICTURE.save(place)
    assert take_picture(str(place), tmp_path).size == PICTURE.size
    assert not place.parent.exists()
    with pytest.raises(UserError, match="not here any more"):
        take_picture(str(place), tmp_path)
    with pytest.raises(UserError, match="no upload"):
        take_picture(str(tmp_path / "a.png"), tmp_path)
    with pytest.raises(UserError, match="at most 25 million"):
        picture_of(saved(Image.new("1", (5001, 5000)), "PNG"))
    (tmp_path / "half").write_bytes(b"x")
    (tmp_path / "whole").mkdir()
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["whole"]
    sweep(tmp_path, -1.0)
    assert list(tmp_path.iterdir()) == []


def test_the_results_of_a_run(page, folder, tmp_path):
    run = read_run(epath.Path(folder / "run"))
    assert run.edges == [0.0, 0.5, 1.0]
    assert run.curve("Rank-1")[:2] == [("joint", 0.25, 75.0, 3), ("joint", 0.75, 75.0, 1)]
    assert run.counts("joint") == [["0.00-0.50", 1, 1, 50.0], ["0.50-1.00", 1, 0, 100.0]]
    assert [row[0] for row in run.query_rows("joint", ALL)] == [2, 4, 1]
    assert run.query_rows("joint", WRONG) == [[2, 2, 0.4, "wrong", 10.0]]
    assert [row[0] for row in run.query_rows("joint", RIGHT)] == [4, 1]
    assert [title for _, title in run.pictures] == ["Ranked lists of queries of low resolution"]
    assert read_run(epath.Path(tmp_path)) is None
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UserError, match="found no results of a run"):
        read_run(epath.Path(tmp_path))


def test_without_calibration_and_labels():
    answer = Answer(1, Hit(Entry(HOSTILE), 1.25), None)
    html = texts.ranked_html([answer], None)
    for words in ("not calibrated", "unknown person", "unknown camera", "unknown width", "1.250"):
        assert words in html
    assert not re.search(r"<img|[{}$]", html)
    assert "No entry" in texts.ranked_html([], None)


def test_mistakes_are_one_line(tmp_path):
    def line(*flags: object) -> str:
        with pytest.raises(UserError) as caught:
            run_command("serve", ["--model", str(tmp_path), *map(str, flags)])
        return str(caught.value)

    assert "expected a folder" in line("--images", tmp_path / "missing")
    assert "expected an address" in line("--host", "192.0.2.1")
    assert "expected 0 to 65535" in line("--port", "99999")
    assert "no results.json" in line("--port", "0", "--run", tmp_path)
    assert "no config.json" in line("--port", "0")
