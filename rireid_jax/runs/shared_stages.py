"""Stages that another run has trained already, on the same data: with the same outcome, or to go on from."""

import logging
from collections.abc import Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from rireid_jax import distributed
from rireid_jax.config import stages_to, with_paths
from rireid_jax.data.build import Built
from rireid_jax.errors import UserError
from rireid_jax.runs.files import jsonable
from rireid_jax.runs.workdir import (
    differences,
    free_fields,
    read_config,
    read_data,
    trial_folder,
    trial_folders,
)
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.checkpoint_files import copy_checkpoint
from rireid_jax.training.initial import Variables
from rireid_jax.training.loop import finished_variables, num_steps

logger = logging.getLogger(__name__)

_DATA = ("dataset", "data.")  # fields that say what a run learns from
_BUILDING = (  # what is learned from is told by the protocol hash
    "data.max_bad_images",
    "data.allow_unmatched_queries",
    "data.allow_shared_identities",
)


def shared_stages(config: ConfigDict) -> tuple[str, ...]:
    """The stages of a run that are the same in every trial.

    They learn from natural images, and start from nothing or from such a stage. A stage with an extractor
    is never shared: its classifier knows the identities of one trial.
    """
    shared: list[str] = []
    for stage in config.run:
        spec = config.stages[stage]
        if (
            spec.dataset
            and spec.extractor == "none"
            and all(source in ("", *shared) for source in spec.init.values())
        ):
            shared.append(stage)
    return tuple(shared)


def with_same_stage(config: ConfigDict, stage: str, workdirs: Sequence[str]) -> list[str]:
    """The work directories of runs in which a stage must end as it does in this one.

    Their configs agree on the stage, on those that it starts from, and on all that is outside the stages, except
    for fields that no checkpoint depends on.

    Args:
      config: of this run.
      stage: a key of its `stages`.
      workdirs: of other runs; one that has not begun is left out.

    Raises:
      UserError: the config of one of them cannot be read.
    """
    own = _decisive(config, stage)
    same = []
    for workdir in workdirs:
        if not distributed.from_first((epath.Path(workdir) / "config.json").exists):
            continue
        theirs = read_config(workdir)
        if stage in theirs.stages and not any(
            differences(own, _decisive(theirs, stage), free_fields())
        ):
            same.append(workdir)
    return same


def _decisive(config: ConfigDict, stage: str) -> dict[str, Any]:
    """The fields on which a stage's checkpoint depends, and some more."""
    own = jsonable(with_paths(config).to_dict())  # older versions kept relative paths
    return {**own, "stages": {name: own["stages"][name] for name in stages_to(config, stage)}}


def finished_elsewhere(
    config: ConfigDict, workdir: str, stage: str, num_images: int
) -> Variables | None:
    """As `finished_variables`, for a work directory that may not exist; nothing is created in it."""
    folder = epath.Path(workdir) / "checkpoints" / stage
    begun = distributed.from_first(folder.exists)
    return finished_variables(config, workdir, stage, num_images) if begun else None


def take_over(
    config: ConfigDict, stage: str, workdir: str, others: Sequence[str], data: Built
) -> tuple[str, Variables] | None:
    """Copies a stage's last checkpoint from the first other run that has finished it on the same data.

    A damaged checkpoint is passed over.

    Args:
      config: of the run; the others have the stage as it has.
      stage: does not depend on what differs between the runs, such as the trial.
      workdir: of the run.
      others: work directories of other runs.
      data: what the stage trains on.

    Returns:
      The work directory it came from, and what the stage ended with; None if no other run has finished it.
    """
    num_images = len(data.splits["train"])
    for other in others:
        try:
            same = read_data(other).get(data.dataset) == data.protocol_hash
        except UserError:
            continue
        variables = finished_elsewhere(config, other, stage, num_images) if same else None
        if variables is not None:
            copy_checkpoint(other, workdir, stage, num_steps(config, stage, num_images)[1])
            return other, variables
    return None


def continue_stage(config: ConfigDict, workdir: str, stage: str, data: Built) -> Variables | None:
    """Takes what `config.init.workdir` has trained of a stage, unless it has begun here.

    - The same stage on the same data is copied; so is one that differs only in its epochs, its schedule or its rates,
      and training goes on at its last step.
    - On other data, training begins with the stage's last variables there.
    - A stage that differs in something else, or starts from one that does, is trained anew.

    Args:
      config: of the run.
      workdir: of the run, which holds its lock.
      stage: a key of `config.stages`.
      data: what the stage trains on.

    Returns:
      What the stage begins with; None if that is what its own `init` says, or where it goes on.

    Raises:
      UserError: `config.init.workdir` holds no run, or has trained a stage that is to go on for as many steps as it has
        here.
    """
    if not config.init.workdir or distributed.from_first(lambda: bool(_steps(workdir, stage))):
        return None
    other = _earlier(config)
    try:
        theirs = read_config(other)
        known = read_data(other).get(data.dataset)
    except UserError as error:
        raise UserError(f"config.init.workdir: {error}") from None
    steps = distributed.from_first(lambda: _steps(other, stage))
    if stage not in theirs.stages or not steps:
        return None
    own, field = _decisive(config, stage), f"stages.{stage}"
    length = (
        f"{field}.epochs",
        f"{field}.schedule",
        *(f"{field}.optimizer.{module}.rate" for module in own["stages"][stage]["optimizer"]),
    )
    ignored = (*free_fields(), "init.workdir", *_BUILDING)
    differing = [name for name, *_ in differences(own, _decisive(theirs, stage), ignored)]
    on_data = [name for name in differing if name.startswith(_DATA)]
    for name in differing:
        if not name.startswith((*length, *_DATA)):
            logger.info("%s: trained anew, as config.%s differs in %s", stage, name, other)
            return None
    if on_data or known not in (None, data.protocol_hash):
        logger.info("%s: begins with what %s has trained on other data", stage, other)
        if theirs.dataset == config.dataset:
            logger.warning(
                "%s: people who are scored here may be among those that %s has learned from",
                stage,
                other,
            )
        return last_variables(other, stage)
    total = num_steps(config, stage, len(data.splits["train"]))[1]
    if differing and steps[-1] >= total:
        raise UserError(
            f"config.{field}.epochs: found {config.stages[stage].epochs}, or {total} steps, expected more than the "
            f"{steps[-1]} steps that {other} has trained with other settings"
        )
    copy_checkpoint(other, workdir, stage, steps[-1])
    logger.info("%s: step %d taken from %s", stage, steps[-1], other)
    return None


def last_variables(workdir: str, stage: str) -> Variables:
    """What a stage's latest readable checkpoint holds."""
    with Checkpoints(workdir, stage) as checkpoints:
        return checkpoints.load_latest()[1]


def _steps(workdir: str, stage: str) -> list[int]:
    """The steps of a stage's checkpoints, in order; none where it has not begun."""
    folder = epath.Path(workdir) / "checkpoints" / stage
    return sorted(int(step.name) for step in folder.glob("*") if step.name.isdigit())


def _earlier(config: ConfigDict) -> str:
    """The folder that a run goes on from: of the same trial, if it has trials."""
    other: str = config.init.workdir
    if config.data.trials and distributed.from_first(lambda: trial_folders(other)):
        return trial_folder(other, config.data.trials[0])
    return other
