"""What all builders share, on the smallest of them; and the pedestrians themselves."""

import errno
import io
import logging
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from ml_collections import ConfigDict
from PIL import Image
from raw_folders import write_viper
from small_recipes import PEDESTRIANS

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build, shards
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.datasets.pedestrians import Pedestrians
from rireid_jax.data.pedestrians import render
from rireid_jax.data.records import decode_image, decode_mask
from rireid_jax.errors import UserError


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_into(tmp_path_factory.mktemp("data"))


def build_into(folder, change=None, **options):
    return build("pedestrians", PEDESTRIANS | (change or {}), data_dir=str(folder), **options)


def records(built):
    return {split: list(source) for split, source in built.splits.items()}


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_splits(built):
    found = records(built)
    assert {split: len(rows) for split, rows in found.items()} == {
        "train": 3 * 2 * 2,
        "query": 2 * 2,
        "gallery": 2 * 2,
    }
    assert built.dataset == "pedestrians"
    assert built.width_max == 16
    assert built.train_pids == (1, 2, 3)
    assert {r.pid for r in found["query"]} == {r.pid for r in found["gallery"]} == {4, 5}
    assert {r.camid for r in found["query"]} == {0, 1}
    assert found["train"][1].name == "train/0001_c1_s2.png"
    for rows in found.values():
        assert [r.name for r in rows] == sorted(r.name for r in rows)
    everything = [record for rows in found.values() for record in rows]
    assert len({r.target for r in everything}) == len(everything)
    assert len({r.resolution for r in found["train"]}) > 3


def test_records_hold_the_rendered_image_and_its_small_twin(built):
    record = built.splits["gallery"][3]
    assert record.name == "gallery/0005_c2_s2.png"
    image, mask = render(0, 5, 1, 1, size=(32, 16))
    np.testing.assert_array_equal(decode_image(record.target, "target"), image)
    np.testing.assert_array_equal(decode_mask(record.mask, "mask"), mask)
    small = decode_image(record.image, "image")
    assert 4 <= small.width < 16
    assert small.height == 2 * small.width
    assert record.resolution == pytest.approx(small.width / 16)
    expected = Image.fromarray(image).resize(small.size, Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(small, expected)


def test_opens_what_is_there(built, monkeypatch):
    monkeypatch.setattr(RecordBuilder, "prepare", lambda self: pytest.fail("built again"))
    data_dir = os.path.join(built.path, *[os.pardir] * 3)
    again = build("pedestrians", ConfigDict(PEDESTRIANS).to_dict(), data_dir=data_dir)
    assert again.protocol_hash == built.protocol_hash
    assert records(again) == records(built)


def test_sources(built):
    source = built.splits["query"]
    assert [source[i] for i in range(len(source))] == records(built)["query"]
    assert list(pickle.loads(pickle.dumps(source))) == records(built)["query"]
    for index in (-1, len(source)):
        with pytest.raises(IndexError, match=f"found {index}, expected 0 to 3"):
            source[index]


def test_says_nothing_and_writes_few_files(tmp_path, capfd):
    built = build_into(tmp_path)
    out, err = capfd.readouterr()
    assert out == ""
    assert "examples" not in err
    assert len(os.listdir(built.path)) == 6  # three splits, three of metadata


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), UserError),
        (RuntimeError("write() failed: No space left on device; writing x"), UserError),
        (RuntimeError("something else"), RuntimeError),
    ],
)
def test_a_failed_build_leaves_what_was_there_and_can_be_repeated(
    built, tmp_path, monkeypatch, error, expected
):
    other = build_into(tmp_path, {"seed": 1})
    assert other.protocol_hash != built.protocol_hash
    before = files(tmp_path)
    write = RecordBuilder.write
    calls = []

    def fail_at_second_shard(self, *shard):
        bad = write(self, *shard)
        calls.append(1)
        if len(calls) == 2:
            raise error
        return bad

    monkeypatch.setattr(RecordBuilder, "write", fail_at_second_shard)
    with pytest.raises(expected) as caught:
        build_into(tmp_path)
    if expected is UserError:
        full = f"the disk is full, expected room for pedestrians in {tmp_path}"
        assert f"config.data.dir: {full}" in str(caught.value)
    assert files(tmp_path) == before
    assert build_into(tmp_path).protocol_hash == built.protocol_hash


