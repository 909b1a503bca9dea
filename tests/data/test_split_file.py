"""Divisions of identities made by others."""

import json

import pytest
from raw_folders import write_caviar, write_viper
from rireid_jax.data.build.split_file import read_split_file
from rireid_jax.data.raw.base import RawImage

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build
from rireid_jax.errors import UserError

IMAGES = [
    RawImage(f"cam_{camera}/{pid:03d}_{angle}.bmp", pid, camid, ())
    for pid in (3, 5, 8, 13)
    for camid, (camera, angle) in enumerate((("a", 0), ("b", 90)))
]


def torchreid(train, test):
    """As torchreid writes it: absolute paths of another machine, identities numbered anew."""

    def rows(pids, camera, angle):
        return [
            [f"/home/me/viper/VIPeR/cam_{camera}/{pid:03d}_{angle}.bmp", n, "ab".index(camera)]
            for n, pid in enumerate(pids)
        ]

    return {
        "train": rows(train, "a", 0) + rows(train, "b", 90),
        "query": rows(test, "a", 0),
        "gallery": rows(test, "b", 90),
        "num_train_pids": len(train),
    }


def read(tmp_path, content):
    path = tmp_path / "splits.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_split_file(path, IMAGES)


def test_paths(tmp_path):
    splits = [torchreid((3, 8), (5, 13)), torchreid((5, 8, 13), (3,))]
    assert read(tmp_path, splits) == [({3, 8}, {5, 13}), ({5, 8, 13}, {3})]
    assert read(tmp_path, splits[0]) == [({3, 8}, {5, 13})]


def test_windows_paths(tmp_path):
    content = json.dumps([torchreid((3,), (13,))]).replace("/", "\\\\")
    assert read(tmp_path, content) == [({3}, {13})]


@pytest.mark.parametrize(
    "names", [("trainval", "query", "gallery"), ("trainval", "test_probe", "test_gallery")]
)
def test_numbers_of_identities(tmp_path, names):
    train, query, gallery = names
    assert read(tmp_path, [{train: [0, 2], query: [1, 3], gallery: [1, 3]}]) == [({3, 8}, {5, 13})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not JSON", "splits.json: Expecting value.*expected a list of splits"),
        ([], "found no list of splits"),
        (["x"], "found no list of splits"),
        ([{"train": [0], "test": [1]}], r"split 0: found train, test, expected a list of splits"),
        ([{"train": 0, "query": [1]}], "split 0: found train, query"),
        ([{"train": [0], "query": []}], "split 0: found nobody"),
        ([{"train": [0, 1], "query": [1], "gallery": [1]}], "found identity 5 and 0 others both"),
        ([{"train": [0], "query": [4]}], "found identity number 4, expected 0 to 3"),
        ([{"train": [0], "query": [-1]}], "found identity number -1"),
        ([{"train": [0], "query": [True]}], "found an entry True"),
        ([{"train": [0], "query": ["a.bmp"]}], "found an entry 'a.bmp'"),
        (
            [{"train": [0], "query": [["cam_a/007_0.bmp", 0, 0]]}],
            "image 'cam_a/007_0.bmp' of nobody in",
        ),
    ],
)
def test_other_forms(tmp_path, content, message):
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_split_file(tmp_path / "splits.json", IMAGES)


def test_builds_the_split_of_a_file(tmp_path):
    raw = write_viper(tmp_path / "VIPeR", (3, 5, 8, 13))
    name = {pid: next((raw / "cam_a").glob(f"{pid:03d}_*")).name for pid in (3, 5, 8, 13)}
    split = {
        "train": [[f"x/cam_a/{name[pid]}", 0, 0] for pid in (3, 8)],
        "query": [[f"x/cam_a/{name[pid]}", 0, 0] for pid in (5, 13)],
        "gallery": [[f"x/cam_a/{name[5]}", 0, 0]],
    }
    hashes = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "splits.json"
        file.write_text(json.dumps([split]))
        recipe = recipe_of("mlr_viper") | {"split_source": str(file)}
        data_dir = str(tmp_path / folder)
        built = build("mlr_viper", recipe, data_dir=data_dir, raw_dir=str(raw))
        assert built.train_pids == (3, 8)
        query = built.splits["query"]
        assert {query[i].pid for i in range(len(query))} == {5, 13}
        hashes.append(built.protocol_hash)
    assert hashes[0] == hashes[1]  # where the file lies does not matter, what is in it does
    file.write_text(json.dumps([split, split]))
    recipe = recipe_of("mlr_viper") | {"split_source": str(file), "split": 1}
    other = build("mlr_viper", recipe, data_dir=str(tmp_path / "there"), raw_dir=str(raw))
    assert other.protocol_hash != hashes[0]
    with pytest.raises(UserError, match=r"config\.data\.splits: found 2, expected less than 2"):
        build("mlr_viper", recipe | {"split": 2}, data_dir=str(tmp_path), raw_dir=str(raw))


def test_who_is_in_neither_part_is_left_out(tmp_path):
    raw = write_viper(tmp_path / "VIPeR", range(1, 9))
    file = tmp_path / "splits.json"
    file.write_text(json.dumps({"trainval": [0, 1], "query": [2, 3]}))
    recipe = recipe_of("mlr_viper") | {"split_source": str(file)}
    built = build("mlr_viper", recipe, data_dir=str(tmp_path), raw_dir=str(raw))
    assert built.train_pids == (1, 2)
    assert {record.pid for record in built.splits["query"]} == {3, 4}


def test_caviar_counts_those_before_both_cameras(tmp_path):
    """Numbers are positions among the identities of the benchmark, here 3 to 6."""
    raw = write_caviar(tmp_path / "CAVIARa", ids=(3, 4, 5, 6), single_ids=(1, 2))
    file = tmp_path / "splits.json"
    recipe = recipe_of("caviar") | {"split_source": str(file)}
    file.write_text(json.dumps({"trainval": [0, 1], "test_probe": [2], "test_gallery": [2]}))
    built = build("caviar", recipe, data_dir=str(tmp_path), raw_dir=str(raw))
    assert built.train_pids == (3, 4)
    assert {record.pid for record in built.splits["query"]} == {5}
    file.write_text(json.dumps({"trainval": [0, 1], "query": [4]}))
    with pytest.raises(UserError, match="found identity number 4, expected 0 to 3"):
        build("caviar", recipe, data_dir=str(tmp_path), raw_dir=str(raw))
