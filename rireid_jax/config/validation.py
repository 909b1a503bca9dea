"""What makes a config valid."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ml_collections import ConfigDict

from rireid_jax.components import DATASETS
from rireid_jax.config.base import base_config
from rireid_jax.config.datasets import dataset_names
from rireid_jax.config.stages import (
    CONTENT_EXTRACTORS,
    EXTRACTORS,
    HEADS_OF_THEIR_OWN,
    MASKS,
    NECKS,
    OPTIMIZERS,
    SUPER_RESOLUTION,
    stage_config,
)
from rireid_jax.errors import UserError


def validate(config: ConfigDict) -> None:
    """Checks the values of a config.

    Raises:
      UserError: one line that names every wrong field, what it holds and what was expected.
    """
    # The values of fields that are not there, or are of another type, cannot be looked at.
    problems = list(_structure_problems(config)) or list(_problems(config))
    if problems:
        raise UserError("; ".join(problems))


def _structure_problems(config: ConfigDict) -> Iterator[str]:
    """Unknown and missing fields, and types other than those of `base_config`."""
    if "dataset" not in config or config.dataset not in dataset_names():
        found = repr(config.get("dataset")) if "dataset" in config else "no such field"
        yield f"config.dataset: found {found}, expected one of {', '.join(dataset_names())}"
        return
    expected = base_config(config.dataset)
    recipe = config.get("data", {}).get("recipe", expected.data.recipe)
    if set(recipe) != set(expected.data.recipe):
        yield (
            f"config.dataset: found {config.dataset!r} with a recipe of {', '.join(recipe) or 'nothing'}, expected "
            f"{', '.join(expected.data.recipe)}; choose the data set behind the config file, as in "
            f"--config configs/joint.py:{config.dataset}"
        )
        return
    template = stage_config(train=(), epochs=1, learning_rate=1.0, decay_epochs=())
    expected.stages = ConfigDict(dict.fromkeys(config.get("stages", {}), template))
    yield from _differences(config, expected, "config")


def _differences(found: ConfigDict, expected: ConfigDict, parent: str) -> Iterator[str]:
    for name in sorted({*found, *expected}):
        field = f"{parent}.{name}"
        if name not in expected:
            yield f"{field}: found an unknown field, expected one of {', '.join(expected)}"
        elif name not in found:
            yield f"{field}: found no such field, expected it as in base_config"
        elif isinstance(expected[name], ConfigDict) and isinstance(found[name], ConfigDict):
            yield from _differences(found[name], expected[name], field)
        elif type(found[name]) is not type(expected[name]):
            kind = type(expected[name]).__name__
            if (type(found[name]), kind) != (int, "float"):
                yield f"{field}: found {found[name]!r}, expected a value of type {kind}"


def _problems(config: ConfigDict) -> Iterator[str]:
    def check(field: str, ok: Any, expected: str) -> Iterator[str]:
        value: Any = config
        for part in field.split("."):
            value = value[part]
        try:
            good = ok(value)
        except TypeError:
            good = False
        if not good:
            yield f"config.{field}: found {value!r}, expected {expected}"

    def one_of(field: str, choices: Any) -> Iterator[str]:
        return check(field, lambda v: v in choices, f"one of {', '.join(map(repr, choices))}")

    def positive(field: str) -> Iterator[str]:
        return check(field, lambda v: v > 0, "a number above 0")

    def at_least_zero(field: str) -> Iterator[str]:
        return check(field, lambda v: v >= 0, "a number of at least 0")

    def probability(field: str) -> Iterator[str]:
        return check(field, lambda v: 0 <= v <= 1, "a number in [0, 1]")

    def size(field: str) -> Iterator[str]:
        return check(
            field,
            lambda v: len(v) == 2 and all(type(n) is int and n > 0 and n % 4 == 0 for n in v),
            "(height, width), two positive multiples of 4",
        )

    def increasing_epochs(field: str) -> Iterator[str]:
        return check(
            field,
            lambda v: all(type(n) is int and n >= 0 for n in v) and list(v) == sorted(v),
            "epochs in increasing order",
        )

    yield from one_of("parallel", ("pmap", "shard_map"))
    yield from one_of("dtype", ("float32", "bfloat16"))
    for field in (
        "batch_size",
        "log_every",
        "natural_images.count",
        "natural_images.min_ratio",
        "data.min_ratio",
        "model.ffsr_width",
        "model.generator_blocks",
        "model.generator_width",
        "model.discriminator_width",
        "model.width",
        "model.feature_dim",
        "model.gate_dim",
        "eval.batch_size",
        "checkpoint.every_steps",
        "checkpoint.keep",
        "optim.adversarial_rate",
    ):
        yield from positive(field)
    for field in (
        "data.max_bad_images",
        "data.workers",
        "data.build_threads",
        "loss.beta",
        "loss.resolution_width",
        "loss.adversarial_weight",
        "loss.content_weight",
        "loss.unique_weight",
        "loss.triplet_weight",
        "loss.triplet_margin",
        "eval.every_epochs",
        "seed",
    ):
        yield from at_least_zero(field)
    for field in (
        "data.flip",
        "data.crop",
        "data.degrade",
        "data.degrade_targets",
        "data.erase",
        "data.min_ratio",
        "natural_images.min_ratio",
        "optim.decay_factor",
    ):
        yield from probability(field)
    yield from size("data.image_size")
    yield from size("natural_images.size")
    yield from check("optim.momentum", lambda v: 0 <= v < 1, "a number in [0, 1)")
    yield from check("loss.label_smoothing", lambda v: 0 <= v < 1, "a number in [0, 1)")
    yield from check(
        "data.images_per_identity",
        lambda v: v == 0 or (v > 0 and config.batch_size % v == 0),
        f"0 or a divisor of the batch size ({config.batch_size})",
    )
    yield from one_of("model.last_stride", (1, 2))
    yield from one_of("model.neck", NECKS)
    yield from check(
        "model.stage_sizes",
        lambda v: len(v) == 4 and all(type(n) is int and n > 0 for n in v),
        "four positive block counts",
    )
    yield from check(
        "loss.mask_sigma",
        lambda v: len(v) == 2 and all(s > 0 for s in v),
        "two positive fractions, of height and width",
    )
    yield from check(
        "eval.bins",
        lambda v: len(v) >= 2 and all(0 <= a < b for a, b in pairwise(v)),
        "at least two increasing edges from 0 on",
    )
    yield from _recipe_problems(config, check)
    stages = tuple(config.stages)
    yield from check(
        "run",
        lambda v: set(v) - {config.baseline} and set(v) <= set(stages) and len(set(v)) == len(v),
        f"different names out of {', '.join(stages)}, not the baseline's alone",
    )
    yield from check(
        "baseline", lambda v: v in ("", *config.run), "the name of a stage of config.run, or ''"
    )
    for name in stages:
        stage = f"stages.{name}"
        if name in config.run and config.model.neck != "fc":
            yield from check(
                f"{stage}.extractor",
                lambda v: v not in HEADS_OF_THEIR_OWN,
                f"one with the neck {config.model.neck!r}, or config.model.neck 'fc'",
            )
        yield from one_of(f"{stage}.dataset", ("", "natural_images"))
        yield from one_of(f"{stage}.super_resolution", SUPER_RESOLUTION)
        yield from one_of(f"{stage}.extractor", EXTRACTORS)
        yield from one_of(f"{stage}.mask", MASKS)
        yield from one_of(f"{stage}.optimizer", OPTIMIZERS)
        yield from one_of(f"{stage}.init.super_resolution", ("", *stages))
        yield from one_of(f"{stage}.init.extractor", ("", *stages))
        modules = [
            module
            for module, nothing in (("super_resolution", "bilinear"), ("extractor", "none"))
            if config.stages[name][module] != nothing
        ]
        if config.stages[name].super_resolution == "csr_gan":
            yield from _csr_gan_problems(config, name, check)
            modules += ["discriminator"] * (config.stages[name].sr_weight > 0)
        yield from check(
            f"{stage}.train",
            lambda v, modules=modules: len(v) > 0 and all(m in modules for m in v),
            f"some of the modules that the stage has: {', '.join(modules) or 'none'}",
        )
        yield from positive(f"{stage}.epochs")
        yield from positive(f"{stage}.learning_rate")
        yield from at_least_zero(f"{stage}.sr_weight")
        yield from at_least_zero(f"{stage}.alpha")
        yield from at_least_zero(f"{stage}.weight_decay")
        yield from positive(f"{stage}.super_resolution_rate")
        yield from at_least_zero(f"{stage}.warmup_epochs")
        yield from increasing_epochs(f"{stage}.decay_epochs")


def _csr_gan_problems(config: ConfigDict, name: str, check: Any) -> Iterator[str]:
    spec = config.stages[name]
    if name in config.run:
        yield from check(
            "data.image_size",
            lambda v: all(n % 8 == 0 for n in v),
            f"two multiples of 8, as the stage {name} halves it three times",
        )
    if "discriminator" in spec.train:
        yield from check(
            f"stages.{name}.extractor",
            lambda v: v in CONTENT_EXTRACTORS,
            f"one of {', '.join(CONTENT_EXTRACTORS)}, by whose maps generators are compared",
        )
        yield from check(
            f"stages.{name}.train",
            lambda v: "super_resolution" in v,
            "the super-resolution that the discriminator learns against beside it",
        )


def _recipe_problems(config: ConfigDict, check: Any) -> Iterator[str]:
    recipe, dataset = config.data.recipe, DATASETS[config.dataset]
    wrong = False
    for name, field in dataset.recipe.items():
        expected = field.check.problem(recipe[name])
        wrong = wrong or bool(expected)
        if expected:
            yield f"config.data.recipe.{name}: found {recipe[name]!r}, expected {expected}"
    if not wrong:
        for name, expected in dataset.problems(recipe.to_dict()):
            yield f"config.data.recipe.{name}: found {recipe[name]!r}, expected {expected}"
    if "trial" in recipe:
        yield from check(
            "data.trials",
            lambda v: (
                len(v) > 0 and len(set(v)) == len(v) and all(type(n) is int and n >= 0 for n in v)
            ),
            "different numbers of trials, such as (0, 1)",
        )
    else:
        yield from check("data.trials", lambda v: v == (), "() for a data set without trials")
