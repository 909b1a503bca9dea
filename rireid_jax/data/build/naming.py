"""Where a built data set lies: a folder for every recipe, and for every source that a recipe may have."""

import json
from collections.abc import Callable
from typing import Any

from etils import epath

from rireid_jax.data.dataset import Dataset
from rireid_jax.data.records import recipe_hash
from rireid_jax.errors import UserError


def build_name(dataset: Dataset, data_dir: str, fingerprint: Callable[[], str]) -> str:
    """Names the folder of a data set, 8 hexadecimal digits over the recipe and the source.

    Without a source, it is that of the only build of the recipe, as its raw files may be gone. Versions before sources
    had names kept one build of a recipe, which stays in use for the files that it was built from.

    Args:
      dataset: what to build or to open.
      data_dir: where built data sets lie.
      fingerprint: returns that of the raw files.

    Raises:
      UserError: no source is given, and there are builds of several.
    """
    recipe = dataset.hashed_recipe()
    plain, source = recipe_hash(dataset.name, recipe), dataset.source()
    root = epath.Path(data_dir) / dataset.name
    if source:
        name = recipe_hash(dataset.name, recipe | {"source of files": source})
        earlier = _metadata(root / plain / dataset.version)
        if not earlier or (root / name / dataset.version).exists():
            return name
        try:
            return plain if earlier.get("fingerprint") == fingerprint() else name
        except UserError:
            return name  # whose build says what is wrong with the files
    if dataset.raw_dir or (root / plain / dataset.version).exists() or not root.is_dir():
        return plain
    builds = {
        path.parent.name: found["source"]
        for path in sorted(root.glob(f"*/{dataset.version}"))
        if (found := _metadata(path)).get("source")
        and recipe_hash(dataset.name, found["recipe"]) == plain
    }
    if len(builds) > 1:
        raise UserError(
            f"--config.data.raw_dir: not given, found builds of {', '.join(sorted(builds.values()))} in {root}, "
            "expected one of these folders"
        )
    return next(iter(builds), plain)


def _metadata(path: epath.Path) -> dict[str, Any]:
    """What a build wrote down; empty where there is none."""
    try:
        return json.loads((path / "metadata.json").read_text())
    except (OSError, ValueError):
        return {}
