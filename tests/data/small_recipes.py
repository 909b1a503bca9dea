"""Data sets that are built in a moment."""

from pathlib import Path

from rireid_jax.config import recipe_of
from rireid_jax.data.build import Built, build
from rireid_jax.data.records import Record

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


def build_preset(name: str, raw: Path, folder: Path, **change: object) -> Built:
    """Builds `DATASET[/PRESET]` with some fields changed from the download `raw`, below `folder`."""
    places = dict(data_dir=str(folder / "data"), raw_dir=str(raw))
    dataset = name.partition("/")[0]
    return build(dataset, recipe_of(name) | change, **places)


def records(built: Built) -> dict[str, list[Record]]:
    """By split."""
    return {split: list(source) for split, source in built.splits.items()}
