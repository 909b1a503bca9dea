"""Several sets of crops at once, by a text file that names them."""

import pytest
from own_images import own_folder, write_files

from rireid_jax.config import recipe_of
from rireid_jax.data.build import build
from rireid_jax.errors import UserError

_MARKET = {"train": (1, 2), "query": (3, 4), "gallery": (3, 4)}


@pytest.fixture
def sets(tmp_path):
    """Market-1501's layout of two people in training and two in test, and five other people of the same names."""
    market = [
        f"market/{split}/{person:04}_c{camera}s1_{split}.png"
        for split, people in _MARKET.items()
        for person in people
        for camera in (1, 2)
    ]
    own = [f"own/{person:04}/{shot}_c1.png" for person in range(1, 6) for shot in range(2)]
    write_files(tmp_path, [*market, *own, "own/notes.md", "own2/anna/0.png", "own2/anna/1.png"])
    file = tmp_path / "sets.txt"
    file.write_text("# both\nmarket\n\nown\r\n")
    return file


def test_all_are_trained_on_and_the_divided_one_is_scored(sets, tmp_path):
    dataset = own_folder(sets)
    items = dataset.list_items()
    assert {split: len(own) for split, own in items.items()} == {
        "train": 4 + 10,
        "query": 4,
        "gallery": 4,
    }
    people = {split: {item.pid for item in own} for split, own in items.items()}
    assert len(people["train"]) == 2 + 5
    assert people["query"] == people["gallery"]
    assert not people["train"] & people["query"]
    cameras = {item.camid for item in items["train"]}
    assert len(cameras) == 2 + 1
    assert {item.name.partition("/")[0] for item in items["train"]} == {"market", "own"}
    assert any(".md" in line for line in dataset.ignored())
    built = build("folder", recipe_of("folder"), raw_dir=str(sets), data_dir=str(tmp_path / "data"))
    assert len(built.train_pids) == 7


def test_sets_without_splits_are_divided_together(sets, tmp_path):
    (tmp_path / "more.txt").write_text("own\nown2\n")  # the latter has no cameras: then none has
    dataset = own_folder(tmp_path / "more.txt")
    people = {split: {item.pid for item in own} for split, own in dataset.list_items().items()}
    assert people["query"] <= people["gallery"]
    assert len(people["train"] | people["gallery"]) == 6
    assert not dataset.has_cameras


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("own\n", "found 1 of them, expected at least two"),
        ("own\nown\n", "found own twice"),
        ("own\nnosuch\n", "nosuch is not there"),
        ("own\n~nosuchuser/x\n", "nosuchuser"),
    ],
)
def test_mistakes(sets, text, problem):
    sets.write_text(text)
    with pytest.raises(UserError, match=problem):
        own_folder(sets).list_items()
