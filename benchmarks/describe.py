"""Writes docs/benchmarks.md; `make benchmarks-page` runs it.

The section on a data set is in the file of the data set, and the introduction and the published figures are in
benchmarks/text. Lines such as `<!-- recipe -->` are replaced by text that is generated from the code: the layout of a
download, a recipe and its presets, commands, and published figures.

python benchmarks/describe.py > docs/benchmarks.md
"""

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from rireid_jax.components import DATASETS, Field
from rireid_jax.paper.published import (
    BENCHMARKS,
    ORIGINS,
    RESULTS,
    SOURCES,
    Result,
)

HERE = Path(__file__).parent
WIDTH = 120  # greatest length in characters of a line outside tables
# A section may refer to the ones before it. Data sets that are not listed here follow at the end.
_ORDER = (
    "caviar",
    "mlr_viper",
    "mlr_cuhk03",
    "mlr_market1501",
    "vr_market1501",
    "vr_msmt17",
    "folder",
    "natural_images",
    "pedestrians",
)
SECTIONS = (*_ORDER, *(name for name in sorted(DATASETS) if name not in _ORDER))
# The two kinds of benchmarks; each has a table of published figures.
ALL_LOW = ("vr_market1501", "vr_msmt17")
LOW_QUERIES = tuple(name for name in BENCHMARKS if name not in ALL_LOW)

Recipes = Mapping[str, Mapping[str, Any]]


def page() -> str:
    """Returns the page in Markdown."""
    told: dict[str, object] = {}  # default of each option that was explained, by its explanation
    return "\n".join(_section(name, told) for name in ("introduction", *SECTIONS, "published"))


def _section(name: str, told: dict[str, object]) -> str:
    fill: Mapping[str, Callable[[str], str]] = {
        "layout": _layout,
        "recipe": lambda dataset: _recipe(dataset, told),
        "commands": _commands,
        "low_queries": lambda _: _published(
            (*map(BENCHMARKS.__getitem__, LOW_QUERIES), "MLR-DukeMTMC")
        ),
        "all_low": lambda _: _published([BENCHMARKS[dataset] for dataset in ALL_LOW]),
        "sources": lambda _: "\n".join(_item(f"{key}: {title}.") for key, title in SOURCES.items()),
        "contents": lambda _: " ·\n".join(map(_link, SECTIONS)),
        "speed": lambda _: _speed(),
    }
    return re.sub(r"<!-- (\w+) -->", lambda marker: fill[marker[1]](name), _text(name))


def _text(section: str) -> str:
    if section in DATASETS:
        return DATASETS[section].page
    return (HERE / "text" / f"{section}.md").read_text()


def _link(section: str) -> str:
    """Returns a link to a section, with the anchor that GitHub makes of its heading."""
    title = _text(section).partition("\n")[0].removeprefix("## ")
    anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    return f"[{title}](#{anchor})"


def _speed() -> str:
    """Returns the table of benchmarks/build.py, if it was run."""
    table = HERE / "build.md"
    return table.read_text().strip() if table.exists() else "Not measured yet."


def _layout(dataset: str) -> str:
    """Returns the files of a download, and the numbers of images and identities that its authors state."""
    layout = DATASETS[dataset].layout
    counts = []
    for role, count in layout.counts(DATASETS[dataset].recipe_values()).items():
        identities = f" of {count.identities:,} identities" if count.identities else ""
        counts.append(f"{role} {count.images:,} images{identities}".strip())
    size = (
        f" Each is {layout.size[0]}x{layout.size[1]} pixels (width x height)."
        if layout.size
        else ""
    )
    sentence = f"Published counts: {'; '.join(counts)}.{size}"
    return f"```\n{layout.tree}\n```\n\n{_wrapped(sentence)}"


def _recipe(dataset: str, told: dict[str, object]) -> str:
    kind = DATASETS[dataset]
    others = {f"`{name}`": kind.recipe_values(name) for name in kind.presets}
    if any(field.small is not None for field in kind.recipe.values()):
        others["small"] = {name: field.value(small=True) for name, field in kind.recipe.items()}
    return _options(kind.recipe, others, told)


