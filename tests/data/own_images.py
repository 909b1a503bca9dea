"""A user's own images: random pixels in files of any name."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from rireid_jax.components import DATASETS
from rireid_jax.config import recipe_of
from rireid_jax.data.dataset import Dataset
from rireid_jax.data.files import IMAGE_SUFFIXES


def write_files(folder: Path, names: Iterable[str], size: tuple[int, int] = (4, 8)) -> Path:
    """Writes files of other pixels for every name: images by their suffix, else text. A name that ends in a slash is a
    folder. `size` is (width, height)."""
    for name in names:
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            continue
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            path.write_text("no image")
            continue
        rng = np.random.default_rng(list(name.encode()))
        image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
        image.convert("L" if path.suffix.lower() in (".pgm", ".pbm") else "RGB").save(path)
    return folder


def own_folder(raw: Path, **change: object) -> Dataset:
    """The data set `folder` of what lies there, which is only listed."""
    return DATASETS["folder"](recipe_of("folder") | change, str(raw))
