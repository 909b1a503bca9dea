"""The variables that a stage starts from: those of earlier stages, of a backbone, or random ones."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rireid_jax.errors import UserError
from rireid_jax.models.network import create_network, initialise, zero_variables
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.weights import load_backbone

logger = logging.getLogger(__name__)

Variables = dict[str, dict[str, Any]]


def initial_variables(
    config: ConfigDict,
    stage: str,
    workdir: str,
    num_classes: int,
    trained: Mapping[str, Variables] | None = None,
    begin: Variables | None = None,
) -> Variables:
    """Returns the initial variables of a stage: those of the stages in `config.stages[stage].init`, or random ones.

    An extractor that starts from no other stage takes its stem and streams from `config.init.backbone`, if given.

    Args:
      config: the whole config.
      stage: key of `config.stages`.
      workdir: work directory with the checkpoints of the stages that this one starts from.
      num_classes: number of identities of the classifier.
      trained: final variables of earlier stages that are still in memory, by stage.
      begin: variables of the same stage in another run, which then count instead of `init`. A classifier of other
        identities is left out.

    Raises:
      UserError: a stage that this one starts from has no checkpoint or a damaged last one, or the backbone does not
        fit; or `begin` is of a network of another size.
    """
    network = create_network(config, stage, num_classes)
    variables = initialise(network, config.seed, tuple(config.data.image_size))
    if begin is not None:
        return _with_own_classifier(variables, begin)
    if starts_from_backbone(config, stage):
        report = load_backbone(config.init.backbone, network, variables)
        logger.info("%s: starts from %s, %s", stage, config.init.backbone, report)
    for module, source in config.stages[stage].init.items():
        if not source:
            continue
        if trained and source in trained:
            loaded = trained[source]
        else:
            loaded = _last_variables(workdir, source, f"config.stages.{stage}.init.{module}")
        part = network.modules()[module]
        for kind in ("params", "batch_stats"):
            if module in variables[kind]:
                own, given = variables[kind][module], loaded[kind][module]
                variables[kind][module] = part.adopt(own, given)
    return variables


def _with_own_classifier(own: Variables, given: Variables) -> Variables:
    """The given variables; where identities differ, a classifier is that of `own`."""

    def choose(path: Any, mine: Any, theirs: Any) -> Any:
        if np.shape(mine) == np.shape(theirs):
            return jnp.copy(theirs)
        if any(getattr(key, "key", "") == "head" for key in path):
            return mine
        place = jax.tree_util.keystr(path, simple=True, separator=".")
        raise UserError(
            f"config.init.workdir: found {place} of {list(np.shape(theirs))}, expected {list(np.shape(mine))}, as "
            "config.model says"
        )

    try:
        chosen: Variables = jax.tree_util.tree_map_with_path(choose, own, given)
    except ValueError as error:  # the trees differ
        raise UserError(
            "config.init.workdir: found another network, expected the one of config.model"
        ) from error
    return chosen


def _last_variables(workdir: str, stage: str, field: str) -> Variables:
    with Checkpoints(workdir, stage) as checkpoints:
        step, variables = checkpoints.load_latest()
        if step != checkpoints.steps[-1]:
            raise UserError(
                f"{field}: found the last checkpoint of {stage} damaged, expected a whole one; run {stage} too "
                f"(config.run), which goes on at step {step}"
            )
    return variables


def starts_from_backbone(config: ConfigDict, stage: str) -> bool:
    """Returns whether the extractor of a stage starts from `config.init.backbone`."""
    spec = config.stages[stage]
    return bool(config.init.backbone) and spec.extractor != "none" and not spec.init.extractor


def check_backbone(
    config: ConfigDict, workdir: str, num_classes: int, stages: Iterable[str]
) -> None:
    """Raises UserError now if `config.init.backbone` does not fit one of these stages, which may start hours later."""
    for stage in stages:
        if starts_from_backbone(config, stage):
            with Checkpoints(workdir, stage) as checkpoints:
                begun = bool(checkpoints.steps)
            if not begun:
                network = create_network(config, stage, num_classes)
                load_backbone(config.init.backbone, network, zero_variables(network))
