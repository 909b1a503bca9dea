"""A raw folder that many tests of data read."""

from pathlib import Path

import pytest
from market_folder import write_market_folder


@pytest.fixture(scope="session")
def market_folder(tmp_path_factory) -> Path:
    """Six training images, four queries, six gallery images, one of them a distractor."""
    path = tmp_path_factory.mktemp("raw") / "für Tests 人" / "Market-1501-v15.09.15"
    return write_market_folder(path, train_ids=(2, 7, 11), test_ids=(1, 9), distractors=2, junk=1)
