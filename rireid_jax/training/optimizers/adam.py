"""Adam (Kingma and Ba 2015), as in PyTorch."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from ml_collections import ConfigDict

from rireid_jax.components import OPTIMIZERS, Field


@OPTIMIZERS.register("adam")
class Adam:
    """`torch.optim.Adam`, which adds weight decay to the gradient before it updates the moments."""

    OPTIONS: ClassVar[Mapping[str, Field]] = {}

    @staticmethod
    def create(options: ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
        """See the package."""
        return optax.chain(optax.add_decayed_weights(options.weight_decay), optax.adam(schedule))
