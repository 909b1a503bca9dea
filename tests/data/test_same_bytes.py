"""The same raw files and the same recipe give the same bytes, whoever builds and in whatever order."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from raw_folders import (
    write_caviar,
    write_cuhk03_extracted,
    write_cuhk03_mat,
    write_market_folder,
    write_msmt17,
    write_viper,
)
from small_recipes import PEDESTRIANS

from rireid_jax.components import DATASETS
from rireid_jax.data.build import build, makers, shards

FEW = {"train_identities": 4}
MARKET = "Market-1501-v15.09.15"
PHOTOS = dict(count=1000, size=(32, 16), seed=0)


def market(folder):
    return write_market_folder(folder / MARKET, (2, 7, 11), (1, 9), cameras=3)


def viper(folder):
    return write_viper(folder / "VIPeR", range(8))


def caviar(folder):
    return write_caviar(folder / "CAVIARa")


# Preset, changes of its recipe, how to write a miniature of the download, and the protocol hash at commit 99a42b3; of a
# folder since version 2 of its built data, which covers the images.
CASES = [
    ("caviar", FEW, caviar, "1f2352f58a13c514"),
    ("caviar/vpfa", FEW, caviar, "541fc338487fb8f2"),
    ("mlr_viper", FEW, viper, "b0be2e7752be9067"),
    ("mlr_viper/vpfa", FEW, viper, "d476aead5d930001"),
    ("mlr_cuhk03", {}, lambda folder: write_cuhk03_mat(folder / "c"), "9d92662888ee7b59"),
    ("mlr_cuhk03", {}, lambda folder: write_cuhk03_extracted(folder / "c"), "9d92662888ee7b59"),
    ("vr_market1501", {}, market, "4ddcb75cd28a937f"),
    ("vr_msmt17", {}, lambda folder: write_msmt17(folder / "MSMT17_V1"), "abe07a5e44affba2"),
    ("mlr_market1501", {}, market, "9feebd626b26ae1e"),
    ("mlr_market1501/prpr", {}, market, "9b83dd732f10a5dc"),
    ("mlr_market1501/vpfa", {}, market, "a10037f8b1c9633a"),
    ("folder", {"degrade": True}, market, "158a1c0696cbd0b3"),
    ("natural_images", PHOTOS, lambda folder: market(folder).parent, "654c67463e1874a7"),
    ("natural_images", dict(count=7, size=(16, 8), seed=0), lambda folder: "", "fafadbcf740c3077"),
    ("pedestrians", PEDESTRIANS, lambda folder: "", "50e91d01db362cea"),
]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Several shards a split, so that their order could matter."""
    monkeypatch.setattr(shards, "SHARD_SIZE", 3)


@pytest.fixture
def shuffled(monkeypatch):
    """Lets folders be listed in a random order, as file systems may."""
    rng = random.Random(0)
    listdir, iterdir, walk = os.listdir, Path.iterdir, os.walk

    def shuffle(values):
        values = list(values)
        rng.shuffle(values)
        return values

    def shuffled_walk(top, *args, **options):
        for folder, folders, files in walk(top, *args, **options):
            folders[:] = shuffle(folders)
            yield folder, folders, shuffle(files)

    monkeypatch.setattr(os, "listdir", lambda *a: shuffle(listdir(*a)))
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(shuffle(iterdir(self))))
    monkeypatch.setattr(os, "walk", shuffled_walk)


def contents(built):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(built.path).iterdir()
    }


@pytest.mark.parametrize(("name", "change", "write", "protocol_hash"), CASES)
def test_workers_and_order_change_no_byte(name, change, write, protocol_hash, tmp_path, request):
    dataset, _, preset = name.partition("/")
    recipe = DATASETS[dataset].recipe_values(preset) | change
    raw = str(write(tmp_path / "raw"))

    def build_into(folder, **options):
        data_dir = str(tmp_path / folder)
        return build(dataset, recipe, data_dir=data_dir, raw_dir=raw, **options)

    first = build_into("one", threads=1)
    assert first.protocol_hash == protocol_hash
    assert len(contents(first)) > 5 or dataset == "natural_images"
    request.getfixturevalue("shuffled")
    others = [build_into("four", threads=4), build_into("beam", beam="--runner=DirectRunner")]
    if not raw:
        request.getfixturevalue("monkeypatch").setattr(makers, "_WORTH_PROCESSES", 1)
        others.append(build_into("processes", processes=2))
    for again in others:
        assert again.protocol_hash == first.protocol_hash
        assert contents(again) == contents(first)


def test_processes_write_the_same_bytes(tmp_path):
    """Each hashes strings in its own way, and protobuf orders fields in its own."""
    code = (
        "import sys\n"
        "from rireid_jax.data.build import build\n"
        f"print(build('pedestrians', {PEDESTRIANS!r}, data_dir=sys.argv[1]).path)"
    )
    folders = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        folders.append(Path(done.stdout.strip()))
    first, second = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders)
    assert first == second
