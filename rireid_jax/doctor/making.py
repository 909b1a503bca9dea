"""What is made of a download: its recipe, and the data sets that are built already."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from rireid_jax.config import effective_recipe, evaluation_protocol, recipe_of
from rireid_jax.data.build.benchmark import DividedBuilder
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.raw.crops import SPLITS
from rireid_jax.doctor.folders import counted
from rireid_jax.errors import UserError


def recipe_lines(config: ConfigDict, builder: RecordBuilder, splits: Sequence[int]) -> list[str]:
    """The fields of the recipe that have an effect, the protocol, and the divisions asked for."""
    default = recipe_of(builder.name)
    effective = effective_recipe(builder.name, builder.recipe)
    rows = [
        (name, _word(value), "" if value == default[name] else f"default: {_word(default[name])}")
        for name, value in builder.recipe.items()
        if name in effective and name != "split"  # that is chosen by config.data.trials
    ]
    names, values = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    lines = [f"{name:<{names}}  {value:<{values}}  {note}" for name, value, note in rows]
    scoring = evaluation_protocol(config)
    scored = f"scored by the protocol {scoring['protocol']}"
    if scoring["protocol"] != "market":
        repeats = scoring["repeats"]
        scored += f", {repeats} random {'gallery' if repeats == 1 else 'galleries'}"
    lines += ["", scored]
    if splits:
        lines.append(_divisions(builder, splits))
    return lines


def built_lines(builders: Mapping[int, RecordBuilder]) -> list[str]:
    """The data sets that are there already, by split.

    Args:
      builders: by split; a single one where there are no splits.
    """
    lines = []
    missing = 0
    for split, builder in builders.items():
        if not builder.data_path.exists():
            missing += 1
            continue
        name = f"split {split}: " if len(builders) > 1 else ""
        splits = builder.info.splits
        records = ", ".join(f"{splits[part].num_examples:,} {part}" for part in SPLITS)
        lines.append(f"{name}{records}; protocol {builder.info.metadata['protocol_hash']}")
        lines.append(f"  in {builder.data_path}")
    if not lines:
        return [f"not yet; it would go to {next(iter(builders.values())).data_path}"]
    if missing:
        lines.append(f"{missing} of {len(builders)} splits are not built yet")
    return lines


def _divisions(builder: RecordBuilder, splits: Sequence[int]) -> str:
    assert isinstance(builder, DividedBuilder)
    asked = ", ".join(map(str, splits))
    if len(splits) > 2 and list(splits) == list(range(splits[0], splits[-1] + 1)):
        asked = f"{splits[0]} to {splits[-1]}"
    source = builder.recipe["split_source"]
    asked = f"{counted(len(splits), 'split')} asked for: {asked} (config.data.trials)"
    if source == "random":
        return f"{asked}; any number can be drawn"
    try:
        listed = builder.listed_splits() or ()
    except UserError:  # reported with the images
        return asked
    return f"{asked}; {source} has {len(listed)}"


def _word(value: Any) -> str:
    return str(value) if value != "" else "''"
