"""What is made of a download: its recipe, and the data sets that are built already."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from rireid_jax.components import PROTOCOLS
from rireid_jax.config import evaluation_protocol
from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.dataset import Dataset
from rireid_jax.data.files import counted
from rireid_jax.errors import UserError

_SPLITS = ("train", "query", "gallery")


def recipe_lines(config: ConfigDict, dataset: Dataset, trials: Sequence[int]) -> list[str]:
    """The fields of the recipe that have an effect, the protocol, and the trials asked for."""
    default = dataset.recipe_values()
    effective = dataset.effective_recipe(dataset.values)
    rows = [
        (name, _word(value), "" if value == default[name] else f"default: {_word(default[name])}")
        for name, value in dataset.values.items()
        if name in effective and name != "trial"  # config.data.trials chooses it
    ]
    names, values = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    lines = [f"{name:<{names}}  {value:<{values}}  {note}" for name, value, note in rows]
    scoring = evaluation_protocol(config)
    scored = f"scored by the protocol {scoring['protocol']}"
    if PROTOCOLS[scoring["protocol"]].draws:
        repeats = scoring["repeats"]
        scored += f", {repeats} random {'gallery' if repeats == 1 else 'galleries'}"
    lines += ["", scored]
    if trials:
        lines.append(_trials(dataset, trials))
    return lines


def built_lines(builders: Mapping[int, RecordBuilder]) -> list[str]:
    """The data sets that are there already, by trial.

    Args:
      builders: by trial; a single one where there are no trials.
    """
    lines = []
    missing = 0
    for trial, builder in builders.items():
        if not builder.data_path.exists():
            missing += 1
            continue
        name = f"trial {trial}: " if len(builders) > 1 else ""
        splits = builder.info.splits
        records = ", ".join(f"{splits[part].num_examples:,} {part}" for part in _SPLITS)
        lines.append(f"{name}{records}; protocol {builder.info.metadata['protocol_hash']}")
        lines.append(f"  in {builder.data_path}")
    if not lines:
        return [f"not yet; it would go to {next(iter(builders.values())).data_path}"]
    if missing:
        lines.append(f"{missing} of {len(builders)} trials are not built yet")
    return lines


def _trials(dataset: Dataset, trials: Sequence[int]) -> str:
    asked = ", ".join(map(str, trials))
    if len(trials) > 2 and list(trials) == list(range(trials[0], trials[-1] + 1)):
        asked = f"{trials[0]} to {trials[-1]}"
    asked = f"{counted(len(trials), 'trial')} asked for: {asked} (config.data.trials)"
    try:
        number = dataset.num_trials()
    except UserError:  # reported with the images
        return asked
    if number is None:
        return f"{asked}; any number can be drawn"
    return f"{asked}; {dataset.values['trial_source']} has {number}"


def _word(value: Any) -> str:
    return str(value) if value != "" else "''"
