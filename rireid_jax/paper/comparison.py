"""The paper's tables with our figures beside the printed ones, as records, Markdown and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rireid_jax.paper.published import BENCHMARKS, RESULTS, Result
from rireid_jax.paper.rows import TABLES, Line, Table

Record = dict[str, Any]
_RATES = ("rank1", "rank5", "mAP")
_OTHER_BENCHMARK = "VR-MSMT17"  # that of Tables 1 and 2, and stands beside data that no table has


@dataclass(frozen=True)
class Complexity:
    """Size of a system, by `models.complexity`.

    Attributes:
      restorer_macs: of super-resolution alone, of the paper's widths at 384x128; None without one.
      paper_macs: of the whole network of the paper's widths and depths, at 384x128; None if not traced.
      macs: of the whole network as it is trained, at its input's size; likewise.
      parameters: of the same.
    """

    restorer_macs: int | None
    paper_macs: int | None = None
    macs: int | None = None
    parameters: int | None = None


@dataclass(frozen=True)
class System:
    """What is known of a row of `report.rows.ROWS`.

    Attributes:
      results: `results.json` by seed; empty where it was not run.
      missing: why it was not run, if there is more to say.
      partial: what of its publication is missing.
      complexity: None for what is no network.
    """

    results: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    missing: str = ""
    partial: str = ""
    complexity: Complexity | None = None


@dataclass(frozen=True)
class Data:
    """What our results are measured on.

    Attributes:
      dataset: its name.
      recipe: as `config.recipe_title` names it.
      image_size: (height, width) of the networks' input.
    """

    dataset: str
    recipe: str
    image_size: tuple[int, int]


def printed_benchmark(table: Table, dataset: str) -> tuple[str, bool]:
    """Which of a table's benchmarks stands beside our data, and whether it is of the same name."""
    own = BENCHMARKS.get(dataset, "")
    has_own = any(r.benchmark == own and table.source in r.sources for r in RESULTS)
    return (own, True) if has_own else (_OTHER_BENCHMARK, False)


def table_records(table: Table, dataset: str, systems: Mapping[str, System]) -> list[Record]:
    """A record for every line of a table; rates are fractions, or None where there is no figure.

    Args:
      table: the paper's.
      dataset: ours.
      systems: by row; all results are of one protocol.
    """
    benchmark = printed_benchmark(table, dataset)[0]
    return [
        _record(table, line, benchmark, systems.get(line.row, System())) for line in table.lines
    ]


def _record(table: Table, line: Line, benchmark: str, system: System) -> Record:
    results = list(system.results.values())
    record: Record = {"system": line.title, "row": line.row}
    for rate in _RATES:
        values = [found[rate] for found in results]
        record[rate] = float(np.mean(values)) if values else None
        record[f"{rate}_std"] = float(np.std(values)) if len(values) > 1 else None
    record["seeds"] = list(system.results)
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
    """Titles of the columns of `cells`."""
    what = "SR GMACs" if table.of_restorer else "GMACs"
    printed = [f"paper's {what}"] if table.of_restorer else []
    height, width = image_size
    return [
        "system",
        *("Rank-1", "Rank-5", "mAP", "seeds"),
        *("paper's Rank-1", "paper's Rank-5"),
        *(f"{what} at 384x128", *printed),
        *(f"GMACs at {height}x{width}", "parameters"),
    ]


def cells(table: Table, records: Sequence[Record]) -> tuple[list[list[str]], list[str]]:
    """A table's lines as text, and its notes, which the lines name as (a), (b), ..."""
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
                *(_rate(record[name]) for name in ("paper_rank1", "paper_rank5")),
                *(_macs(record["gmacs_384x128"], 2), *printed),
                _macs(record["gmacs"], 4),
                "-" if parameters is None else f"{parameters / 1e6:.2f} M",
            ]
        )
    return lines, [f"({_letter(i)}) {note}." for i, note in enumerate(notes)]


def markdown(name: str, data: Data, records: Sequence[Record]) -> str:
    """A table with its title and its notes.

    Args:
      name: key of `report.rows.TABLES`.
      data: ours.
      records: of `table_records`.
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
    """What stands above a table: data, protocol, units, and what the paper's figures may be compared with."""
    hashes = {record["protocol_hash"] for record in records} - {None}
    benchmark, same = printed_benchmark(table, data.dataset)
    order = "so that only the order may be compared"
    other = f", other data than ours, {order}"
    if same:
        other = "" if data.recipe == "default" else f", not made by this recipe, {order}"
    return (
        f"Ours on {data.dataset}, {data.recipe} recipe, protocol {', '.join(hashes) or 'none: nothing was run'}; "
        f"the paper's are printed for {benchmark}{other}. Rates in percent, mean ± standard deviation over the "
        "seeds where there are several."
    )


def csv_text(records: Sequence[Record]) -> str:
    """The records with all digits; seeds separated by spaces."""
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


def _macs(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _letter(index: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[index]
