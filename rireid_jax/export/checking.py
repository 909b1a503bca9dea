"""Compares an exported file with JAX before anybody gets it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import jax
import numpy as np

from rireid_jax.errors import UserError
from rireid_jax.export.inference import Model, answering, random_inputs

BATCHES = (1, 3)
TOLERANCE = 1e-4

Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def refuse_if_different(model: Model, input_kind: str, run: Run) -> float:
    """Returns the greatest difference between a file and JAX on random images, as a share of the greatest magnitude.

    Args:
      model: what was exported.
      input_kind: one of `inference.INPUTS`.
      run: the file: from inputs to outputs, by name.

    Raises:
      UserError: an output is another one, or differs by more than `TOLERANCE`.
    """
    errors = differences(model, input_kind, run, BATCHES)
    worst = max(errors, key=lambda name: errors[name])
    if errors[worst] > TOLERANCE:
        raise UserError(
            f"{model}: found {worst} that differ from JAX's by {errors[worst]:.1e} of the greatest, expected at most "
            f"{TOLERANCE:g}; nothing was written"
        )
    return errors[worst]


def differences(
    model: Model, input_kind: str, run: Run, batches: Sequence[int]
) -> dict[str, float]:
    """The greatest difference of each output, as a share of the greatest magnitude in it.

    Args:
      model: what was exported.
      input_kind: one of `inference.INPUTS`.
      run: the file.
      batches: numbers of random images that the file gets at once. JAX gets all of them together, which takes one
        compilation.

    Raises:
      UserError: the file has other outputs.
    """
    inputs = random_inputs(model, input_kind, sum(batches))
    # Other devices would multiply in fewer bits than a file's user on a CPU.
    with jax.default_matmul_precision("highest"):
        answer = jax.jit(answering(model, input_kind))
        expected = jax.device_get(answer(model.variables, *inputs.values()))
    worst = dict.fromkeys(expected, 0.0)
    for number, end in zip(batches, accumulate(batches), strict=True):
        found = run({name: images[end - number : end] for name, images in inputs.items()})
        if {*found} != {*expected}:
            raise UserError(f"{model}: found outputs {sorted(found)}, expected {sorted(expected)}")
        for name, rows in expected.items():
            difference = _difference(found[name], rows[end - number : end])
            worst[name] = max(worst[name], difference)
    return worst


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        return float("inf")
    scale = max(float(np.abs(expected).max(initial=0)), 1e-30)
    difference = float(np.abs(found.astype(np.float64) - expected).max(initial=0)) / scale
    return difference if np.isfinite(difference) else float("inf")
