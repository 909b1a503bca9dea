"""Multiply-accumulates and parameters of the rows' networks; nothing is run for them."""

from collections.abc import Collection
from dataclasses import dataclass

from ml_collections import ConfigDict

from rireid_jax.config import base_config
from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.network import Network, create_network, variable_shapes
from rireid_jax.paper.rows import ROWS

_PAPER_SIZE = (384, 128)  # (height, width) at which Table 1 counts


@dataclass(frozen=True)
class Complexity:
    """The size of a system, as `models.complexity` counts it.

    Attributes:
      restorer_macs: of super-resolution alone, at the paper's widths and 384x128; None without one.
      paper_macs: of the whole network, at the paper's widths and depths and 384x128; None if not traced.
      macs: of the whole network as it is trained, at its input's size; None if not traced.
      parameters: of the network as it is trained; None if not traced.
    """

    restorer_macs: int | None
    paper_macs: int | None = None
    macs: int | None = None
    parameters: int | None = None


def complexities(
    config: ConfigDict, traced: Collection[str], num_classes: int
) -> dict[str, Complexity]:
    """The complexity of every row that is trained in stages.

    Args:
      config: of all rows.
      traced: rows whose whole networks are traced; networks that are alike are traced once.
      num_classes: identities of the classifier.
    """
    full = config.copy_and_resolve_references()
    full.model.update(base_config("vr_msmt17,paper").model)
    own_size = tuple(config.data.image_size)
    restorers: dict[str, int | None] = {}
    networks: dict[tuple[str, str], tuple[int, int, int]] = {}
    sizes = {}
    for row, spec in ROWS.items():
        if not spec.stage:
            continue
        stage = config.stages[spec.stage]
        name, key = stage.super_resolution, (stage.super_resolution, stage.extractor)
        if name not in restorers:
            restorer = create_network(full, spec.stage, num_classes).super_resolution
            alone = Network(restorer, None)
            restorers[name] = _trace(alone, _PAPER_SIZE)[0] if restorer else None
        if row in traced and key not in networks:
            paper = _trace(create_network(full, spec.stage, num_classes), _PAPER_SIZE)
            own = _trace(create_network(config, spec.stage, num_classes), own_size)
            networks[key] = paper[0], *own
        whole = networks[key] if row in traced else ()
        sizes[row] = Complexity(restorers[name], *whole)
    return sizes


def _trace(network: Network, size: tuple[int, int]) -> tuple[int, int]:
    """Multiply-accumulates for one image, and parameters, of what is used after training."""
    used = Network(network.super_resolution, network.extractor)
    variables = variable_shapes(used, size)
    macs = count_macs(used.apply, variables, image_like(*size))
    return macs, count_parameters(variables["params"])
