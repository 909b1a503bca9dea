"""The commands of `rireid` that are not modes of `python -m rireid_jax.main`, one file each.

A command is registered in `components.COMMANDS` as a class with `SUMMARY` (one line for `rireid --help`), `EXAMPLE` (a
whole command line), `add_arguments(parser)` for an `argparse.ArgumentParser`, and `run(arguments)`, which raises
UserError for a user's mistake. `run` imports what is heavy: `--help` needs neither JAX nor checkpoints.
"""
