"""What a download holds beside what its authors count."""

import pytest
from rireid_jax.data.raw.base import RawDataset, RawImage
from rireid_jax.data.raw.caviar import CAVIAR4REID
from rireid_jax.data.raw.market1501 import Market1501
from rireid_jax.data.raw.viper import VIPeR


def reader(kind: type[RawDataset]) -> RawDataset:
    """A reader of no folder."""
    return object.__new__(kind)


def images(pids, camids, role=""):
    return [RawImage(f"{p}_{c}{role}", p, c, (), role) for p in pids for c in camids]


def test_all_there():
    assert list(reader(VIPeR).mismatches(images(range(632), (0, 1)))) == []


def test_numbers_of_images_and_identities():
    assert list(reader(VIPeR).mismatches(images(range(600), (0, 1)))) == [
        "found 1,200 images of 600 identities, the full VIPeR has 1,264 images of 632 identities"
    ]


def test_number_of_cameras():
    found = images(range(632), (0,)) + images(range(632), (0,), "x")
    assert list(reader(VIPeR).mismatches(found)) == ["found 1 cameras, the full VIPeR has 2"]


@pytest.mark.parametrize(("both", "problem"), [(50, []), (49, ["found 49 identities before both"])])
def test_identities_before_both_cameras(both, problem):
    shots = 2 * both + (72 - both)
    found = images(range(both), (0, 1)) + images(range(both, 72), (0,))
    more = [RawImage(f"more{n}", 0, 0, ()) for n in range(1_220 - shots)]
    problems = list(reader(CAVIAR4REID).mismatches(found + more))
    assert [text.partition(" cameras")[0] for text in problems] == problem


def test_by_role():
    found = images(range(2), range(6), "train")
    problems = list(reader(Market1501).mismatches(found))
    assert problems[0].startswith(
        "train has 12 images of 2 identities, the full Market-1501 has 12,936"
    )
    assert problems[1].startswith("query has 0 images")
    assert len(problems) == 3
