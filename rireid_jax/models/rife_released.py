"""RIFE of the authors' code, which differs from the paper (docs/paper-vs-released-code.md)."""

import re
from typing import ClassVar

import flax.linen as nn
import numpy as np

from rireid_jax.components import EXTRACTORS
from rireid_jax.models.resnet50 import stage_names
from rireid_jax.models.rife import RIFE, gate_names
from rireid_jax.models.torch_names import COUNTER, Tensor, batch_norm, layer, within


@EXTRACTORS.register("rife_released")
class ReleasedRIFE(RIFE):
    """RIFE with a dual-stream stem and a batch norm as its neck.

    The authors' checkpoints have `gating.hidden=16` and `last_stride=1`.

    Attributes: those of `RIFE`.
    """

    necks: ClassVar[tuple[str, ...]] = ("batch_norm",)
    # The authors' forward pass does not use the batch norm and classifier of the second stream, nor the attention
    # blocks that some of their revisions contain.
    unused_names: ClassVar = re.compile(
        r"model2\.(bn|fc)\..*|model[12]\.net\.base\.satten[123]\..*"
    )

    neck: str = "batch_norm"
    dual_stem: bool = True

    @nn.nowrap
    def torch_names(self) -> list[Tensor]:
        """Returns the authors' names: `model1.*` is the high-resolution stream and the head, `model2.*` the low one.

        The gates are `attmodel.*`, and the parts of the streams are stored a second time, as `modelpart*`.
        """
        rows: list[Tensor] = []
        for model, part, gate, stream in (
            ("model1", "modelpart", 0, "high"),
            ("model2", "model2part", 1, "low"),
        ):
            base = f"{model}.net.base"
            again = (
                f"{part}1.0.0"  # three nested pairs: ((convolution, batch norm), ReLU), max-pool
            )
            place = (("dsb0", stream),)
            convs, norms = (f"{base}.conv1", f"{again}.0"), (f"{base}.bn1", f"{again}.1")
            rows += layer("conv", convs, *within(place, "conv"), bias=False)
            rows += batch_norm(norms, *within(place, "bn"))
            rows += gate_names(f"attmodel.0.{gate}", "dsb0", stream)
            for t, blocks in enumerate(self.stage_sizes, start=1):
                names = (f"{base}.layer{t}", f"{part}{t + 1}")
                rows += stage_names(names, blocks, (f"dsb{t}", stream))
                rows += gate_names(f"attmodel.{t}.{gate}", f"dsb{t}", stream)
        rows += batch_norm("model1.bn", ("head", "bn"))
        return [*rows, *layer("fc", "model1.fc", ("head", "classifier"))]

    @nn.nowrap
    def unused_tensors(self, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the tensors that the authors' network does not use: a new batch norm and a classifier of zeros."""
        ones = ("bn.weight", "bn.running_var")
        zeros = ("bn.bias", "bn.running_mean", f"bn.{COUNTER}", "fc.weight", "fc.bias")
        return {f"model2.{name}": np.ones_like(state[f"model1.{name}"]) for name in ones} | {
            f"model2.{name}": np.zeros_like(state[f"model1.{name}"]) for name in zeros
        }
