"""The parts of a config that come from the data set that it names, and from the size behind that name."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from rireid_jax.components import DATASETS
from rireid_jax.errors import UserError

Recipe = Mapping[str, Any]
SIZES = ("small", "paper")


class Choice(NamedTuple):
    """What `DATASET[/PRESET][,SIZE]` names.

    Attributes:
      dataset: a name out of `dataset_names`.
      preset: one of its presets, or "".
      size: one of `SIZES`.
    """

    dataset: str
    preset: str
    size: str


def dataset_names() -> tuple[str, ...]:
    """Returns the values that `config.dataset` may have: the data sets with identities, which can be evaluated on."""
    return tuple(sorted(name for name, dataset in DATASETS.items() if dataset.has_identities))


def parse_dataset(name: str) -> Choice:
    """Reads `DATASET[/PRESET][,SIZE]`, the part of `--config` that names the data.

    Without a preset it is "", and without a size it is the data set's default.

    Raises:
      UserError: there is no such data set or size, or the data set has no such preset.
    """
    if not isinstance(name, str):
        raise UserError(f"dataset: found {name!r}, expected a name such as 'pedestrians'")
    data, comma, size = name.partition(",")
    dataset, slash, preset = data.partition("/")
    if data in SIZES:
        raise UserError(
            f"dataset: found {data!r}, expected a data set before the size, as in pedestrians,{data}"
        )
    if dataset not in dataset_names():
        raise UserError(f"dataset: found {dataset!r}, expected one of {', '.join(dataset_names())}")
    presets = DATASETS[dataset].presets
    if slash and preset not in presets:
        known = " or ".join(f"{dataset}/{other}" for other in presets)
        raise UserError(f"dataset: found {data!r}, expected {known or dataset}")
    if comma and size not in SIZES:
        known = " or ".join(f"{data},{other}" for other in SIZES)
        raise UserError(f"dataset: found {name!r}, expected {known}")
    return Choice(dataset, preset, size or DATASETS[dataset].default_size)


def default_title(argument: str, config: ConfigDict) -> str:
    """Returns the end of the name of a run's default folder.

    It has the preset and the row of the paper's tables, which are experiments of their own, and the size unless it is
    the data set's default.

    Args:
      argument: what follows the config file's name in `--config`; "" if nothing does.
      config: the config that it gave.
    """
    title = argument.removesuffix(f",{config.size}") or config.dataset
    if config.size != DATASETS[config.dataset].default_size:
        title += f",{config.size}"
    return title.replace("/", "-").replace(",", "-")


def smaller_argument(argument: str, config: ConfigDict) -> str:
    """Returns what must follow the config file's name for the small size; "" if the config has that size.

    Args:
      argument: what follows it now; "" if nothing does.
      config: the config that it gave.
    """
    if config.size == "small":
        return ""
    return f"{argument.removesuffix(f',{config.size}') or config.dataset},small"


def recipe_of(name: str) -> dict[str, Any]:
    """Returns the complete recipe of `DATASET[/PRESET][,SIZE]`; all sizes learn from the same images."""
    choice = parse_dataset(name)
    return DATASETS[choice.dataset].recipe_values(choice.preset)


def published_training_images(name: str) -> int:
    """Returns how many training images the authors of a data set count; 0 if the data set does not say.

    Args:
      name: `DATASET[/PRESET][,SIZE]`.
    """
    published = DATASETS[parse_dataset(name).dataset](recipe_of(name)).published_splits()
    return (published["train"].images or 0) if "train" in published else 0


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
