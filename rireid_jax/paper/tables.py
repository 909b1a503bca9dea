"""The paper's Tables 1 to 3 with our figures next to the printed ones, as records, Markdown and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rireid_jax.evaluation.intervals import Difference, Trained, compare
from rireid_jax.paper.complexity import Complexity
from rireid_jax.paper.published import BENCHMARKS, RESULTS, Result

Record = dict[str, Any]
_RATES = ("rank1", "rank5", "mAP")
_BASELINE = "resnet50"  # every table prints it
_OTHER_BENCHMARK = "VR-MSMT17"  # printed in Tables 1 and 2; stands next to data that no table has


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes:
      title: as it is shown.
      row: key of `rows.ROWS`.
      published: its name in `published.RESULTS`.
      macs: the number that the paper prints, in units of 10^9; 0 if it prints none.
      note: remark on what is printed or missing.
    """

    title: str
    row: str
    published: str
    macs: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Table:
    """One of the paper's tables.

    Attributes:
      title: what it compares.
      source: key of `published.SOURCES`.
      lines: in the paper's order.
      of_restorer: whether it counts the multiply-accumulates of super-resolution alone, as Table 1 does.
    """

    title: str
    source: str
    lines: tuple[Line, ...]
    of_restorer: bool = False


_SRCNN = (
    "no standard SRCNN has the printed 2.53: kernels 9-1-5, used here, have 0.98 at 384x128, and neither 9-3-5 nor "
    "9-5-5 has it either"
)
TABLES: Mapping[str, Table] = {
    "table1": Table(
        "Super-resolution before ResNet50",
        "Table 1",
        (
            Line("Bilinear", "resnet50", "bilinear + ResNet50"),
            Line("SRCNN", "srcnn", "SRCNN + ResNet50", 2.53, _SRCNN),
            Line("VDSR", "vdsr", "VDSR + ResNet50", 32.79),
            Line("AE", "ae", "AE + ResNet50", 3.71),
            Line("FFSR, Gaussian mask", "ffsr", "FFSR, Gaussian mask", 3.71),
            Line("FFSR, Gaussian mask, joint", "ffsr_joint", "FFSR, Gaussian mask, joint", 3.71),
            Line(
                "FFSR, segmented mask, joint",
                "ffsr_segmentation_joint",
                "FFSR, DeeperCut mask, joint",
                3.71,
                "the paper's masks are DeeperCut's, ours are stored with the data",
            ),
        ),
        of_restorer=True,
    ),
    "table2": Table(
        "Feature extractors on bilinear images",
        "Table 2",
        (
            Line("ResNet50", "resnet50", "ResNet50"),
            Line("two ResNet50", "two_resnet50", "two ResNet50"),
            Line(
                "two ResNet50, learned weights",
                "two_resnet50_weighted",
                "two ResNet50, learned weights",
            ),
            Line("RIFE", "rife", "RIFE"),
        ),
    ),
    "table3": Table(
        "Comparison with recent works",
        "Table 3",
        (
            Line("DenseNet121", "densenet121", "DenseNet121"),
            Line("SE-ResNet50", "se_resnet50", "SE-ResNet50"),
            Line("JUDEA", "judea", "JUDEA"),
            Line("SLD2L", "sld2l", "SLD2L"),
            Line("SDF", "sdf", "SDF"),
            Line("SING", "sing", "SING"),
            Line("CSR-GAN", "csr_gan", "CSR-GAN"),
            Line("ResNet50", "resnet50", "ResNet50"),
            Line("FFSR", "ffsr_joint", "FFSR"),
            Line("RIFE", "rife", "RIFE"),
            Line("FFSR+RIFE", "ffsr_rife", "FFSR+RIFE"),
        ),
    ),
}


