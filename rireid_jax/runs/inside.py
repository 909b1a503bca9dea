"""What happens inside a trained network: how its gates follow the resolution, and how far its streams are apart."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from rireid_jax.components import EXTRACTORS
from rireid_jax.data.batches import rescaled
from rireid_jax.data.build import Built
from rireid_jax.evaluation.embed import Embedding
from rireid_jax.training.loop import Variables
from rireid_jax.training.losses.resolution import resolution_loss

# A deviation below which float32 values in [0, 1] count as equal; their rounding errors are below 1e-7.
_EQUAL = 1e-6
# Gates that all deviate less over the queries are reported as constant. One that follows r deviates as r does, by 0.29
# for a uniform r; at 0.01 it makes a thirtieth of that change, which moves the map of Eq. 6 by about a percent.
CONSTANT_GATES = 0.01
# In dB. Restored images that are not better than bilinear ones by more are reported. Where restoration works, it gains
# 0.4 to 0.9 dB on persons in the embedded setting (docs/architecture.md), so this is a tenth of a small success.
LEAST_GAIN = 0.05


def look_inside(
    config: ConfigDict, stage: str, data: Built, query: Embedding, variables: Variables
) -> dict[str, list[dict[str, Any]]]:
    """Measures the gates and the streams of a stage.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      data: the data set of the queries.
      query: embedding of the queries.
      variables: variables of the stage.

    Returns:
      The field "inside" of `results.json`:
        "gates": see `fit_gates`; a list over the dual-stream blocks, empty without gates.
        "streams": [{"block": name, "distance": see `relative_distance`}], empty without streams.
    """
    spec = config.stages[stage]
    gates = fit_gates(query.gates, trained_resolutions(config, stage, data, query))
    if spec.extractor == "none":
        return {"gates": gates, "streams": []}
    pairs = EXTRACTORS[spec.extractor].stream_pairs(variables["params"]["extractor"])
    streams = [
        {"block": name, "distance": relative_distance(low, high)}
        for name, (low, high) in pairs.items()
    ]
    return {"gates": gates, "streams": streams}


def trained_resolutions(
    config: ConfigDict, stage: str, data: Built, query: Embedding
) -> Float[np.ndarray, " Q"]:
    """Returns r of the queries as Eq. 7 trains on it in a stage (`stage.resolution_width`)."""
    scale = data.resolution_scale(config.stages[stage].resolution_width)
    return np.asarray(rescaled(query.resolutions.astype(np.float64), scale))


def fit_gates(
    gates: Float[np.ndarray, "Q T 2"], resolution: Float[np.ndarray, " Q"]
) -> list[dict[str, float]]:
    """Compares the gates of every block with what Eq. 7 asks of them, over the queries.

    Args:
      gates: gates (wL, wH) of the T blocks.
      resolution: r of every query, as Eq. 7 trains on it.

    Returns:
      One row a block:
        "correlation_wL", "correlation_wH": Pearson's, of wL with 1 - r and of wH with r; 0 if either is constant.
        "deviation_wL", "deviation_wH": standard deviations of the gates.
        "error": mean of Eq. 7, (wL - (1 - r))^2 + (wH - r)^2.
        "constant_error": the least mean of Eq. 7 that constant gates can have for these r: twice the variance of r,
          with wL = 1 - mean r and wH = mean r.
        "sum_mean", "sum_deviation": of wL + wH, which Eq. 7 wants to be 1 and Eq. 6 does not constrain.
    """
    loss = resolution_loss(jnp.asarray(gates, jnp.float32), jnp.asarray(resolution, jnp.float32))
    errors = np.asarray(loss, np.float64)
    rows = []
    for block, (low, high) in enumerate(gates.astype(np.float64).transpose(1, 2, 0)):
        both = low + high
        rows.append(
            {
                "correlation_wL": _correlation(low, 1 - resolution),
                "correlation_wH": _correlation(high, resolution),
                "deviation_wL": float(low.std()),
                "deviation_wH": float(high.std()),
                "error": float(errors[:, block].mean()),
                "constant_error": 2 * float(resolution.var()),
                "sum_mean": float(both.mean()),
                "sum_deviation": float(both.std()),
            }
        )
    return rows


def _correlation(a: Float[np.ndarray, " Q"], b: Float[np.ndarray, " Q"]) -> float:
    deviations = a.std(), b.std()
    if min(deviations) < _EQUAL:
        return 0.0
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    return float(covariance / (deviations[0] * deviations[1]))


def relative_distance(low: Any, high: Any) -> float:
    """Computes |low - high| / sqrt(|low|^2 + |high|^2), with Euclidean norms over all parameters of a stream.

    It is 0 for equal streams, 1 for orthogonal ones, as independent weights of mean 0 nearly are, and sqrt(2) for
    opposite ones.

    Args:
      low: tree of the parameters of the low-resolution stream.
      high: the same of the high-resolution stream.
    """
    difference = whole = 0.0
    pairs = zip(jax.tree.leaves(low), jax.tree.leaves(high), strict=True)
    for a, b in ((np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in pairs):
        difference += float(np.square(a - b).sum())
        whole += float(np.square(a).sum() + np.square(b).sum())
    return math.sqrt(difference / whole) if whole else 0.0


def find_warnings(config: ConfigDict, metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns one line for each part of the method that has no effect.

    Args:
      config: the whole config.
      metrics: by stage, as `results.json` holds them.
    """
    found: list[str] = []
    for stage, measured in metrics.items():
        found += _constant_gates(stage, measured["inside"]["gates"])
        restorer = config.stages[stage].super_resolution
        if restorer != "bilinear":
            found += _no_restoration(f"{restorer} of {stage}", measured["restoration"])
    return found


def _constant_gates(stage: str, blocks: list[dict[str, float]]) -> Iterator[str]:
    if not blocks or math.sqrt(blocks[0]["constant_error"] / 2) < CONSTANT_GATES:
        return  # all queries have about the same r, so there is nothing for gates to follow
    deviation = max(block[f"deviation_{gate}"] for block in blocks for gate in ("wL", "wH"))
    if deviation < CONSTANT_GATES:
        yield (
            f"gates of {stage} are constant (deviation {deviation:.4f} over the queries), so the network does not "
            "adapt to the resolution"
        )


def _no_restoration(restorer: str, restoration: Mapping[str, float | None]) -> Iterator[str]:
    part, title = "_foreground", "of persons"
    if restoration["psnr_foreground"] is None:
        part, title = "", "of images"
    restored, bilinear = restoration[f"psnr{part}"], restoration[f"psnr{part}_bilinear"]
    if restored is None or bilinear is None or restored > bilinear + LEAST_GAIN:
        return
    verdict = "has fallen back to" if restored >= bilinear - LEAST_GAIN else "is worse than"
    yield (
        f"{restorer} {verdict} the bilinear image: PSNR {title} {restored:.2f} dB, bilinear {bilinear:.2f} dB"
    )
