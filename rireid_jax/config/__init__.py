"""Configuration: the table of data sets, the stages of training, and what makes a config valid.

`base_config(dataset)` holds every field that the project reads. A file in `configs/` chooses which stages to
run; everything can be overridden on the command line.
"""

from rireid_jax.components import DATASETS
from rireid_jax.config.base import base_config
from rireid_jax.config.datasets import (
    dataset_names,
    effective_recipe,
    evaluation_protocol,
    parse_dataset,
    recipe_of,
    recipe_title,
)
from rireid_jax.config.stages import final_stage, stages_to
from rireid_jax.config.trials import trial_configs
from rireid_jax.config.validation import validate

__all__ = [
    "DATASETS",
    "base_config",
    "dataset_names",
    "effective_recipe",
    "evaluation_protocol",
    "final_stage",
    "parse_dataset",
    "recipe_of",
    "recipe_title",
    "stages_to",
    "trial_configs",
    "validate",
]
