"""Rows for a gallery, and where they are on the disk."""

from pathlib import Path

import numpy as np
from pyarrow import parquet

MODEL = ("0123456789abcdef", 64)


def features(number: int, dimension: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, dimension)).astype(np.float32)


def holds(folder: str, text: str, feature: np.ndarray) -> bool:
    """Whether a text or a feature is in any file, also where it is compressed."""
    content = b""
    for file in Path(folder).rglob("*"):
        if file.is_file():
            content += file.read_bytes()
        if file.suffix == ".parquet":
            columns = parquet.read_table(file).to_pydict()
            content += repr({k: v for k, v in columns.items() if k != "feature"}).encode()
            content += np.asarray(columns.get("feature", ()), np.float32).tobytes()
    return text.encode() in content or feature.tobytes() in content
