"""Writes docs/strong.md from finished runs of configs/strong_systems.py; `make strong` trains them first.

python benchmarks/strong.py runs/strong-seed0 runs/strong-seed1 ... > docs/strong.md

Every system of every run embeds the queries at five resolutions, and the gallery in two ways.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from rireid_jax.config import STRONG, evaluation_protocol, scored_stages
from rireid_jax.data.build import Built
from rireid_jax.data.degradation import downsample
from rireid_jax.data.loader import Source
from rireid_jax.data.records import Record, decode_image
from rireid_jax.errors import UserError
from rireid_jax.evaluation.intervals import CANNOT_BE_TOLD, Trained, compare, drawn_from
from rireid_jax.evaluation.scoring import Outcomes, outcomes, rank_queries
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.trial import build_dataset
from rireid_jax.runs.workdir import read_config

_TEXT = """\
# Today's tricks: what FFSR, RIFE and degraded copies add

`make strong` makes this page: `configs/strong_systems.py` trained with {seeds} on the embedded data, protocol
{protocol}. All systems have BNNeck, triplets, label smoothing, Adam with warm-up and the same start
(`rireid_jax/config/strong.py`), and learn for {epochs} epochs. "Copies" says that half of the images get a new
resolution every time they are read; otherwise they are read as they are, at one resolution each.

The {queries} queries are asked as they were drawn, at widths of {least} to {most} pixels, and at a given part r of the
full {width} pixels. The gallery's {gallery} images are of high resolution, or mixed, as they were drawn. Rank-1 in
percent, means over the seeds.
"""
_NAMES = dict(zip(STRONG, ("ResNet50", "RIFE", "FFSR", "FFSR+RIFE"), strict=True))
_REFERENCE = "strong_plain"  # ResNet50, images as they are
_AS_DRAWN = "as drawn"
_QUERIES = {_AS_DRAWN: 0.0, "r = 1/8": 1 / 8, "r = 1/4": 1 / 4, "r = 1/2": 1 / 2, "full": 1.0}
_GALLERIES = {"a high-resolution gallery": 1.0, "a mixed gallery": 0.0}  # 0: as drawn
_AT_ONCE = 512  # images decoded at once
_EDGES = (0.0, 1.0)  # of the bins of r: all queries in one

Scored = dict[
    tuple[str, str, str], dict[int, list[Outcomes]]
]  # by gallery, query and stage; by seed


@dataclass(frozen=True)
class _Split:
    """A split of a data set, and the labels of its images."""

    records: Source
    pids: np.ndarray
    camids: np.ndarray

    @classmethod
    def of(cls, data: Built, name: str) -> "_Split":
        source = data.splits[name]
        labels = [
            (record.pid, record.camid) for record in map(source.__getitem__, range(len(source)))
        ]
        pids, camids = np.array(labels).T
        return cls(source, pids, camids)

    def features(self, extract: Callable[..., np.ndarray], width: int) -> np.ndarray:
        """Features of all images, at a width in pixels, or as they were drawn if it is 0."""
        found = []
        for start in range(0, len(self.records), _AT_ONCE):
            places = range(start, min(start + _AT_ONCE, len(self.records)))
            found.append(extract([_at(self.records[place], width) for place in places]))
        return np.concatenate(found)


def main(workdirs: Sequence[str]) -> None:
    """Prints the page to standard output."""
    if not workdirs:
        sys.exit("error: found no work directory, expected those of configs/strong_systems.py")
    scored: Scored = {}
    for workdir in workdirs:
        config = read_config(workdir)
        missing = {_REFERENCE, *STRONG} - set(scored_stages(config))
        if missing:
            sys.exit(
                f"error: {workdir}: found no stage {min(missing)}, expected configs/strong_systems.py"
            )
        data = build_dataset(config, config.dataset)
        _score(workdir, config, data, scored)
    print(_page(config, data, scored))


def _score(workdir: str, config: ConfigDict, data: Built, scored: Scored) -> None:
    """Adds the outcomes of a run's systems."""
    query, gallery = _Split.of(data, "query"), _Split.of(data, "gallery")
    full, scoring = config.data.recipe.width, evaluation_protocol(config)
    resolutions = np.ones(len(query.pids), np.float32)
    for stage in scored_stages(config):
        print(f"{workdir}: {stage}", file=sys.stderr)
        extract = Extractor.from_workdir(workdir, stage=stage, batch_size=256).extract
        galleries = {
            name: gallery.features(extract, round(r * full)) for name, r in _GALLERIES.items()
        }
        for asked, r in _QUERIES.items():
            features = query.features(extract, round(r * full))
            for name, kept in galleries.items():
                ranking = rank_queries(
                    *(features, kept, query.pids, gallery.pids, query.camids, gallery.camids),
                    **scoring,
                )
                by_seed = scored.setdefault((name, asked, stage), {})
                if config.seed in by_seed:
                    sys.exit(f"error: found seed {config.seed} twice, expected a run for each seed")
                by_seed[config.seed] = [outcomes(ranking, query.pids, resolutions)]


