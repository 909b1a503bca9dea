"""Finds loss terms from which a stage cannot learn anything, before it starts."""

import logging
from collections.abc import Iterable

from ml_collections import ConfigDict

from rireid_jax.components import LOSSES
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)


def check_terms(config: ConfigDict, stage: str, images: Iterable[Record]) -> None:
    """Warns of terms that need an original, such as Eq. 5, where no image has a higher one than itself.

    Such a term is 0 in every step as long as the bilinear image is the answer.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      images: its training images, read up to the first one with a higher original.

    Raises:
      UserError: the stage has no other term.
    """
    spec = config.stages[stage]
    terms = [name for name, options in spec.losses.items() if options.weight]
    idle = [name for name in terms if "target" in LOSSES[name].needs]
    degraded = spec.augmentation.degrade > 0
    if not idle or any(_has_higher_original(record, degraded) for record in images):
        return
    message = (
        f"config.stages.{stage}: found no image of {spec.dataset or config.dataset} with a higher original than "
        f"itself, so that nothing can be learned from the loss {' and '.join(idle)}, expected some, or "
        f"config.stages.{stage}.augmentation.degrade above 0"
    )
    if len(idle) == len(terms):
        raise UserError(message)
    logger.warning("%s", message)


def _has_higher_original(record: Record, degraded: bool) -> bool:
    """Whether an image has one, or gets one on the fly because it is degraded."""
    own = record.target == record.image
    return degraded if own else bool(record.target)
