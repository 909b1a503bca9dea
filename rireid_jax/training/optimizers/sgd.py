"""SGD with momentum, as in PyTorch (section 5.2)."""

from typing import ClassVar

import optax
from ml_collections import ConfigDict

from rireid_jax.components import BELOW_ONE, OPTIMIZERS, Field


@OPTIMIZERS.register("sgd")
class SGD:
    """`torch.optim.SGD`, which adds weight decay to the gradient before it updates the momentum."""

    OPTIONS: ClassVar = {
        "momentum": Field(
            0.9,
            "momentum of SGD; the paper names plain SGD, 0.9 is from the authors' code",
            BELOW_ONE,
        ),
    }

    @staticmethod
    def create(options: ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
        """See the package."""
        return optax.chain(
            optax.add_decayed_weights(options.weight_decay),
            optax.sgd(schedule, momentum=options.momentum or None),
        )
