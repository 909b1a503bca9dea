"""The parts of a run, one for each trial, and what a part takes from other runs instead of training it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml_collections import ConfigDict

from rireid_jax.config.trials import trial_configs
from rireid_jax.runs.shared_stages import finished_elsewhere, take_over
from rireid_jax.runs.trial import build_dataset
from rireid_jax.runs.workdir import trial_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """A run on one trial.

    Attributes:
      config: of this run.
      folder: its work directory.
    """

    config: ConfigDict
    folder: str


def run_parts(config: ConfigDict, folder: str) -> list[Part]:
    """The parts of a run in a folder: one for each trial, or a single one if the data set has no trials."""
    parts = trial_configs(config)
    if not parts:
        return [Part(config, folder)]
    return [Part(part, trial_folder(folder, trial)) for trial, part in parts.items()]


def take_over_stages(part: Part, others: Mapping[str, Sequence[str]]) -> None:
    """Copies the stages that other runs have finished and this one has not.

    Args:
      part: of a run.
      others: by stage, the work directories of runs in which it ends as it does here.

    Raises:
      UserError: as `build_dataset`.
    """
    own = build_dataset(part.config, part.config.dataset)
    data = {part.config.dataset: own}
    for stage in part.config.run:
        name = part.config.stages[stage].dataset or part.config.dataset
        if name not in data:
            data[name] = build_dataset(part.config, name, own)
        num_images = len(data[name].splits["train"])
        if finished_elsewhere(part.config, part.folder, stage, num_images) is not None:
            continue
        taken = take_over(part.config, stage, part.folder, others[stage], data[name])
        if taken:
            logger.info("%s: taken from %s", stage, taken[0])