@dataclass(frozen=True)
class System:
    """What is known about a row of `rows.ROWS`.

    Attributes:
      results: `results.json` by seed; empty if it was not run.
      outcomes: of the queries, by seed and trial; a seed that an older version scored has none.
      missing: why it cannot be run, if there is a reason.
      partial: what is missing of its publication.
      complexity: None for a system that is not a network.
    """

    results: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    outcomes: Trained = field(default_factory=dict)
    missing: str = ""
    partial: str = ""
    complexity: Complexity | None = None


def difference(ours: System, theirs: System) -> Difference | None:
    """The difference of two systems' Rank-1; None unless all results of both come with outcomes."""
    if not ours.results or not theirs.results:
        return None
    if any(system.outcomes.keys() != system.results.keys() for system in (ours, theirs)):
        return None
    return compare(ours.outcomes, theirs.outcomes, (0.0, 1.0)).rank1


@dataclass(frozen=True)
class Data:
    """The data that our results are measured on.

    Attributes:
      dataset: name of the data set.
      recipe: name of the recipe, from `config.recipe_title`.
      image_size: (height, width) of the networks' input.
    """

    dataset: str
    recipe: str
    image_size: tuple[int, int]


def printed_benchmark(table: Table, dataset: str) -> tuple[str, bool]:
    """The benchmark of a table that stands next to our data, and whether it has the same name."""
    own = BENCHMARKS.get(dataset, "")
    has_own = any(r.benchmark == own and table.source in r.sources for r in RESULTS)
    return (own, True) if has_own else (_OTHER_BENCHMARK, False)


def table_records(table: Table, dataset: str, systems: Mapping[str, System]) -> list[Record]:
    """A record for every line of a table; rates are fractions, or None if there is no figure.

    Args:
      table: of the paper.
      dataset: name of our data set.
      systems: by row; all results have one protocol.
    """
    benchmark = printed_benchmark(table, dataset)[0]
    baseline = systems.get(_BASELINE, System())
    return [
        _record(table, line, benchmark, systems.get(line.row, System()), baseline)
        for line in table.lines
    ]


def _record(table: Table, line: Line, benchmark: str, system: System, baseline: System) -> Record:
    results = list(system.results.values())
    record: Record = {"system": line.title, "row": line.row}
    for rate in _RATES:
        values = [found[rate] for found in results]
        record[rate] = float(np.mean(values)) if values else None
        record[f"{rate}_std"] = float(np.std(values)) if len(values) > 1 else None
    record["seeds"] = list(system.results)
    above = None if line.row == _BASELINE else difference(system, baseline)
    record["above_baseline"] = above.difference if above else None
    record["above_baseline_low"] = above.low if above else None
    record["above_baseline_high"] = above.high if above else None
    printed = _printed(table, line, benchmark)
    record["paper_rank1"] = printed.rank1 / 100 if printed else None
    record["paper_rank5"] = printed.rank5 / 100 if printed and printed.rank5 else None
    size = system.complexity
    at_paper = None
    if size:
        at_paper = size.restorer_macs if table.of_restorer else size.paper_macs
    record["gmacs_384x128"] = at_paper / 1e9 if at_paper else None
    record["paper_gmacs"] = line.macs or None
    record["gmacs"] = size.macs / 1e9 if size and size.macs else None
    record["parameters"] = size.parameters if size else None
    record["protocol_hash"] = results[0]["protocol_hash"] if results else None
    record["note"] = "; ".join(_notes(line, system))
    return record


def _notes(line: Line, system: System) -> list[str]:
    notes = [line.note] if line.note else []
    if not system.results and system.missing:
        notes.append(f"not run: {system.missing}")
    if system.results and system.partial:
        notes.append(f"partial: {system.partial.rstrip('.')}")
    return notes


def _printed(table: Table, line: Line, benchmark: str) -> Result | None:
    found = [
        result
        for result in RESULTS
        if (result.method, result.benchmark) == (line.published, benchmark)
        and table.source in result.sources
    ]
    return found[0] if found else None


