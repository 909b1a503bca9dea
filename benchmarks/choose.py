"""Chooses settings on validation identities: trains each, and prints their figures. Queries are never looked at.

    python benchmarks/choose.py CONFIG --vary=FIELD[+FIELD...]=VALUE,VALUE[,...] [--vary=...] [--seeds=0,1]
        [--stage=STAGE] [--drawing=SEED] [--workdir=FOLDER] [--config.FIELD=VALUE ...]

For example

    python benchmarks/choose.py configs/joint.py --stage=baseline --seeds=0,1
        --vary=stages.baseline.optimizer.extractor.rate=0.05,0.1,0.2

Every combination of the values is trained with every seed, up to the stage, on the identities that
`config.data.validation` does not hold out, and scored on those that it does. Fields joined by "+" have the same value.
A stage on which nothing that varies has an influence is trained once and copied. What the folder already holds is not
repeated.

Embedded data can be drawn anew: with `--drawing`, training and scoring are on the drawing of that seed
(`config.data.recipe.seed`), and its queries, of people who are in no other drawing, are the validation images. They are
many more than the held-out ones, so that smaller differences show.
"""

import ast
import hashlib
import itertools
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from ml_collections import ConfigDict

from rireid_jax.cli import flags as command_line
from rireid_jax.components import DATASETS
from rireid_jax.config import dataset_names, final_stage, stages_to, validate
from rireid_jax.errors import UserError
from rireid_jax.main import log_to_stderr
from rireid_jax.text_table import aligned

VARY = flags.DEFINE_multi_string(
    "vary", [], "FIELD[+FIELD...]=VALUE,VALUE...: fields of the config, and what to try."
)
STAGE = flags.DEFINE_string(
    "stage", "", "Stage to train and score; by default the run's final one."
)
DRAWING = flags.DEFINE_integer(
    "drawing",
    None,
    "Seed of another drawing of the embedded data, whose queries are for validation.",
    lower_bound=0,
)
_FIXED = (
    "dataset",
    "seed",
    "run",
    "baseline",
    "imports",
    "eval.split",
)  # what makes a comparison, or a flag's
_FIXED_SECTIONS = ("data.validation", "data.recipe", "data.trials")

Setting = Mapping[str, str]  # values by field, as the command line has them

logger = logging.getLogger("rireid_jax.choose")


def main() -> None:
    """Parses flags, trains, and turns a user's mistake into one line and exit status 2."""
    log_to_stderr()
    try:
        app.run(_main, flags_parser=_parse_flags)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _parse_flags(argv: list[str]) -> list[str]:
    """The config comes first, without the name of its flag."""
    if len(argv) > 1 and not argv[1].startswith("-"):
        argv = [argv[0], f"--config={argv[1]}", *argv[2:]]
    return command_line.parse_flags(argv)


def _main(argv: list[str]) -> None:
    del argv
    from rireid_jax.cli.compilation import keep_compiled_programs
    from rireid_jax.training.loop import Stopped

    config = command_line.CONFIG.value
    seeds = _seeds(command_line.SEEDS.value) or [config.seed]
    stage = STAGE.value or final_stage(config)
    if stage not in config.stages:
        raise UserError(f"--stage: found {stage!r}, expected one of {', '.join(config.stages)}")
    if config.stages[stage].extractor == "none":
        raise UserError(
            f"--stage: found {stage!r} without an extractor, expected one that can be scored"
        )
    if DRAWING.value is not None:
        draw_anew(config, DRAWING.value)
    elif not config.data.validation:
        raise UserError(
            "config.data.validation: found 0, expected a share of the identities to score settings on"
        )
    settings = combinations(VARY.value)
    plan = {
        (number, seed): setting_config(config, stage, setting, seed, DRAWING.value is not None)
        for seed in seeds
        for number, setting in enumerate(settings)
    }
    workdir = command_line.WORKDIR.value or f"runs/choose-{stage}-{config.dataset}"
    keep_compiled_programs()
    found: dict[int, list[Mapping[str, Any]]] = {}
    try:
        for (number, seed), own in plan.items():
            logger.info("%s, seed %d", flags_line(settings[number]), seed)
            found.setdefault(number, []).append(measure(own, workdir, settings[number]))
    except Stopped as stopped:
        print(f"{stopped}; run the same command to go on", file=sys.stderr)
        return
    print(f"\n{table(settings, [found[number] for number in range(len(settings))], seeds)}")


