"""Raw folders and recipes for the tests of data."""

from pathlib import Path

import pytest
from market_folder import write_market_folder

PEDESTRIANS = dict(
    train_identities=3,
    test_identities=2,
    cameras=2,
    train_shots=2,
    query_shots=1,
    gallery_shots=1,
    height=32,
    width=16,
    min_width=4,
    kernel="bicubic",
    seed=0,
)
MARKET = dict(min_width=8, max_width=32, kernel="bicubic", rounding="round", seed=0)
FOLDER = dict(
    degrade=False,
    min_width=8,
    max_width=32,
    test_fraction=0.5,
    kernel="bicubic",
    rounding="round",
    seed=0,
)


@pytest.fixture(scope="session")
def market_folder(tmp_path_factory) -> Path:
    """Six training images, four queries, six gallery images, one of them a distractor."""
    path = tmp_path_factory.mktemp("raw") / "für Tests 人" / "Market-1501-v15.09.15"
    return write_market_folder(path, train_ids=(2, 7, 11), test_ids=(1, 9), distractors=2, junk=1)
