"""Measures the ladder and writes docs/parity.md: `make parity`."""

import platform
from importlib.metadata import version
from pathlib import Path

from .narrow import STAGES
from .pairs import norm_error
from .rungs import RUNGS, measure
from .training import run

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"

TEXT = """\
# Parity with PyTorch

`make parity` measures this page: the largest error of each rung of the ladder in `tests/parity/rungs.py`, where the
same weights and batches go through this package and through an independent PyTorch implementation of the paper and
of the authors' released code (`tests/torch_reference`). `make test` holds every rung to its limit in float64, and the
networks that the paper compares itself with to the same limits (`tests/parity/test_networks.py`).

An error is the largest difference in an array relative to the largest magnitude in it, and the larger of the two
variants'; that of the ranking rung is the largest difference of a rate. In float32, training rungs are the norm of all
differences relative to the norm of all values: a sum within rounding of zero may pass a ReLU on one side only, and
single gradients then differ by leaps. The last column says how far float32 training strays by itself: PyTorch's float32
run compared with PyTorch's float64 run.

Networks of 1/8 width and one bottleneck a stage. {versions}

| rung | float64 | limit | float32 | PyTorch's own float32 |
|---|---|---|---|---|
{rows}
"""

_PARTS = {
    "gradients of every parameter": "gradients",
    "one step": "one_step",
    "20 steps, learning rate drop half-way": "all_steps",
    "losses of these steps": "losses",
}


def main() -> None:
    rows = []
    for group in RUNGS.values():
        for name, rung in group.items():
            double, single = (measure(rung, dtype) for dtype in ("float64", "float32"))
            own = f"{_own_error(_PARTS[name]):.1e}" if name in _PARTS else ""
            rows.append(f"| {name} | {double:.1e} | {rung.limit:.0e} | {single:.1e} | {own} |")
            print(rows[-1], flush=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "flax", "optax", "torch"))
    versions = f"Measured with {versions} on a CPU ({platform.machine()})."
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(TEXT.format(versions=versions, rows="\n".join(rows)))


def _own_error(part: str) -> float:
    """How far PyTorch's float32 run is from its float64 run."""
    return max(
        norm_error(*(getattr(run(variant, dtype), part)[1] for dtype in ("float32", "float64")))
        for variant in STAGES
    )


if __name__ == "__main__":
    main()
