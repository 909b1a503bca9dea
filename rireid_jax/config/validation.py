"""Validates a config."""

import os
from collections.abc import Iterator

from ml_collections import ConfigDict

from rireid_jax.components import (
    DATASETS,
    EXTRACTORS,
    IMAGE_SIZE,
    LOSSES,
    SUPER_RESOLUTION,
    Field,
    Fields,
    Slot,
)
from rireid_jax.config.base import base_config, base_fields
from rireid_jax.config.datasets import SIZES, dataset_names
from rireid_jax.config.fields import completed, structure_problems, value_problems
from rireid_jax.config.stage_fields import MODULES, stage_config, stage_fields
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

_FROM_EXTRACTOR = {"feature", "logits", "gates", "before_neck"}  # what loss terms may need of it


def validate(config: ConfigDict) -> None:
    """Checks the values of a config.

    Raises:
      UserError: one line that names every wrong field, its value and what was expected.
    """
    # Values can only be checked once every field is present and has the right type.
    problems = list(_structure_problems(config))
    if not problems:
        fields = _fields(config)
        problems = [
            *value_problems(fields, config, "config"),
            *_trial_problems(config),
            *_run_problems(config),
        ]
        for name in config.stages:
            problems += _stage_problems(config, name)
    if problems:
        raise UserError("; ".join(problems))


def with_defaults(config: ConfigDict) -> ConfigDict:
    """Returns a copy of a config, with defaults for the fields that it lacks.

    It lacks fields that were added in a later version, and fields of components that were not yet registered when it
    was created. A config from before the field `size` has its data set's default size, because there was no other. A
    config without a known data set or size is returned unchanged; `validate` refuses it.
    """
    if config.get("dataset") not in dataset_names() or "stages" not in config:
        return config
    size = config.get("size", DATASETS[config.dataset].default_size)
    if size not in SIZES:
        return config
    template = base_config(f"{config.dataset},{size}")
    template.stages = ConfigDict({name: stage_config() for name in config.stages})
    whole = completed(config, template)
    if config.is_locked:
        whole.lock()
    return whole


def with_paths(config: ConfigDict) -> ConfigDict:
    """Returns a copy of a config in which every field that is a path holds a whole one.

    `~` and variables are expanded, and a relative path begins at the working directory, so that a work directory that
    keeps the config can be used from another one. A config without a known data set is returned unchanged; `validate`
    refuses it.

    Raises:
      UserError: a path names a user or a variable that does not exist.
    """
    if config.get("dataset") not in dataset_names():
        return config
    whole = config.copy_and_resolve_references()
    _expand(_fields(config), whole, "config")
    return whole


def _expand(fields: Fields, values: ConfigDict, path: str) -> None:
    for name, field in fields.items():
        place = f"{path}.{name}"
        if isinstance(field, Field):
            value = values.get(name)
            if field.path and isinstance(value, str):
                value = expanded(value, place)
                values[name] = os.path.abspath(value) if value and "://" not in value else value
        elif isinstance(values.get(name), ConfigDict):
            _expand(field.fields() if isinstance(field, Slot) else field, values[name], place)


def _fields(config: ConfigDict) -> Fields:
    """Returns all fields of a config, with those of its data set's recipe and of its own stages."""
    fields = base_fields()
    stages = dict.fromkeys(config.get("stages", {}), stage_fields())
    data = {
        **fields["data"],
        "recipe": DATASETS[config.dataset].recipe,
    }
    return {**fields, "data": data, "stages": stages}


def _structure_problems(config: ConfigDict) -> Iterator[str]:
    if "dataset" not in config or config.dataset not in dataset_names():
        found = repr(config.get("dataset")) if "dataset" in config else "no such field"
        yield f"config.dataset: found {found}, expected one of {', '.join(dataset_names())}"
        return
    expected = DATASETS[config.dataset].recipe
    recipe = config.get("data", {}).get("recipe", expected)
    if not set(expected) <= set(recipe):  # fields beyond these are mistyped ones
        yield (
            f"config.dataset: found {config.dataset!r} with a recipe of {', '.join(recipe) or 'nothing'}, expected "
            f"{', '.join(expected)}; choose the data set after the config file, as in "
            f"--config configs/joint.py:{config.dataset}"
        )
        return
    yield from structure_problems(_fields(config), config, "config")


