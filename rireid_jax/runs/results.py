"""What a run leaves: `results.json` and `results.txt`."""

import json
import platform
from importlib.metadata import version
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.config import recipe_title
from rireid_jax.runs.files import jsonable, write_whole
from rireid_jax.runs.tables import results_table

_LIBRARIES = ("rireid_jax", "jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")


@distributed.by_first
def write_results(
    workdir: str, config: ConfigDict, measured: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """Writes both files, `results.json` last: a run that has it is complete.

    Args:
      workdir: where to.
      config: of the run.
      measured: protocol hash, metrics, baseline, stage and step, and the splits if there are any.
      seconds: that the run took.

    Returns:
      What `results.json` holds.
    """
    results = {
        "dataset": config.dataset,
        "recipe": recipe_title(config.dataset, config.data.recipe.to_dict()),
        **measured,
        "seconds": seconds,
        "config": config.to_dict(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
            "device": jax.devices()[0].device_kind,
            "num_devices": jax.device_count(),
        },
    }
    results = jsonable(results)  # so that it makes no difference whether results are new or read
    folder = epath.Path(workdir)
    write_whole(folder / "results.txt", results_text(results) + "\n")
    write_whole(folder / "results.json", json.dumps(results, indent=2) + "\n")
    return results


def results_text(results: dict[str, Any]) -> str:
    """The table of `results.txt`, from what `results.json` holds."""
    rows = {results["stage"]: results}
    if results["baseline"]:
        rows[results["config"]["baseline"]] = results["baseline"]
    return results_table(rows, results.get("splits", ()))
