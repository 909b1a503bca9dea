"""Networks by the names that they have in configs, as small as wanted."""

from typing import Any

from rireid_jax.config import base_config
from rireid_jax.config.stages import EXTRACTORS, SUPER_RESOLUTION
from rireid_jax.models.network import Network, create_network

NETWORKS = tuple(
    name for name in (*SUPER_RESOLUTION, *EXTRACTORS) if name not in ("bilinear", "none")
)
IDENTITIES = 5


def network_of(
    name: str, *, width: float = 1 / 16, axis_name: str | None = None, **fields: Any
) -> Network:
    """A network by its name: an extractor, or a super-resolution network without one.

    Args:
      name: as in `config.stages`.
      width: multiplies every width. A network of width 1 has its full depth, any other one bottleneck a stage.
      axis_name: mapped axis of devices.
      **fields: of the config, such as `dtype`, or of `config.model`.
    """
    config = base_config("pedestrians")
    config.dtype = fields.pop("dtype", "float32")
    config.model.update(width=width, ffsr_width=width, generator_width=width, generator_blocks=1)
    config.model.stage_sizes = (3, 4, 6, 3) if width == 1 else (1, 1, 1, 1)
    config.model.update(fields)
    part = "super_resolution" if name in SUPER_RESOLUTION else "extractor"
    config.stages.rife.extractor = "none"
    config.stages.rife[part] = name
    return create_network(config, "rife", IDENTITIES, axis_name)
