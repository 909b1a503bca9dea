"""`queries.npz` of a work directory: what each system that was scored made of each query."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float, Int

from rireid_jax import distributed
from rireid_jax.errors import UserError
from rireid_jax.evaluation.intervals import compare
from rireid_jax.evaluation.scoring import Outcomes
from rireid_jax.runs.files import write_whole

_FILE = "queries.npz"


@dataclass(frozen=True)
class Queries:
    """The Q queries of a run, in the order of the split, and what its systems made of them.

    Attributes:
      pids: identities ("pid" in the file).
      resolutions: r in (0, 1] ("resolution").
      outcomes: of the same queries, by stage ("rank1/STAGE", "ap/STAGE"); none of a stage without an extractor.
    """

    pids: Int[np.ndarray, " Q"]
    resolutions: Float[np.ndarray, " Q"]
    outcomes: Mapping[str, Outcomes]

    def as_bytes(self) -> bytes:
        """The content of the file, a function of the arrays alone."""
        arrays = {"pid": self.pids, "resolution": self.resolutions}
        for stage, found in self.outcomes.items():
            arrays |= {f"rank1/{stage}": found.rank1, f"ap/{stage}": found.average_precision}
        file = io.BytesIO()
        np.savez(file, **arrays)  # type: ignore[arg-type]  # its other arguments are not arrays
        return file.getvalue()


@distributed.by_first
def write_queries(workdir: str, queries: Queries) -> None:
    """Writes the file of a work directory, which may not exist yet."""
    folder = epath.Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / _FILE, queries.as_bytes())


def read_queries(workdir: str) -> Queries | None:
    """The file of a work directory; None where there is none, as in those of older versions.

    Raises:
      UserError: it cannot be read.
    """
    path = epath.Path(workdir) / _FILE
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = dict(file)
        pids, resolutions = arrays.pop("pid"), arrays.pop("resolution")
        stages = [name.removeprefix("rank1/") for name in arrays if name.startswith("rank1/")]
        outcomes = {
            stage: Outcomes(pids, resolutions, arrays[f"rank1/{stage}"], arrays[f"ap/{stage}"])
            for stage in stages
        }
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: found no outcomes of queries ({error}), expected those of a run; delete its results.json to "
            "score it again"
        ) from error
    return Queries(pids, resolutions, outcomes)


def compare_stages(
    trials: Sequence[Queries | None], stage: str, baseline: str, edges: Sequence[float]
) -> dict[str, Any] | None:
    """The differences between two stages of a run, as `results.json` holds them.

    Args:
      trials: of the run; one where it has no trials. None where the outcomes were not kept.
      stage: the one compared.
      baseline: the one that it is compared with; "" for none.
      edges: of the bins of resolution.

    Returns:
      None without a baseline, and where a trial lacks the outcomes of one of both stages.
    """
    known = [found.outcomes for found in trials if found]
    if len(known) < len(trials) or not all({stage, baseline} <= found.keys() for found in known):
        return None
    ours, theirs = ({0: [found[name] for found in known]} for name in (stage, baseline))
    return compare(ours, theirs, edges).as_json()
