"""Configuration: the table of data sets, the stages of training, and what makes a config valid.

`base_config(dataset)` holds every field that the project reads. A file in `configs/` chooses which stages to
run; everything can be overridden on the command line.
"""

from rireid_jax.config.base import base_config
from rireid_jax.config.datasets import (
    DATASETS,
    KERNELS,
    Dataset,
    effective_recipe,
    evaluation_protocol,
    recipe_of,
    recipe_title,
)
from rireid_jax.config.stages import final_stage, stage_config, stages_to
from rireid_jax.config.validation import validate, with_defaults

__all__ = [
    "DATASETS",
    "KERNELS",
    "Dataset",
    "base_config",
    "effective_recipe",
    "evaluation_protocol",
    "final_stage",
    "recipe_of",
    "recipe_title",
    "stage_config",
    "stages_to",
    "validate",
    "with_defaults",
]
