"""`rireid extract`: files of features, what they hold, and what a second run does with them."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command import ROOT, environment
from tiny_extractor import tiny_extractor, write_images

from rireid_jax.cli.rireid import run_command
from rireid_jax.errors import UserError
from rireid_jax.runs.feature_table import read_table
from rireid_jax.runs.image_lists import list_images

NAMES = [f"{folder}/{n:02d}.png" for folder in ("a", "b") for n in range(11)]


@pytest.fixture(scope="module")
def models():
    return {seed: tiny_extractor(seed) for seed in (0, 1)}


@pytest.fixture
def extract(models, tmp_path, monkeypatch, capsys):
    """The command in a folder of images, by the model of a seed; returns what it prints."""
    write_images(tmp_path / "crops", NAMES)
    # As images are: written before their features are.
    for path in (tmp_path / "crops").rglob("*.png"):
        os.utime(path, (1e9, 1e9))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "rireid_jax.cli.commands.extract.open_model", lambda arguments: models[int(arguments.model)]
    )

    def run(*arguments, model=0):
        run_command("extract", [*map(str, arguments), f"--model={model}"])
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_what_is_written_can_be_read(extract, models, tmp_path, suffix):
    rows = [f"{n % 5},crops/{name},c{n % 2}" for n, name in enumerate(NAMES)]
    (tmp_path / "list.csv").write_text("\n".join(["ID,Path,Camera", *rows]))
    out = tmp_path / f"f{suffix}"
    assert "22 images, 128 numbers each, model" in extract("list.csv", "--out", out)
    table, images = read_table(out), list_images([str(tmp_path / "list.csv")])
    expected = models[0].describe([image.path for image in images])
    assert table.names == tuple(f"crops/{name}" for name in NAMES)
    assert table.identities == tuple(str(n % 5) for n in range(22))
    assert table.cameras == tuple(f"c{n % 2}" for n in range(22))
    assert table.paths == tuple(str(image.path) for image in images)
    assert (table.fingerprint, table.skipped) == (models[0].fingerprint, ())
    np.testing.assert_array_equal(table.features, expected.features)
    np.testing.assert_array_equal(table.native_widths, [4 + n % 9 for n in range(22)])
    np.testing.assert_array_equal(table.resolutions, expected.resolutions)
    content = out.read_bytes()
    table.write(out)
    assert out.read_bytes() == content
    out.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=f"f{suffix}: .*, expected a file of `rireid extract`"):
        read_table(out)


def test_a_second_run(extract, tmp_path):
    out = tmp_path / "f.npz"
    assert "nothing to do" not in extract("crops", "--out", out)
    content, written = out.read_bytes(), out.stat().st_mtime_ns
    assert "holds these images by this model already, nothing to do" in extract(
        "crops", "--out", out
    )
    assert out.stat().st_mtime_ns == written
    write_images(tmp_path / "others", NAMES)
    for arguments, model, found in (
        (["crops"], 1, "found features of the model .*, expected those of"),
        (["crops/a"], 0, "found features of a/00.png, expected those of 00.png"),
        (
            ["others"],
            0,
            "found features of .*/crops/a/00.png, expected those of .*/others/a/00.png",
        ),
        (["crops", "others/a/00.png"], 0, "found features of 22 images, expected those of 23"),
    ):
        with pytest.raises(UserError, match=rf"f\.npz: {found}.*; --overwrite replaces the file"):
            extract(*arguments, "--out", out, model=model)
        assert out.read_bytes() == content
    os.utime(tmp_path / "crops" / "b" / "03.png")
    with pytest.raises(UserError, match=r"found features older than b/03\.png; --overwrite"):
        extract("crops", "--out", out)
    extract("crops", "--out", out, "--overwrite")
    assert out.read_bytes() == content
    assert "nothing" in extract("crops", "--out", out, "--overwrite")
    (tmp_path / "g.npz").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"g\.npz: found .*; --overwrite"):
        extract("crops", "--out", "g.npz")
    assert sorted(os.listdir(tmp_path)) == ["crops", "f.npz", "g.npz", "others"]


def test_broken_images(extract, models, tmp_path, caplog):
    for name in ("a/03.png", "b/10.png"):
        (tmp_path / "crops" / name).write_bytes(b"\x89PNG and no more")
        os.utime(tmp_path / "crops" / name, (1e9, 1e9))
    with pytest.raises(UserError, match=r"crops/a/03\.png: .*; --skip-bad leaves out what cannot"):
        extract("crops", "--out", "f.npz")
    assert sorted(os.listdir(tmp_path)) == ["crops"]
    with caplog.at_level(logging.WARNING):
        printed = extract("crops", "--out", "f.npz", "--skip-bad")
    assert [message[:8] for message in caplog.messages] == ["skipped:"] * 2
    assert "20 images" in printed
    assert printed.endswith("skipped 2 images: a/03.png, b/10.png\n")
    table = read_table(tmp_path / "f.npz")
    assert table.names == tuple(name for name in NAMES if name not in table.skipped)
    alone = models[0].extract([tmp_path / "crops" / name for name in table.names])
    np.testing.assert_allclose(table.features, alone, rtol=1e-4, atol=1e-6)
    assert "nothing to do" in extract("crops", "--out", "f.npz", "--skip-bad")
    with pytest.raises(
        UserError, match=r"found features without a/03\.png, b/10\.png, expected --s"
    ):
        extract("crops", "--out", "f.npz")
    with pytest.raises(UserError, match="found none of 1 image readable"):
        extract("crops/a/03.png", "--out", "g.npz", "--skip-bad")


def test_where_it_goes(extract, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"f\.txt: found the suffix '\.txt', expected \.npz or \.p"):
        extract("crops", "--out", "f.txt")
    with pytest.raises(UserError, match="expected a file in a folder on this machine"):
        extract("crops", "--out", "crops/a/00.png/f.npz")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'rireid_jax\[parquet\]'"):
        extract("crops", "--out", "f.parquet")


_COMMAND = """
import sys
sys.path.insert(0, "tests")
from tiny_extractor import tiny_extractor
import rireid_jax.cli.commands.extract as command
import rireid_jax.runs.extraction_parts as parts
from rireid_jax.main import rireid
parts._PART_SECONDS = 0.02
extractor = tiny_extractor(batch_size=4)
command.open_model = lambda arguments: extractor
crops, *outs = sys.argv[1:]
for out in outs:
    sys.argv = ["rireid", "extract", crops, "--model=x", "--skip-bad", "--out", out]
    rireid()
"""


def test_killed_and_gone_on(tmp_path):
    """kill -9 twice, at moments with more and more done; then the file is that of a run that nothing happened to."""
    names = [f"{n:04d}.png" for n in range(600)]
    write_images(tmp_path / "crops", names)
    (tmp_path / "crops" / "0002.png").write_bytes(b"broken")
    out, whole = tmp_path / "f.npz", tmp_path / "whole.npz"
    command = [sys.executable, "-c", _COMMAND, str(tmp_path / "crops"), str(out)]

    def done() -> int:
        return max((int(p.stem[-9:]) for p in Path(f"{out}.parts").glob("*/*.npz")), default=0)

    for images in (60, 240):
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 120
        while done() < images:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stderr.close()
        assert not out.exists()
    before = done()
    result = subprocess.run(
        [*command, str(whole)], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert f"goes on after {before:,} of 600 images" in result.stderr
    assert "skipped 1 image: 0002.png" in result.stdout
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["crops", "f.npz", "whole.npz"]