def _options(recipe: Mapping[str, Field], others: Recipes, told: dict[str, object]) -> str:
    """Returns a table of options: default, changes in other recipes, meaning.

    Options that were explained before and have not changed share the last row.

    Args:
      recipe: fields of the recipe, by option.
      others: other recipes, by title.
      told: default of each option that was already explained, by its explanation; changed in place.
    """
    rows = [["option", "default", *others, "meaning, and why this default"]]
    as_before = []
    for option, field in recipe.items():
        value = field.default
        changed = [_value(p[option]) if p[option] != value else "" for p in others.values()]
        if told.get(field.about) == value and not any(changed):
            as_before.append((f"`{option}`", _value(value)))
            continue
        meaning = "as above" if field.about in told else field.about
        rows.append([f"`{option}`", _value(value), *changed, meaning])
        told[field.about] = value
    if as_before:
        names, values = (", ".join(column) for column in zip(*as_before, strict=True))
        rows.append([names, values, *[""] * len(others), "as above"])
    return _table(rows)


def _value(value: object) -> str:
    return f"`{value}`" if value != "" else "`''`"


def _commands(dataset: str) -> str:
    raw_dir = f"--config.data.raw_dir={DATASETS[dataset].example}"
    backbone = "--config.init.backbone=resnet50.pth"
    commands = [
        (dataset, f"{raw_dir} --mode doctor"),
        (dataset, f"{raw_dir} --mode build"),
        (dataset, backbone),
        (f"{dataset},small", ""),
    ]
    for preset in list(DATASETS[dataset].presets)[-1:]:  # one example value
        commands.append((f"{dataset}/{preset}", f"{raw_dir} {backbone}"))
    lines = [
        f"python -m rireid_jax.main --config configs/joint.py:{name} {rest}".rstrip()
        for name, rest in commands
    ]
    lines = [
        line if len(line) <= WIDTH else line.replace(" --config.", " \\\n    --config.", 1)
        for line in lines
    ]
    return "\n".join(["```sh", *lines, "```"])


def _published(benchmarks: Sequence[str]) -> str:
    """Returns a table of published figures: a row per method in a source, a column per benchmark, notes by letter."""
    results = [result for result in RESULTS if result.benchmark in benchmarks]
    notes: dict[tuple[bool, str], list[str]] = {}
    for result in results:
        recipes = notes.setdefault((result.setting.comparable, result.setting.caveat), [])
        if result.setting.recipe not in recipes:
            recipes.append(result.setting.recipe)
    letters = dict(zip(notes, ascii_lowercase, strict=False))
    cells: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
    for result in results:
        letter = letters[result.setting.comparable, result.setting.caveat]
        row = cells.setdefault((result.method, result.sources), {})
        row[result.benchmark] = f"{_figures(result)} ({letter})"
    rows = [["method", *benchmarks, "printed in"]]
    for (method, sources), row in cells.items():
        name = f"{method} ({ORIGINS[method]})" if method in ORIGINS else method
        rows.append([name, *(row.get(b, "") for b in benchmarks), ", ".join(sources)])
    lines = [_table(rows), ""]
    for (comparable, caveat), recipes in notes.items():
        with_ours = f"comparable with {', '.join(f'`{recipe}`' for recipe in recipes)}"
        verdict = with_ours if comparable else "not comparable"
        lines.append(_item(f"({letters[comparable, caveat]}) {verdict}: {caveat}."))
    return "\n".join(lines)


def _figures(result: Result) -> str:
    rates = [rate for rate in (result.rank1, result.rank5, result.rank10) if rate is not None]
    figures = "/".join(map(str, rates))
    return figures if result.mAP is None else f"{figures}, mAP {result.mAP}"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _item(text: str) -> str:
    return _wrapped(f"- {text}", indent="  ")


def _table(rows: list[list[str]]) -> str:
    return "\n".join([_row(rows[0]), _row(["---"] * len(rows[0])), *map(_row, rows[1:])])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Prints the page to standard output."""
    print(page(), end="")


if __name__ == "__main__":
    main()
