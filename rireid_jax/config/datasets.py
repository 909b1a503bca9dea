"""The parts of a config that come from the data set that it names."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from rireid_jax.components import DATASETS
from rireid_jax.errors import UserError

Recipe = Mapping[str, Any]


def dataset_names() -> tuple[str, ...]:
    """Returns the values that `config.dataset` may have: the data sets with identities, which can be evaluated on."""
    return tuple(sorted(name for name, dataset in DATASETS.items() if dataset.has_identities))


def parse_dataset(name: str) -> tuple[str, str]:
    """Splits `DATASET[/PRESET]` into (data set, preset); the preset is "" if none is given.

    Raises:
      UserError: there is no such data set, or it has no such preset.
    """
    dataset, _, preset = name.partition("/")
    if dataset not in dataset_names():
        raise UserError(f"dataset: found {dataset!r}, expected one of {', '.join(dataset_names())}")
    presets = DATASETS[dataset].presets
    if "/" in name and preset not in presets:
        known = " or ".join(f"{dataset}/{other}" for other in presets)
        raise UserError(f"dataset: found {name!r}, expected {known or dataset}")
    return dataset, preset


def recipe_of(name: str) -> dict[str, Any]:
    """Returns the complete recipe of `DATASET[/PRESET]`."""
    dataset, preset = parse_dataset(name)
    return DATASETS[dataset].recipe_values(preset)


def effective_recipe(dataset: str, recipe: Recipe) -> dict[str, Any]:
    """Returns a recipe without the fields that have no effect, given the values of the other fields."""
    return DATASETS[dataset].effective_recipe(recipe)


def recipe_title(dataset: str, recipe: Recipe) -> str:
    """Returns the title of a recipe: "default", the name of a preset, or "custom". The trial does not change it."""
    kind = DATASETS[dataset]
    trial = {name: recipe[name] for name in ("trial", "trial_source") if name in recipe}
    for preset in ("", *kind.presets):
        named = kind.recipe_values(preset) | trial
        if kind.effective_recipe(recipe) == kind.effective_recipe(named):
            return preset or "default"
    return "custom"


def evaluation_protocol(config: ConfigDict) -> dict[str, Any]:
    """Returns the arguments `protocol`, `repeats` and `seed` of `evaluation.rank` for the config's data set.

    Scoring belongs to the benchmark, so the seed is the recipe's and not that of training.
    """
    recipe = config.data.recipe
    return {
        "protocol": recipe.get("protocol", DATASETS[config.dataset].protocol),
        "repeats": recipe.get("repeats", 1),
        "seed": recipe.seed,
    }
