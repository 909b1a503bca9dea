"""Writes docs/benchmarks.md: `make benchmarks-page`.

Prose is in benchmarks/text, a file for each section. A line such as `<!-- recipe -->` in it is replaced by what the
code itself says: the layout of a download, a recipe and its presets, commands, published figures.

python benchmarks/describe.py > docs/benchmarks.md
"""

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from rireid_jax.config import DATASETS, base_config, recipe_of
from rireid_jax.data.raw.base import RawDataset
from rireid_jax.data.raw.caviar import CAVIAR4REID
from rireid_jax.data.raw.cuhk03 import CUHK03
from rireid_jax.data.raw.market1501 import Market1501
from rireid_jax.data.raw.msmt17 import MSMT17
from rireid_jax.data.raw.viper import VIPeR
from rireid_jax.paper.published import (
    BENCHMARKS,
    ORIGINS,
    RESULTS,
    SOURCES,
    Result,
)

HERE = Path(__file__).parent
WIDTH = 120  # characters of a line that is not a row of a table
SECTIONS = (
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
# The two kinds of benchmark, whose published figures make a table each.
LOW_QUERIES = ("caviar", "mlr_viper", "mlr_cuhk03", "mlr_market1501")
ALL_LOW = ("vr_market1501", "vr_msmt17")
READERS: Mapping[str, type[RawDataset]] = {
    "caviar": CAVIAR4REID,
    "mlr_viper": VIPeR,
    "mlr_cuhk03": CUHK03,
    "mlr_market1501": Market1501,
    "vr_market1501": Market1501,
    "vr_msmt17": MSMT17,
}
# A folder for the examples, by its usual name.
RAW_DIRS = {
    "caviar": "/data/CAVIARa",
    "mlr_viper": "/data/VIPeR",
    "mlr_cuhk03": "/data/cuhk03_release",
    "mlr_market1501": "/data/Market-1501-v15.09.15",
    "vr_market1501": "/data/Market-1501-v15.09.15",
    "vr_msmt17": "/data/MSMT17_V1",
    "folder": "/my/crops",
}

# What an option means, and why its default: OPTION, or DATASET.OPTION where it means something else there.
OPTIONS = {
    "low_camera": "camera, from 0 on, whose images become low, or `identity`: one drawn for each identity. The "
    "paper lowers one camera and does not say which",
    "ratios": "n: a low image has 1/n of its width and height; paper, section 5.1",
    "ratio_per": "n is drawn for every `image`, or for every `identity`; the paper speaks of images",
    "ratio_draw": "`even`: every n as often as any other (the paper: \"evenly selected\"); `independent`: by chance",
    "low_in_training": "`False` leaves training images high; as in the paper, the low camera is low throughout",
    "resolution": "r is the `width` / the greatest width of the data set (section 4), or the `ratio` 1/n",
    "kernel": "of down-sampling. Not published; bicubic is usual in super-resolution. All but "
    "`opencv_linear` are antialiased",
    "rounding": "of width and height in pixels: `round`, or `floor`, as `int(w / n)` does",
    "jpeg_quality": "0 stores PNG, without loss; else JPEG, with its artefacts",
    "train_identities": "the others are for testing; paper, section 5.1",
    "protocol": "of evaluation: `single_shot`, `cuhk03` or `market`, see above",
    "repeats": "random galleries of `single_shot` and `cuhk03`",
    "split_source": "who divides the identities: `random`, from the seed, or a JSON file; the download has none",
    "split": "which division; a run sets it for each in `config.data.splits`",
    "seed": "of all that is random in the build and in galleries",
    "caviar.low_camera": "0 or 1, or `narrower`: the camera whose images are narrower on average, since file names do "
    "not say which is low",
    "caviar.query": "the queries are the `low` camera's images, as in the paper, or the `high` one's",
    "caviar.queries_per_identity": "images drawn of each identity; 0: all of them",
    "caviar.gallery": "images by the `other` camera, or `all` test images but the queries",
    "caviar.train_identities": "of those that both cameras see; half, as in later code; the paper does not say",
    "mlr_cuhk03.boxes": "`detected` by a machine or `labeled` by hand. Not published; detected is what a system meets",
    "mlr_cuhk03.train_identities": "where `split_source` is `random`; paper, section 5.1",
    "mlr_cuhk03.split_source": "the download's own divisions are `official`, and are what 1367/100 refers to; or "
    "`random`, or a JSON file",
    "mlr_market1501.queries": "`camera`: every test image by the low camera; `query_camera`: those in the folder "
    "query; `folders`: query and gallery as Market-1501 has them. With the first two the gallery has no low image",
    "mlr_market1501.same_camera_in_all_folders": "with `low_camera=identity`, whether an identity's low camera is the "
    "same among queries and gallery; if not, the gallery has low images too",
    "min_width": "pixels; the width is uniform in [`min_width`, `max_width`), whole numbers; paper, section 5.1",
    "vr_market1501.max_width": "pixels, exclusive; r = width / `max_width`",
    "vr_msmt17.max_width": "pixels, exclusive, or the image's own width if that is less; r = width / `max_width`",
    "vr_market1501.rounding": "of the height in pixels; the image's proportions are kept",
    "vr_market1501.seed": "of the widths",
    "vr_msmt17.val_in_training": "trains on list_val too, as the paper's number of images demands; most "
    "libraries leave it out",
    "folder.degrade": "`True` down-samples every image as in the VR benchmarks; your images are as they are",
    "folder.min_width": "pixels, where `degrade`; the width is uniform in [`min_width`, `max_width`)",
    "folder.max_width": "pixels, exclusive, where `degrade`",
    "folder.test_fraction": "of the identities, where the folder is not divided; the rest are for training",
    "folder.rounding": "of the height, where `degrade`",
    "folder.seed": "of the widths and of the division",
    "natural_images.raw_dir": "a folder of images, searched with its subfolders; empty draws dead leaves instead",
    "natural_images.count": "images; from a folder at most",
    "natural_images.size": "(height, width) of a crop; smaller images are passed over, nothing is enlarged",
    "natural_images.min_ratio": "the ratio is uniform in [`min_ratio`, 1], drawn anew each time an image is read",
    "natural_images.seed": "of drawing, of choosing and of cropping",
    "pedestrians.train_identities": "drawn for training; enough for a run of minutes",
    "pedestrians.test_identities": "drawn for query and gallery; none is in training",
    "pedestrians.cameras": "each with its background, light and scale; every identity is seen by all",
    "pedestrians.train_shots": "training images of an identity by one camera",
    "pedestrians.query_shots": "queries of an identity by one camera",
    "pedestrians.gallery_shots": "gallery images of an identity by one camera",
    "pedestrians.height": "pixels of the high-resolution image",
    "pedestrians.width": "pixels of the high-resolution image; r = width / this",
    "pedestrians.min_width": "pixels; the low width is uniform in [`min_width`, `width`)",
}  # fmt: skip


def page() -> str:
    """The page, as Markdown."""
    told: dict[str, object] = {}  # options by what they were explained for
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
    text = (HERE / "text" / f"{name}.md").read_text()
    return re.sub(r"<!-- (\w+) -->", lambda marker: fill[marker[1]](name), text)


def _link(section: str) -> str:
    """To the section's heading, under the name that GitHub makes of it."""
    title = (HERE / "text" / f"{section}.md").read_text().partition("\n")[0].removeprefix("## ")
    anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    return f"[{title}](#{anchor})"


def _speed() -> str:
    """The table of benchmarks/build.py, if it was run."""
    table = HERE / "build.md"
    return table.read_text().strip() if table.exists() else "Not measured yet."


def _layout(dataset: str) -> str:
    """The files of a download, and how many images and identities its authors count."""
    reader = READERS[dataset]
    counts = []
    for role, count in _published_counts(reader, recipe_of(dataset)).items():
        identities = f" of {count.identities:,} identities" if count.identities else ""
        counts.append(f"{role} {count.images:,} images{identities}".strip())
    size = (
        f" Each is {reader.size[0]}x{reader.size[1]} pixels (width x height)."
        if reader.size
        else ""
    )
    sentence = f"Published counts: {'; '.join(counts)}.{size}"
    return f"```\n{reader.tree}\n```\n\n{_wrapped(sentence)}"


def _published_counts(reader: type[RawDataset], recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    # A reader looks for its download when it is made, and none is at hand; its counts need only the recipe.
    instance = reader.__new__(reader)
    vars(instance).update(recipe)
    return instance.published


def _recipes(dataset: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The default recipe, and others by what they are called."""
    if dataset == "natural_images":
        others = {"with `pedestrians`": dict(base_config("pedestrians").natural_images)}
        return dict(base_config("vr_market1501").natural_images), others
    presets = {f"`{name}`": recipe_of(f"{dataset}/{name}") for name in DATASETS[dataset].presets}
    return recipe_of(dataset), presets


def _recipe(dataset: str, told: dict[str, object]) -> str:
    """Options by row: default, what presets change, meaning. Those that are as before share the last."""
    default, presets = _recipes(dataset)
    rows = [["option", "default", *presets, "meaning, and why this default"]]
    as_before = []
    for option, value in default.items():
        key = f"{dataset}.{option}"
        key = key if key in OPTIONS else option
        changed = [_value(p[option]) if p[option] != value else "" for p in presets.values()]
        if told.get(key) == value and not any(changed):
            as_before.append((f"`{option}`", _value(value)))
            continue
        meaning = "as above" if key in told else OPTIONS[key]
        rows.append([f"`{option}`", _value(value), *changed, meaning])
        told[key] = value
    if as_before:
        names, values = (", ".join(column) for column in zip(*as_before, strict=True))
        rows.append([names, values, *[""] * len(presets), "as above"])
    return _table(rows)


def _value(value: object) -> str:
    return f"`{value}`" if value != "" else "`''`"


def _commands(dataset: str) -> str:
    raw_dir = f"--config.data.raw_dir={RAW_DIRS[dataset]}"
    backbone = "--config.init.backbone=resnet50.pth"
    commands = [
        (dataset, f"{raw_dir} --mode doctor"),
        (dataset, f"{raw_dir} --mode build"),
        (dataset, backbone),
    ]
    for preset in list(DATASETS[dataset].presets)[-1:]:  # an example
        commands.append((f"{dataset}/{preset}", f"{raw_dir} {backbone}"))
    lines = [
        f"python -m rireid_jax.main --config configs/joint.py:{name} {rest}"
        for name, rest in commands
    ]
    lines = [
        line if len(line) <= WIDTH else line.replace(" --config.", " \\\n    --config.", 1)
        for line in lines
    ]
    return "\n".join(["```sh", *lines, "```"])


def _published(benchmarks: Sequence[str]) -> str:
    """Published figures: a row for a method in a source, a column for a benchmark, notes by letter."""
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