def _at(record: Record, width: int) -> Image.Image:
    if not width:
        return decode_image(record.image, record.name)
    return downsample(decode_image(record.target, record.name), width, "bicubic")


def _page(config: ConfigDict, data: Built, scored: Scored) -> str:
    stages = [f"{name}{ending}" for ending in ("_plain", "") for name in STRONG]
    one = next(iter(scored.values()))
    recipe, query = config.data.recipe, len(data.splits["query"])
    parts = [
        _TEXT.format(
            seeds=f"seed{'s' * (len(one) > 1)} {', '.join(map(str, one))}",
            protocol=data.protocol_hash,
            epochs=config.stages.strong.epochs,
            queries=query,
            gallery=len(data.splits["gallery"]),
            least=recipe.min_width,
            most=recipe.width - 1,
            width=recipe.width,
        )
    ]
    for gallery in _GALLERIES:
        parts.append(f"## With {gallery}\n\n{_rates(gallery, stages, scored)}")
        parts.append(_differences(gallery, stages, scored))
    difference = compare(one, one, _EDGES).rank1
    over = drawn_from(difference.num_identities, difference.num_seeds)
    parts.append(
        "Differences are in points of Rank-1, from ResNet50 that learned from images as they are, with 95 % intervals "
        f"over\n{over}. They are bold where the interval leaves out 0.\n"
    )
    parts.append("## What to use when\n\n" + _advice(stages, scored))
    return "\n".join(parts)


def _rates(gallery: str, stages: Sequence[str], scored: Scored) -> str:
    lines = [["system", "copies", *_QUERIES], ["---"] * (2 + len(_QUERIES))]
    for stage in stages:
        cells = (f"{100 * _rank1(scored[gallery, asked, stage]):.1f}" for asked in _QUERIES)
        lines.append([*_title(stage), *cells])
    return "\n".join(map(_row, lines)) + "\n"


def _differences(gallery: str, stages: Sequence[str], scored: Scored) -> str:
    lines = [["system", "copies", *_QUERIES], ["---"] * (2 + len(_QUERIES))]
    for stage in stages:
        if stage == _REFERENCE:
            continue
        cells = []
        for asked in _QUERIES:
            reference = scored[gallery, asked, _REFERENCE]
            found = compare(scored[gallery, asked, stage], reference, _EDGES).rank1
            told = found.verdict != CANNOT_BE_TOLD
            cells.append(f"**{found.in_points()}**" if told else found.in_points())
        lines.append([*_title(stage), *cells])
    return "\n".join(map(_row, lines)) + "\n"


def _advice(stages: Sequence[str], scored: Scored) -> str:
    """The best system for every gallery and query, and those that cannot be told from it."""
    lines = [["gallery", "queries", "best", "Rank-1", "cannot be told from it"], ["---"] * 5]
    for gallery in _GALLERIES:
        for asked in _QUERIES:
            best = max(stages, key=lambda stage: _rank1(scored[gallery, asked, stage]))
            own = scored[gallery, asked, best]
            near = [
                stage
                for stage in stages
                if stage != best
                and compare(own, scored[gallery, asked, stage], _EDGES).rank1.verdict
                == CANNOT_BE_TOLD
            ]
            names = ", ".join(map(_words, near)) or "none"
            lines.append([gallery, asked, _words(best), f"{100 * _rank1(own):.1f}", names])
    return "\n".join(map(_row, lines))


def _title(stage: str) -> tuple[str, str]:
    name = stage.removesuffix("_plain")
    return _NAMES[name], "no" if stage.endswith("_plain") else "yes"


def _words(stage: str) -> str:
    name, copies = _title(stage)
    return f"{name} with copies" if copies == "yes" else name


def _rank1(trained: Trained) -> float:
    return float(np.mean([np.nanmean(o.rank1) for own in trained.values() for o in own]))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
