"""The same raw files and the same recipe give the same bytes, whoever builds and in whatever order."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from market_folder import write_market_folder
from raw_folders import (
    write_caviar,
    write_cuhk03_extracted,
    write_cuhk03_mat,
    write_msmt17,
    write_viper,
)
from small_recipes import FOLDER, PEDESTRIANS

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build, shards

FEW = {"train_identities": 4}
MARKET = "Market-1501-v15.09.15"


def market(folder):
    return write_market_folder(folder / MARKET, (2, 7, 11), (1, 9), cameras=3)


# Name: data set, recipe, and how to write a miniature of its download.
CASES = {
    "caviar": ("caviar", recipe_of("caviar") | FEW, lambda f: write_caviar(f / "CAVIARa")),
    "caviar/vpfa": (
        "caviar",
        recipe_of("caviar/vpfa") | FEW,
        lambda f: write_caviar(f / "CAVIARa"),
    ),
    "mlr_viper": (
        "mlr_viper",
        recipe_of("mlr_viper") | FEW,
        lambda f: write_viper(f / "VIPeR", range(8)),
    ),
    "mlr_viper/vpfa": (
        "mlr_viper",
        recipe_of("mlr_viper/vpfa") | FEW,
        lambda f: write_viper(f / "VIPeR", range(8)),
    ),
    "mlr_cuhk03": ("mlr_cuhk03", recipe_of("mlr_cuhk03"), lambda f: write_cuhk03_mat(f / "c")),
    "mlr_cuhk03 extracted": (
        "mlr_cuhk03",
        recipe_of("mlr_cuhk03"),
        lambda f: write_cuhk03_extracted(f / "c"),
    ),
    "vr_market1501": ("vr_market1501", recipe_of("vr_market1501"), market),
    "vr_msmt17": (
        "vr_msmt17",
        recipe_of("vr_msmt17"),
        lambda f: write_msmt17(f / "MSMT17_V1"),
    ),
    "mlr_market1501": ("mlr_market1501", recipe_of("mlr_market1501"), market),
    "mlr_market1501/prpr": ("mlr_market1501", recipe_of("mlr_market1501/prpr"), market),
    "mlr_market1501/vpfa": ("mlr_market1501", recipe_of("mlr_market1501/vpfa"), market),
    "folder": ("folder", FOLDER | {"degrade": True}, market),
    "natural_images": (
        "natural_images",
        dict(count=1000, size=(32, 16), seed=0),
        lambda f: market(f).parent,
    ),
    "dead leaves": ("natural_images", dict(count=7, size=(16, 8), seed=0), lambda f: None),
    "pedestrians": ("pedestrians", PEDESTRIANS, lambda f: None),
}


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


@pytest.mark.parametrize("case", CASES)
def test_workers_and_order_change_no_byte(case, tmp_path, request):
    dataset, recipe, write = CASES[case]
    raw = str(write(tmp_path / "raw") or "")

    def build_into(name, **options):
        data_dir = str(tmp_path / name)
        return build(dataset, recipe, data_dir=data_dir, raw_dir=raw, **options)

    first = build_into("one", threads=1)
    assert len(contents(first)) > 5 or dataset == "natural_images"
    four = build_into("four", threads=4)
    request.getfixturevalue("shuffled")
    other = build_into("shuffled", threads=4)
    beam = build_into("beam", beam="--runner=DirectRunner")
    for again in (four, other, beam):
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
