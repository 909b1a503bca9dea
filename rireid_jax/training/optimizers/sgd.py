"""SGD with momentum, as PyTorch has it (section 5.2)."""

from typing import ClassVar

import optax
from ml_collections import ConfigDict

from rireid_jax.components import BELOW_ONE, OPTIMIZERS, Field


@OPTIMIZERS.register("sgd")
class SGD:
    """`torch.optim.SGD`: weight decay is added to the gradient, before the momentum."""

    OPTIONS: ClassVar = {
        "momentum": Field(0.9, "the paper names plain SGD; 0.9 is the authors' code's", BELOW_ONE),
    }

    @staticmethod
    def create(options: ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
        """See the package."""
        return optax.chain(
            optax.add_decayed_weights(options.weight_decay),
            optax.sgd(schedule, momentum=options.momentum or None),
        )
