"""Eq. 5: the restoration loss, the distance of restored persons from their originals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from rireid_jax.components import LOSSES, MASKS, Field, Slot
from rireid_jax.models.pixels import denormalise, normalise
from rireid_jax.models.psnr import measured_parts, psnr
from rireid_jax.training.terms import Counted, Inputs, Term, Value, per_valid_example


@LOSSES.register("restoration")
@dataclass(frozen=True)
class Restoration(Term):
    """The mean of Eq. 5 over the images that have an original.

    Attributes:
      mask: section of the config that names the mask M.
      low_only: whether images that are their own original are left out, as in SING.
    """

    OPTIONS: ClassVar = {
        "mask": Slot(MASKS, "none"),
        "low_only": Field(
            False, "whether images that are their own original are left out, as in SING"
        ),
    }
    needs: ClassVar = ("restored", "target", "mask")

    mask: ConfigDict
    low_only: bool

    def __call__(self, inputs: Inputs) -> Value:
        batch = inputs.batch
        mask = MASKS[self.mask.name].create(self.mask)(batch)
        loss = ffsr_loss(inputs.outputs.restored, normalise(batch["target"]), mask)
        valid = batch["has_target"]
        if self.low_only:
            valid = valid * (batch["image"] != batch["target"]).any((1, 2, 3))
        each = per_valid_example(loss, valid, inputs.axis_name)
        metrics = measure_psnr(inputs.outputs.restored, batch)
        return Value(each, {"ffsr_loss": each.mean(), **metrics})


def measure_psnr(
    restored: Float[Array, "B H W 3"], batch: Mapping[str, jax.Array]
) -> dict[str, Counted]:
    """Measures the PSNR of restored training images in dB, and that of the bilinear images that they are made of.

    They have the names and meaning that they have in `results.json`: "psnr" over the image, "psnr_foreground" weighted
    by the stored mask, whatever the mask of Eq. 5 is, and "psnr_bilinear" and "psnr_foreground_bilinear". All are means
    over the same images: those with an original and, for the foreground, a mask, unless the bilinear image is that
    original. Such an image has nothing to restore, and its PSNR is infinite.

    Args:
      restored: I^r', the restored images, normalised.
      batch: this device's part of the batch (see `step.make_train_step`).
    """
    ours, dtype = denormalise(jax.lax.stop_gradient(restored)), restored.dtype
    bilinear, target = (batch[name].astype(dtype) / 255 for name in ("image", "target"))
    parts = measured_parts(batch["mask"], batch["has_target"], dtype)
    metrics = {}
    for part in ("", "_foreground"):
        area, known = parts[part]
        values = {"": psnr(ours, target, area), "_bilinear": psnr(bilinear, target, area)}
        counted = known
        for each in values.values():
            counted &= jnp.isfinite(each)  # nor does a mask without area count
        for suffix, each in values.items():
            metrics[f"psnr{part}{suffix}"] = Counted.of(each, counted)
    return metrics


def ffsr_loss(
    restored: Float[Array, "B H W 3"],
    target: Float[Array, "B H W 3"],
    mask: Float[Array, "#B H W"],
) -> Float[Array, " B"]:
    """Computes Eq. 5, |M * (I^r' - I^h)|^2, as a mean over pixels and channels.

    Args:
      restored: I^r', the restored image, normalised.
      target: I^h, the high-resolution original, normalised.
      mask: the mask M in [0, 1]; ones give the plain mean squared error.
    """
    return jnp.square(mask[..., None] * (restored - target)).mean((1, 2, 3))
