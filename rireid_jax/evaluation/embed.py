"""Runs a network over images: the one engine behind evaluation and the `Extractor`."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from rireid_jax.data.loader import evaluation_batches
from rireid_jax.evaluation.ssim import ssim_map
from rireid_jax.evaluation.views import VIEWS
from rireid_jax.models.network import Network, Outputs, create_network, infer
from rireid_jax.models.pixels import denormalise, normalise
from rireid_jax.models.psnr import masked_mean, measured_parts, psnr
from rireid_jax.parallel import Parallel
from rireid_jax.progress_bar import ProgressBar

DeviceBatch = Mapping[str, jax.Array]
# From the network's outputs, its normalised images and the batch to named arrays, one row an image.
MakeRows = Callable[[Outputs, jax.Array, DeviceBatch], dict[str, Any]]


class Engine:
    """A network on all devices, compiled once for each size of batch."""

    def __init__(
        self, network: Network, parallel: Parallel, make_rows: MakeRows, views: str = "one"
    ):
        """Compiles nothing yet.

        Args:
          network: without a mapped axis.
          parallel: the devices.
          make_rows: what to keep of a batch.
          views: key of `VIEWS`, over which the feature is the mean; other outputs are of the image itself.
        """
        others = VIEWS[views][1:]

        def predict(variables: Any, batch: DeviceBatch) -> dict[str, Any]:
            image, width = normalise(batch["image"]), batch["native_width"]
            outputs = infer(network, variables, image, width)
            if others and outputs.feature is not None:
                # One after another, so that the network is compiled once for all of them and its memory is for one.
                seen = jnp.stack([view(image, width) for view in others])
                features = lax.map(lambda v: infer(network, variables, v, width).feature, seen)
                mean = (outputs.feature + features.sum(0)) / len(VIEWS[views])
                outputs = outputs.replace(feature=mean)  # type: ignore[attr-defined]  # Flax adds it
            return {"valid": batch["valid"], **make_rows(outputs, image, batch)}

        self._parallel = parallel
        self._predict = parallel.evaluation_step(predict)

    def run(
        self,
        variables: Any,
        batches: Iterable[Mapping[str, np.ndarray]],
        only: Sequence[str] = (),
    ) -> dict[str, np.ndarray]:
        """The rows of all images of all processes, batch after batch.

        Args:
          variables: as `Parallel.replicate` places them.
          batches: this process's parts of one or more batches, with "image" uint8 [b, H, W, 3],
            "native_width" int32 [b], and "valid" float32 [b], 0 for what only fills up the batch.
          only: the arrays to fetch from the devices; none: all.
        """
        columns: dict[str, list[np.ndarray]] = {}
        for batch in batches:
            rows = self._predict(variables, self._parallel.split(batch))
            if only:
                rows = {name: rows[name] for name in (*only, "valid")}
            rows = jax.device_get(rows)
            valid = rows.pop("valid") > 0
            for name, values in rows.items():
                columns.setdefault(name, []).append(values[valid])
        return {name: np.concatenate(parts) for name, parts in columns.items()}


@dataclass(frozen=True)
class Embedding:
    """What a network makes of the N images of a split, in the split's order.

    Attributes:
      features: float32; D = 0 without an extractor.
      gates: (wL, wH) of T blocks; T = 0 without them.
      pids: identities.
      camids: cameras.
      resolutions: r in (0, 1].
      restoration: per image, PSNR in dB and SSIM of the restored image and of the bilinear one
        ("_bilinear"), over the image and over the mask ("_foreground"); nan where the image has no
        target or no mask.
    """

    features: Float[np.ndarray, "N D"]
    gates: Float[np.ndarray, "N T 2"]
    pids: Int[np.ndarray, " N"]
    camids: Int[np.ndarray, " N"]
    resolutions: Float[np.ndarray, " N"]
    restoration: Mapping[str, Float[np.ndarray, " N"]]


class Embedder:
    """A stage's network, compiled once for all splits."""

    def __init__(self, config: ConfigDict, stage: str, num_classes: int, parallel: Parallel):
        parallel.check_batch_size("eval.batch_size", config.eval.batch_size)
        self._config, self._parallel = config, parallel
        network = create_network(config, stage, num_classes)
        make_rows = functools.partial(_embedding_rows, normalised=config.eval.normalise)
        self._engine = Engine(network, parallel, make_rows, config.eval.views)

    def __call__(self, variables: Any, source: Any) -> Embedding:
        """Embeds every image of a split.

        Args:
          variables: {"params": ..., "batch_stats": ...} of the stage.
          source: a split of a built data set.
        """
        batches = evaluation_batches(
            source,
            image_size=tuple(self._config.data.image_size),
            batch_size=self._config.eval.batch_size,
            process_index=self._parallel.process_index,
            process_count=self._parallel.process_count,
        )
        with ProgressBar(len(source), "evaluation", "image") as bar:
            counted = _counted(batches, bar, self._parallel.process_count)
            columns = self._engine.run(self._parallel.replicate(variables), counted)
        # Several processes read interleaved images; the index puts them back in order.
        order = np.argsort(columns.pop("index"), kind="stable")
        columns = {name: values[order] for name, values in columns.items()}
        own = {name: columns.pop(name) for name in ("features", "gates")}
        labels = {name: columns.pop(name) for name in ("pids", "camids", "resolutions")}
        return Embedding(**own, **labels, restoration=columns)


def _counted(
    batches: Iterable[Mapping[str, np.ndarray]], bar: ProgressBar, process_count: int
) -> Iterator[Mapping[str, np.ndarray]]:
    for batch in batches:
        yield batch
        bar.add(int(batch["valid"].sum()) * process_count)


def compared(feature: Float[Array, "B D"], normalised: bool) -> Float[Array, "B D"]:
    """Returns the features that are compared: f of Eq. 3, or f divided by its L2 norm."""
    if not normalised:
        return feature
    norm = jnp.sqrt(jnp.square(feature).sum(-1, keepdims=True))
    return feature / jnp.maximum(norm, 1e-12)


def _embedding_rows(
    outputs: Outputs, image: jax.Array, batch: DeviceBatch, normalised: bool
) -> dict[str, Any]:
    size = image.shape[0]
    empty = jnp.zeros((size, 0), jnp.float32)
    return {
        "features": empty if outputs.feature is None else compared(outputs.feature, normalised),
        "gates": jnp.zeros((size, 0, 2)) if outputs.gates is None else outputs.gates,
        "pids": batch["pid"],
        "camids": batch["camid"],
        "resolutions": batch["resolution"],
        "index": batch["index"],
        **_restoration(outputs.restored, image, batch),
    }


def _restoration(restored: jax.Array, image: jax.Array, batch: DeviceBatch) -> dict[str, jax.Array]:
    target = batch["target"].astype(jnp.float32) / 255
    parts = measured_parts(batch["mask"], batch["has_target"])
    measured = {}
    for suffix, candidate in (("", denormalise(restored)), ("_bilinear", denormalise(image))):
        similarity = ssim_map(candidate, target)
        for part, (area, known) in parts.items():
            for name, value in (
                ("psnr", psnr(candidate, target, area)),
                ("ssim", masked_mean(similarity, area)),
            ):
                measured[f"{name}{part}{suffix}"] = jnp.where(known, value, jnp.nan)
    return measured
