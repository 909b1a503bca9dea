"""Trials made by others."""

import json

import pytest
from raw_folders import write_caviar, write_viper

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build
from rireid_jax.data.dataset import RawImage
from rireid_jax.data.kinds.trial_file import read_trial_file
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
    path = tmp_path / "Aufteilung für später.json"
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(data)
    return read_trial_file(path, IMAGES)


def test_paths(tmp_path):
    trials = [torchreid((3, 8), (5, 13)), torchreid((5, 8, 13), (3,))]
    assert read(tmp_path, trials) == [({3, 8}, {5, 13}), ({5, 8, 13}, {3})]
    assert read(tmp_path, trials[0]) == [({3, 8}, {5, 13})]
    windows = json.dumps([torchreid((3,), (13,))]).replace("/", "\\\\").encode()
    assert read(tmp_path, windows) == [({3}, {13})]


@pytest.mark.parametrize("test", [("query", "gallery"), ("test_probe", "test_gallery")])
def test_numbers_of_identities(tmp_path, test):
    content = {"trainval": [0, 2], test[0]: [1, 3], test[1]: [1, 3]}
    assert read(tmp_path, [content]) == [({3, 8}, {5, 13})]


GOOD = {"train": [0], "query": [1]}
OTHERS = {
    "found no list of trials": ([], [1, 2], "all"),
    "trial 0: found nothing, expected": ([{}],),
    "trial 0: found train, expected": ([{"train": [0]}],),
    "trial 0: found query, gallery, expected": ([{"query": [0], "gallery": [0]}],),
    "trial 0: found train, test, expected a list of trials": ([{"train": [0], "test": [1]}],),
    "trial 0: found train, query": ([{"train": 0, "query": [1]}],),
    "trial 1: found train, query": ([GOOD, {"train": {"0": 1}, "query": [1]}],),
    "trial 0: found nobody": ([{"train": [0], "query": []}], [{"train": [], "query": [0]}]),
    "trial 1: found nobody": ([GOOD, {"train": [0], "query": [], "gallery": []}],),
    "found identity 5 and 0 others both in": ([{"train": [0, 1], "query": [1], "gallery": [2]}],),
    "found identity number 4, expected 0 to 3": ([{"train": [0], "query": [4]}],),
    "found identity number -1": ([{"train": [0], "query": [-1]}],),
    "found an entry (True|1.0|'1'|'a.bmp'|None|\\[\\])": tuple(
        [{"train": [0], "query": [entry]}] for entry in (True, 1.0, "1", "a.bmp", None, [])
    ),
    "found image '.*' of nobody in": (
        [{"train": [0], "query": [["cam_a/007_0.bmp", 0, 0]]}],
        [{"train": [[""]], "query": [1]}],
    ),
    ".*, expected a list of trials": (  # files that hold no JSON
        *(b"", bytes(400), b"train: 1, 2\n", b'[{"train": [0, 1], "query": [2', b"[] []"),
        '[{"train": ["für"]}]'.encode("latin-1"),
        b"\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94.",
        b"<!DOCTYPE html>\n<html>\n</html>\n",
        b"[" * 100_000,
        b"[" + b"9" * 5_000 + b"]",
    ),
}


@pytest.mark.parametrize("message", OTHERS)
def test_other_forms(tmp_path, message):
    for content in OTHERS[message]:
        with pytest.raises(UserError, match=f"Aufteilung für später.json.*{message}") as caught:
            read(tmp_path, content)
        assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_trial_file(tmp_path / "trials.json", IMAGES)
    with pytest.raises(UserError, match=r"expected a list of trials"):
        read_trial_file(tmp_path, IMAGES)


def test_builds_the_trial_of_a_file(tmp_path):
    raw = write_viper(tmp_path / "VIPeR", (3, 5, 8, 13))
    name = {pid: next((raw / "cam_a").glob(f"{pid:03d}_*")).name for pid in (3, 5, 8, 13)}
    trial = {
        "train": [[f"x/cam_a/{name[pid]}", 0, 0] for pid in (3, 8)],
        "query": [[f"x/cam_a/{name[pid]}", 0, 0] for pid in (5, 13)],
        "gallery": [[f"x/cam_a/{name[5]}", 0, 0]],
    }
    hashes = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "trials.json"
        file.write_text(json.dumps([trial]))
        recipe = recipe_of("mlr_viper") | {"trial_source": str(file)}
        data_dir = str(tmp_path / folder)
        built = build("mlr_viper", recipe, data_dir=data_dir, raw_dir=str(raw))
        assert built.train_pids == (3, 8)
        assert {record.pid for record in built.splits["query"]} == {5, 13}
        hashes.append(built.protocol_hash)
    assert hashes[0] == hashes[1]  # where the file lies does not matter, what is in it does
    file.write_text(json.dumps([trial, trial]))
    recipe = recipe_of("mlr_viper") | {"trial_source": str(file), "trial": 1}
    other = build("mlr_viper", recipe, data_dir=str(tmp_path / "there"), raw_dir=str(raw))
    assert other.protocol_hash != hashes[0]
    with pytest.raises(UserError, match=r"config\.data\.trials: found 2, expected less than 2"):
        build("mlr_viper", recipe | {"trial": 2}, data_dir=str(tmp_path), raw_dir=str(raw))


def test_caviar_counts_those_before_both_cameras(tmp_path):
    """Numbers are positions among the identities of the benchmark, here 3 to 6. Who is in neither part is left out."""
    raw = write_caviar(tmp_path / "CAVIARa", ids=(3, 4, 5, 6), single_ids=(1, 2))
    file = tmp_path / "trials.json"
    recipe = recipe_of("caviar") | {"trial_source": str(file)}
    file.write_text(json.dumps({"trainval": [0, 1], "test_probe": [2], "test_gallery": [2]}))
    built = build("caviar", recipe, data_dir=str(tmp_path), raw_dir=str(raw))
    assert built.train_pids == (3, 4)
    assert {record.pid for record in built.splits["query"]} == {5}
    file.write_text(json.dumps({"trainval": [0, 1], "query": [4]}))
    with pytest.raises(UserError, match="found identity number 4, expected 0 to 3"):
        build("caviar", recipe, data_dir=str(tmp_path), raw_dir=str(raw))
