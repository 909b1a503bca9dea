"""Code that the benchmarks share: interleaved timing, the ceilings of the machine, and the file of results.

Each benchmark is a command that updates its own section in benchmarks/results.json and then rewrites
benchmarks/results.md from all sections.
"""

import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import torch

RESULTS = Path(__file__).with_name("results.json")
# Load average of the last minute. If other programs keep cores busy, every figure is doubtful.
LOAD = os.getloadavg()[0]
# Sections in the order of the page.
SECTIONS = (
    "steps",
    "steps on one core",
    "pipeline",
    "ranking",
    "reranking",
    "startup",
    "checkpoints",
)


def interleaved(
    functions: Mapping[str, Callable[[], Any]],
    rounds: int,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Times functions in alternation, so that other load on the machine affects all of them equally.

    Args:
      functions: functions by name; each must wait for its own asynchronous work before it returns.
      rounds: number of timed calls of each function.
      warmup: number of untimed calls of each function before; the first one compiles.
      clock: clock to use; `time.process_time` is fair on a core that other programs share.

    Returns:
      Seconds of each call, by name.
    """
    for function in functions.values():
        for _ in range(warmup):
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(rounds):
        # Every other round runs in reverse, so that no function always follows the same other one.
        for name in list(functions)[:: 1 if turn % 2 == 0 else -1]:
            time.sleep(0.01)  # thread pools keep spinning for a while after their last task
            start = clock()
            functions[name]()
            seconds[name].append(clock() - start)
    return seconds


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Returns how many times faster ours is, as the median over rounds of the ratio within a round.

    Args:
      theirs: seconds of each round, as `interleaved` returns them.
      ours: our seconds in the same rounds.
    """
    return statistics.median(t / o for t, o in zip(theirs, ours, strict=True))


def ceilings(clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Measures the ceilings of this machine: matrix products in FLOP/s and copies in bytes/s (read plus written).

    The keys are "jax matmul", "torch matmul", "jax copy" and "torch copy", in float32; a GPU adds products in bfloat16.
    """
    on_gpu = jax.default_backend() != "cpu"
    n, length = (8192, 2**28) if on_gpu else (2048, 2**25)
    device = "cuda" if on_gpu else "cpu"
    product, copy = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)
    functions: dict[str, Callable[[], Any]] = {}
    work: dict[str, float] = {}

    def add_products(name: str, dtype: str) -> None:
        ours = jnp.ones((n, n), dtype)
        theirs = torch.ones((n, n), dtype=getattr(torch, dtype), device=device)
        functions["jax " + name] = lambda: product(ours, ours).block_until_ready()
        functions["torch " + name] = lambda: finished(theirs @ theirs)
        work["jax " + name] = work["torch " + name] = 2 * n**3

    add_products("matmul", "float32")
    if on_gpu:
        add_products("matmul bfloat16", "bfloat16")
    ours, theirs = jnp.ones(length), torch.ones(length, device=device)
    into = torch.empty_like(theirs)
    functions["jax copy"] = lambda: copy(ours).block_until_ready()
    functions["torch copy"] = lambda: finished(torch.add(theirs, 1, out=into))
    work["jax copy"] = work["torch copy"] = 8 * length
    seconds = interleaved(functions, rounds=7, warmup=2, clock=clock)
    return {name: work[name] / min(seconds[name]) for name in functions}


def finished(result: Any) -> Any:
    """Returns PyTorch's result after the device has finished it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result


def machine() -> dict[str, str]:
    """Describes the device, its cores and the versions."""
    device = jax.devices()[0]
    name = _cpu() if device.platform == "cpu" else device.device_kind
    packages = ("jax", "jaxlib", "flax", "torch", "numpy")
    return {
        "device": f"{name}, {jax.device_count()} device(s), {os.cpu_count()} cores, load {LOAD:.1f} before",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in packages)]
        ),
        "date": date.today().isoformat(),
    }


def _cpu() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def publish(
    section: str, title: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str] = ()
) -> None:
    """Puts a benchmark's rows into results.json, writes results.md, and prints the section.

    Args:
      section: one of `SECTIONS`.
      title: title of the table.
      rows: rows of the table, whose columns are the keys of the first row. Strings are printed unchanged, numbers with
        three significant digits.
      notes: lines below the table that say how it was measured, and why a goal was missed.
    """
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    command = f"python {' '.join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])}"
    results[section] = dict(
        title=title, rows=list(rows), notes=list(notes), command=command, **machine()
    )
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    pages = [_page(results[name]) for name in SECTIONS if name in results]
    head = "# Speed, side by side\n\nWritten by `make bench`; the numbers are in results.json.\n"
    RESULTS.with_suffix(".md").write_text("\n".join([head, *pages]))
    print(_page(results[section]))


def _page(result: Mapping[str, Any]) -> str:
    columns = list(result["rows"][0])
    lines = [f"## {result['title']}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in result["rows"]:
        lines.append(f"| {' | '.join(_cell(row.get(column)) for column in columns)} |")
    lines += ["", *(f"- {note}" for note in result["notes"])]
    lines += [
        f"- `{result['command']}`, {result['date']}: {result['device']}; {result['versions']}."
    ]
    return "\n".join([*lines, ""])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        digits = 3 - len(str(int(abs(value)))) if abs(value) >= 1 else 3
        return f"{value:,.{max(digits, 0)}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
