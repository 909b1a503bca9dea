"""The configs of a run's trials: the partitions of the identities that it trains and scores one by one."""

from ml_collections import ConfigDict

from rireid_jax.errors import UserError


def trial_configs(config: ConfigDict) -> dict[int, ConfigDict]:
    """The config of each trial's own run, in increasing order; empty for a data set without trials.

    Raises:
      UserError: the recipe asks for another trial than `config.data.splits`.
    """
    trials = tuple(sorted(config.data.splits))
    if not trials:
        return {}
    asked = config.data.recipe.split
    if asked and trials != (asked,):
        raise UserError(
            f"config.data.recipe.split: found {asked}, expected 0; choose trials by "
            f"--config.data.splits='({asked},)'"
        )
    configs = {}
    for trial in trials:
        configs[trial] = config.copy_and_resolve_references()
        configs[trial].data.splits = (trial,)
        configs[trial].data.recipe.split = trial
    return configs
