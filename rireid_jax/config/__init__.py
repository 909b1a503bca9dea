"""Configuration: the fields of a config, the stages of training, and the validation of a config.

`base_config(dataset)` returns a config with every field that the project reads. A file in `configs/` chooses which
stages to run, and the command line can override every field.
"""

from rireid_jax.config.base import base_config as base_config
from rireid_jax.config.datasets import dataset_names as dataset_names
from rireid_jax.config.datasets import default_title as default_title
from rireid_jax.config.datasets import effective_recipe as effective_recipe
from rireid_jax.config.datasets import evaluation_protocol as evaluation_protocol
from rireid_jax.config.datasets import parse_dataset as parse_dataset
from rireid_jax.config.datasets import recipe_of as recipe_of
from rireid_jax.config.datasets import recipe_title as recipe_title
from rireid_jax.config.datasets import smaller_argument as smaller_argument
from rireid_jax.config.stage_fields import stage_config as stage_config
from rireid_jax.config.stages import final_stage as final_stage
from rireid_jax.config.stages import scored_stages as scored_stages
from rireid_jax.config.stages import shorten as shorten
from rireid_jax.config.stages import stages_to as stages_to
from rireid_jax.config.strong import STRONG as STRONG
from rireid_jax.config.strong import use_tricks as use_tricks
from rireid_jax.config.trials import trial_configs as trial_configs
from rireid_jax.config.validation import validate as validate
from rireid_jax.config.validation import with_defaults as with_defaults
from rireid_jax.config.validation import with_paths as with_paths
