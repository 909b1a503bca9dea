"""The config of a work directory, as a config file: `--config stored_config.py:RUN` or `...:RUN::DATASET[/PRESET]`.

`rireid evaluate RUN` and `rireid train RUN` are commands with this config, so that its fields can be overridden like
those of any other. With a data set behind the folder, the config is that of scoring the run's networks on these data.
"""

from ml_collections import ConfigDict

from rireid_jax.config import parse_dataset, recipe_of, with_paths
from rireid_jax.runs.workdir import read_config

SEPARATOR = "::"


def get_config(argument: str) -> ConfigDict:
    """Reads the config of a run.

    Raises:
      UserError: the folder holds no run, or there is no such data set.
    """
    workdir, _, dataset = argument.partition(SEPARATOR)
    config = with_paths(read_config(workdir))
    if dataset:
        config.dataset = parse_dataset(dataset).dataset
        config.data.recipe = ConfigDict(recipe_of(dataset))
        config.data.raw_dir = ""
        config.data.trials = ()
        config.data.validation = 0.0  # nobody there was in training
        config.eval.split = "query"
        config.init.workdir = workdir
    return config