def _seeds(texts: Sequence[str]) -> list[int]:
    if any(not text.isdecimal() for text in texts) or len(set(texts)) < len(texts):
        raise UserError(f"--seeds: found {','.join(texts)}, expected different numbers such as 0,1")
    return [int(text) for text in texts]


def draw_anew(config: ConfigDict, drawing: int) -> None:
    """Puts another drawing in place of a config's data.

    Raises:
      UserError: the data cannot be drawn, or this drawing is the config's own, whose queries are reported.
    """
    if not DATASETS[config.dataset].draws:
        drawn = [name for name in dataset_names() if DATASETS[name].draws]
        raise UserError(
            f"--drawing: found {config.dataset}, expected data that are drawn ({', '.join(drawn)})"
        )
    if config.data.recipe.seed == drawing:
        raise UserError(
            f"--drawing: found {drawing}, the config's own, expected another one, as its queries are reported"
        )
    config.data.recipe.seed = drawing


def combinations(varied: Sequence[str]) -> list[Setting]:
    """Every combination of the values of `--vary`.

    Raises:
      UserError: a flag lacks a field or values, or a field comes twice.
    """
    values: dict[str, list[str]] = {}
    for text in varied:
        field, _, given = text.removeprefix("config.").partition("=")
        found = re.split(r",(?![^()]*\))", given)  # not at the commas of a tuple
        names = [name for joined in (*values, field) for name in joined.split("+")]
        if not all((*names, *found)) or any(len(set(x)) < len(x) for x in (names, found)):
            raise UserError(
                f"--vary: found {text!r}, expected FIELD=VALUE,VALUE with different values, and every field once"
            )
        values[field] = found
    if not values:
        raise UserError("--vary: not given, expected FIELD=VALUE,VALUE, such as batch_size=16,32")
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


def setting_config(
    config: ConfigDict, stage: str, setting: Setting, seed: int, on_queries: bool = False
) -> ConfigDict:
    """The config of a setting: its own stages alone, scored on validation identities or on queries.

    Raises:
      UserError: a field is unknown, has no influence, or must not vary; a value is none of the field's.
    """
    own = config.copy_and_resolve_references()
    own.seed, own.run = seed, stages_to(own, stage)
    own.baseline, own.others = "", ()
    own.stages = ConfigDict({name: own.stages[name] for name in own.run})
    own.eval.split = "query" if on_queries else "validation"
    for field, text in _by_field(setting).items():
        section, _, name = field.rpartition(".")
        if field in _FIXED or field.startswith(_FIXED_SECTIONS):
            raise UserError(
                f"--vary: found {field}, expected a field that leaves the same people held out"
            )
        inner: Any = own
        for part in section.split(".") if section else ():
            inner = inner.get(part) if isinstance(inner, ConfigDict) else None
        if not isinstance(inner, ConfigDict) or name not in inner:
            raise UserError(
                f"--vary: found {field}, expected a field of the config, or of the stages that are trained "
                f"({', '.join(own.run)})"
            )
        inner[name] = _value(field, text, inner[name])
    validate(own)
    return own


def _by_field(setting: Setting) -> Setting:
    return {field: text for joined, text in setting.items() for field in joined.split("+")}


def _value(field: str, text: str, default: Any) -> Any:
    """A value of the type of the field."""
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
    except (SyntaxError, ValueError):
        value = None
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise UserError(f"--vary: found {field}={text}, expected a value like {default!r}")
    return value


