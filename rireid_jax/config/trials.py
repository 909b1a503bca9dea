"""Derives one config per trial."""

from ml_collections import ConfigDict

from rireid_jax.errors import UserError


def trial_configs(config: ConfigDict) -> dict[int, ConfigDict]:
    """Returns the config of each trial, in increasing order; empty for a data set with a single partition.

    Raises:
      UserError: the recipe names a trial other than `config.data.trials`.
    """
    trials = tuple(sorted(config.data.trials))
    if not trials:
        return {}
    asked = config.data.recipe.trial
    if asked and trials != (asked,):
        raise UserError(
            f"config.data.recipe.trial: found {asked}, expected 0; choose trials by "
            f"--config.data.trials='({asked},)'"
        )
    parts = {}
    for trial in trials:
        parts[trial] = config.copy_and_resolve_references()
        parts[trial].data.trials = (trial,)
        parts[trial].data.recipe.trial = trial
    return parts
