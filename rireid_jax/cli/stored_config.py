"""The config of a work directory, as a config file: `--config stored_config.py:RUN` or `...:RUN::DATASET[/PRESET]`.

`rireid evaluate RUN` and `rireid train RUN` are commands with this config, so that its fields can be overridden like
those of any other. With a data set behind the folder, the config is that of scoring the run's networks on these data.
"""

from pathlib import Path

from ml_collections import ConfigDict

from rireid_jax.components import DATASETS
from rireid_jax.config import parse_dataset, recipe_of, with_paths
from rireid_jax.errors import UserError
from rireid_jax.runs.workdir import read_config, trial_folders

SEPARATOR = "::"


def get_config(argument: str) -> ConfigDict:
    """Reads the config of a run.

    Raises:
      UserError: the folder holds no run, there is no such data set, or one of both has several trials.
    """
    workdir, _, dataset = argument.partition(SEPARATOR)
    config = with_paths(read_config(workdir))
    if dataset:
        trials = [Path(folder).name for folder in trial_folders(workdir)]
        if trials:
            raise UserError(
                f"{workdir}: found a run over several trials, expected the folder of one of them: "
                f"{', '.join(trials)} in it"
            )
        config.dataset = parse_dataset(dataset).dataset
        if DATASETS[config.dataset].trials:
            raise UserError(
                f"--on: found {config.dataset}, which is scored over several trials, expected another data set; for "
                "one of its trials, a CSV file of its images (--on folder)"
            )
        config.data.recipe = ConfigDict(recipe_of(dataset))
        config.data.raw_dir = ""
        config.data.trials = ()
        config.data.validation = 0.0  # nobody there was in training
        config.eval.split = "query"
        config.init.workdir = workdir
    return config