def measure(config: ConfigDict, workdir: str, setting: Setting) -> Mapping[str, Any]:
    """Trains a setting with a seed unless it has figures.

    Args:
      config: from `setting_config`.
      workdir: of all settings.
      setting: names the setting's folder.

    Returns:
      What `validation.json` holds, or `results.json` where queries are scored.

    Raises:
      UserError: a mistake in the config, the files, or the folder.
      Stopped: asked to stop while training.
    """
    from rireid_jax.runs.parts import run_parts, take_over_stages
    from rireid_jax.runs.run import run
    from rireid_jax.runs.shared_stages import with_same_stage
    from rireid_jax.runs.workdir import read_results

    folder = os.path.join(workdir, _folder_name(setting), f"seed{config.seed}")
    found = read_results(folder, config)
    if found:
        return found
    begun = sorted(str(path.parent) for path in Path(workdir).glob("*/seed*/**/config.json"))
    for part in run_parts(config, folder):
        others = [other for other in begun if other != part.folder]
        take_over_stages(
            part, {stage: with_same_stage(part.config, stage, others) for stage in config.run}
        )
    run(config, folder, "train")
    found = read_results(folder, config)
    assert found is not None
    return found


def _folder_name(setting: Setting) -> str:
    name = ",".join(f"{field}={text}" for field, text in setting.items()).replace("/", "_")
    # File systems end at 255 bytes.
    return name if len(name) < 200 else hashlib.sha256(name.encode()).hexdigest()[:16]


def flags_line(setting: Setting) -> str:
    """The flags of the command by which a setting is used."""
    shown = {
        field: f"'{text}'" if "(" in text else text for field, text in _by_field(setting).items()
    }
    return " ".join(f"--config.{field}={text}" for field, text in shown.items())


def table(
    settings: Sequence[Setting],
    results: Sequence[Sequence[Mapping[str, Any]]],
    seeds: Sequence[int],
) -> str:
    """Rank-1 and mAP of the settings in percent, mean over the seeds with their range, the best Rank-1 first.

    Args:
      settings: at least one.
      results: for each setting, what `measure` returned for each seed.
      seeds: their numbers.
    """
    rates = [
        [
            np.array([100 * value for value in values])
            for values in zip(*map(_shown_rates, by_seed), strict=True)
        ]
        for by_seed in results
    ]
    order = sorted(range(len(settings)), key=lambda i: [-values.mean() for values in rates[i]])
    heads = ["\n".join(re.split(r"\.|(?<=\+)", field)) for field in settings[0]]
    lines = [[*heads, "Rank-1", "mAP", "Rank-1 of\nlowest bin"]]
    for i in order:
        lines.append([*settings[i].values(), *map(_mean_and_range, rates[i])])
    return (
        f"{aligned(lines)}\n"
        f"Percent on {_scored_on(results[0][0])}, mean over the seeds {', '.join(map(str, seeds))} with the least and "
        f"the greatest.\n\nbest: {flags_line(settings[order[0]])}"
    )


def _shown_rates(found: Mapping[str, Any]) -> tuple[float, float, float]:
    lowest = next(part for part in found["by_resolution"] if part["num_query"])
    return found["rank1"], found["mAP"], lowest["rank1"]


def _scored_on(found: Mapping[str, Any]) -> str:
    config, held_out = found["config"], found["validation"]
    if config["eval"]["split"] == "query":
        drawing = config["data"]["recipe"]["seed"]
        return f"the {found['num_query']:g} queries of drawing {drawing}"
    people, images = held_out["num_identities"], held_out["num_images"]
    return f"{people:g} validation identities ({images:g} images)"


def _mean_and_range(values: Any) -> str:
    spread = f" ({values.min():.1f}-{values.max():.1f})" if len(values) > 1 else ""
    return f"{values.mean():.1f}{spread}"


if __name__ == "__main__":
    main()