def test_two_builds_at_once(built, tmp_path, monkeypatch):
    """The other process is done while this one is at its last check."""
    write = RecordBuilder.write
    others = []

    def meanwhile(self, *shard):
        bad = write(self, *shard)
        if not others:
            others.append(1)
            build_into(tmp_path)
        return bad

    monkeypatch.setattr(RecordBuilder, "write", meanwhile)
    result = build_into(tmp_path)
    assert others
    assert records(result) == records(built)
    assert not [name for name in files(tmp_path) if "incomplete" in name]


def test_data_dir_must_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    problem = r"config\.data\.dir: .*file.*expected a folder to write to"
    with pytest.raises(UserError, match=problem):
        build_into(tmp_path / "file")


def test_names_must_be_unique(tmp_path, monkeypatch):
    listed = Pedestrians.list_items

    def twice(self):
        splits = listed(self)
        return splits | {"query": splits["query"] + splits["gallery"][:1]}

    monkeypatch.setattr(Pedestrians, "list_items", twice)
    with pytest.raises(UserError, match=r"gallery/0004_c1_s2\.png: found twice, in query and"):
        build_into(tmp_path)


def test_read_by_plain_tfds(built):
    """Other programs need nothing of ours to read a data set."""
    builder = tfds.builder_from_directory(built.path)
    assert builder.info.splits["train"].num_examples == 12
    example = builder.as_data_source("train")[0]
    image = Image.open(io.BytesIO(example["target"]))
    assert image.size == (16, 32)
    assert example["image"].shape[2] == 3


_KILLED = """
import os, sys
from rireid_jax.data.build import build, shards
from rireid_jax.data.build.builder import RecordBuilder

shards.SHARD_SIZE, write = 3, RecordBuilder.write

def kill(self, shard, *rest):
    if shard != "gallery-00000":
        open(os.path.join(rest[0], f"{shard}.torn"), "w")
        os.kill(os.getpid(), 9)
    return write(self, shard, *rest)

RecordBuilder.write = kill
build("pedestrians", %r, data_dir=sys.argv[1])
"""


@pytest.mark.parametrize(("change", "made"), [({}, 20 - 3), ({"max_bad_images": 1}, 20)])
def test_a_build_that_is_killed_goes_on_after_its_shards(change, made, tmp_path, monkeypatch):
    """Unless they were made otherwise, here of images that may be bad."""
    monkeypatch.setattr(shards, "SHARD_SIZE", 3)
    whole = build_into(tmp_path / "whole")
    command = [sys.executable, "-c", _KILLED % PEDESTRIANS, str(tmp_path / "killed")]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    make, again = Pedestrians.make, []
    monkeypatch.setattr(Pedestrians, "make", lambda *call: again.append(1) or make(*call))
    killed = build_into(tmp_path / "killed", **change)
    assert len(again) == made
    assert killed.protocol_hash == whole.protocol_hash
    for place in Path(whole.path).iterdir():
        assert (Path(killed.path) / place.name).read_bytes() == place.read_bytes()
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


# What can go wrong with a pipeline of Beam, in one line.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--runer=DirectRunner", "found '--runer=DirectRunner' without a --runner"),
        ("DirectRunner", "found 'DirectRunner' without a --runner"),
        ("--runner=NoSuchRunner", "found '--runner=NoSuchRunner', expected options"),
    ],
)
def test_wrong_options(options, message, tmp_path):
    with pytest.raises(UserError, match=rf"config\.data\.beam: {message}") as caught:
        build_into(tmp_path, beam=options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*"))


def fail(self, item):
    raise ValueError("the worker's own trouble")


def test_a_failing_pipeline_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(Pedestrians, "make", fail)
    problem = r"config\.data\.beam: the pipeline of .* failed: "
    with pytest.raises(UserError, match=problem) as caught:
        build_into(tmp_path, beam="--runner=DirectRunner")
    assert "the worker's own trouble" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("options", [{}, {"beam": "--runner=DirectRunner"}])
def test_sizes_are_checked_wherever_images_are_made(options, tmp_path, caplog):
    raw = write_viper(tmp_path / "VIPeR", range(1, 9), size=(64, 24))
    recipe = recipe_of("mlr_viper") | {"train_identities": 4}
    with caplog.at_level(logging.WARNING, logger="rireid_jax"):
        build("mlr_viper", recipe, data_dir=str(tmp_path), raw_dir=str(raw), **options)
    assert "expected 48x128 pixels, found 16 images of another size, first cam_" in caplog.text