def headings(table: Table, image_size: tuple[int, int]) -> list[str]:
    """The titles of the columns of `cells`."""
    what = "SR GMACs" if table.of_restorer else "GMACs"
    printed = [f"paper's {what}"] if table.of_restorer else []
    height, width = image_size
    return [
        "system",
        *("Rank-1", "Rank-5", "mAP", "seeds", "Rank-1 above ResNet50"),
        *("paper's Rank-1", "paper's Rank-5"),
        *(f"{what} at 384x128", *printed),
        *(f"GMACs at {height}x{width}", "parameters"),
    ]


def cells(table: Table, records: Sequence[Record]) -> tuple[list[list[str]], list[str]]:
    """A table's lines as text, and its notes, which the lines refer to as (a), (b), ..."""
    notes = list(dict.fromkeys(record["note"] for record in records if record["note"]))
    lines = []
    for record in records:
        rates = [_rate(record[rate], record[f"{rate}_std"]) for rate in _RATES]
        if record["rank1"] is None:
            rates[0] = "not run"
        printed = [_macs(record["paper_gmacs"], 2)] if table.of_restorer else []
        parameters = record["parameters"]
        mark = f" ({_letter(notes.index(record['note']))})" if record["note"] else ""
        lines.append(
            [
                record["system"] + mark,
                *rates,
                str(len(record["seeds"]) or "-"),
                _gain(record),
                *(_rate(record[name]) for name in ("paper_rank1", "paper_rank5")),
                *(_macs(record["gmacs_384x128"], 2), *printed),
                _macs(record["gmacs"], 4),
                "-" if parameters is None else f"{parameters / 1e6:.2f} M",
            ]
        )
    return lines, [f"({_letter(i)}) {note}." for i, note in enumerate(notes)]


def markdown(name: str, data: Data, records: Sequence[Record]) -> str:
    """A table in Markdown, with its title and its notes.

    Args:
      name: key of `TABLES`.
      data: ours.
      records: from `table_records`.
    """
    table = TABLES[name]
    titles = headings(table, data.image_size)
    lines, notes = cells(table, records)
    number = name.removeprefix("table")
    grid = [titles, ["---", *["---:"] * (len(titles) - 1)], *lines]
    parts = [
        f"## Table {number}. {table.title}",
        caption(table, data, records),
        "\n".join(f"| {' | '.join(line)} |" for line in grid),
        "\n".join(f"- {note}" for note in notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def caption(table: Table, data: Data, records: Sequence[Record]) -> str:
    """The line above a table: data, protocol, units, and how far the paper's figures are comparable."""
    hashes = {record["protocol_hash"] for record in records} - {None}
    benchmark, same = printed_benchmark(table, data.dataset)
    order = "so that only the order may be compared"
    other = f", other data than ours, {order}"
    if same:
        other = "" if data.recipe == "default" else f", not made by this recipe, {order}"
    return (
        f"Ours on {data.dataset}, {data.recipe} recipe, protocol {', '.join(hashes) or 'none: nothing was run'}; "
        f"the paper's are printed for {benchmark}{other}. Rates in percent, mean ± standard deviation over the "
        "seeds where there are several; differences with ResNet50 in points, with 95 % intervals over identities and "
        "seeds, which say nothing about another training where a system has one seed."
    )


def csv_text(records: Sequence[Record]) -> str:
    """The records as CSV with all digits; seeds are separated by spaces."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({**record, "seeds": " ".join(map(str, record["seeds"]))})
    return text.getvalue()


def _rate(value: float | None, deviation: float | None = None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + (f" ± {100 * deviation:.1f}" if deviation is not None else "")


def _gain(record: Record) -> str:
    """The difference with the baseline in points, with its interval."""
    low, high = record["above_baseline_low"], record["above_baseline_high"]
    if low is None or high is None:
        return "-"
    return f"{100 * record['above_baseline']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _macs(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _letter(index: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[index]