def _trial_problems(config: ConfigDict) -> Iterator[str]:
    spec, recipe = DATASETS[config.dataset], config.data.recipe
    for name, expected in spec.problems(recipe.to_dict()):
        yield f"config.data.recipe.{name}: found {recipe[name]!r}, expected {expected}"
    trials = config.data.trials
    if "trial" in recipe and not trials:
        yield "config.data.trials: found (), expected some numbers of partitions of the identities, such as (0, 1)"
    if config.eval.split == "validation" and not config.data.validation:
        yield "config.eval.split: found 'validation', expected 'query' where config.data.validation is 0"
    if "trial" not in recipe and trials:
        yield f"config.data.trials: found {trials!r}, expected () for a data set with one partition"


def _run_problems(config: ConfigDict) -> Iterator[str]:
    run, stages = config.run, tuple(config.stages)
    for field, names in (("run", run), ("others", config.others)):
        if not all(isinstance(name, str) for name in names):
            yield f"config.{field}: found {names!r}, expected names of stages"
            return
    if (
        not set(run) - {config.baseline, *config.others}
        or set(run) - set(stages)
        or len(set(run)) < len(run)
    ):
        yield (
            f"config.run: found {run!r}, expected different names out of {', '.join(stages)}, and more "
            "than config.baseline and config.others"
        )
    if config.baseline not in ("", *run):
        yield f"config.baseline: found {config.baseline!r}, expected the name of a stage of config.run, or ''"
    others = config.others
    if set(others) - (set(run) - {config.baseline}) or len(set(others)) < len(others):
        yield (
            f"config.others: found {others!r}, expected different names of stages of config.run other than the baseline"
        )


def _stage_problems(config: ConfigDict, name: str) -> Iterator[str]:
    stage, path = config.stages[name], f"config.stages.{name}"
    sources = ("", *config.stages)
    for module, source in stage.init.items():
        if source not in sources:
            expected = ", ".join(map(repr, sources))
            yield f"{path}.init.{module}: found {source!r}, expected one of {expected}"
    per_identity = stage.images_per_identity
    if per_identity > 0 and config.batch_size % per_identity:
        yield (
            f"{path}.images_per_identity: found {per_identity}, expected 0 or a divisor of the batch size "
            f"({config.batch_size})"
        )
    if stage.extractor in EXTRACTORS and stage.neck not in EXTRACTORS[stage.extractor].necks:
        necks = ", ".join(EXTRACTORS[stage.extractor].necks)
        yield f"{path}.neck: found {stage.neck!r}, expected {necks} for {stage.extractor}"
    if stage.super_resolution in SUPER_RESOLUTION and name in config.run:
        multiple = SUPER_RESOLUTION[stage.super_resolution].size_multiple
        size = config.data.image_size
        if not IMAGE_SIZE.problem(size) and any(n % multiple for n in size):
            yield (
                f"config.data.image_size: found {config.data.image_size!r}, expected two multiples of {multiple} for "
                f"{stage.super_resolution} in the stage {name}"
            )
    modules = [module for module, nothing in MODULES.items() if stage[module] != nothing]
    terms = {term: LOSSES[term] for term, own in stage.losses.items() if own.weight > 0}
    for term, kind in terms.items():
        modules += kind.brings
        if stage.extractor == "none" and _FROM_EXTRACTOR & set(kind.needs):
            yield f"{path}.losses.{term}.weight: found {stage.losses[term].weight!r}, expected 0 without an extractor"
        for field, expected in kind.problems(stage.losses[term], stage):
            found = stage
            for part in field.split("."):
                found = found[part]
            yield f"{path}.{field}: found {found!r}, expected {expected}"
    if not stage.train or any(module not in modules for module in stage.train):
        yield (
            f"{path}.train: found {stage.train!r}, expected some of the modules that the stage has: "
            f"{', '.join(modules) or 'none'}"
        )
    if not terms:
        yield f"{path}.losses: found no term with a weight above 0, expected one"
