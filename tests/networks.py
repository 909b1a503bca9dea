"""Networks by the names that they have in configs, as small as wanted."""

from typing import Any

import rireid_jax.paper.systems  # noqa: F401  registers SING's and CSR-GAN's networks
from rireid_jax.components import EXTRACTORS, SUPER_RESOLUTION
from rireid_jax.config import base_config
from rireid_jax.models.network import Network, create_network

NETWORKS = (*SUPER_RESOLUTION, *EXTRACTORS)
IDENTITIES = 5


def network_of(
    name: str, *, axis_name: str | None = None, identities: int = IDENTITIES, **fields: Any
) -> Network:
    """A network by its name: an extractor, or a super-resolution network without one.

    Args:
      name: as in `config.stages`.
      axis_name: mapped axis of devices.
      identities: of the classifier.
      **fields: `dtype`, fields of a stage such as `neck`, and fields of `config.model`. A network of width 1 has its
        full depth, any other one bottleneck a stage.
    """
    config = base_config("pedestrians")
    config.dtype = fields.pop("dtype", "float32")
    stage = config.stages.rife
    stage.extractor = "none"
    if name in SUPER_RESOLUTION:
        stage.super_resolution = name
    else:
        stage.extractor, stage.neck = name, EXTRACTORS[name].necks[0]
    width = fields.pop("width", 1 / 16)
    # The gates of the paper, for PyTorch's are.
    config.model.update(gate_input="maps", gate_losses="all")
    config.model.update(width=width, ffsr_width=width, generator_width=width, generator_blocks=1)
    config.model.stage_sizes = (3, 4, 6, 3) if width == 1 else (1, 1, 1, 1)
    for field, value in fields.items():
        (stage if field in stage else config.model)[field] = value
    return create_network(config, "rife", identities, axis_name)
