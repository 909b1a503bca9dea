"""Optimizers, one file each.

An optimizer is registered in `components.OPTIMIZERS` as a class with its `OPTIONS` and `create(options, schedule)`,
which returns an Optax transformation. Every optimizer has "rate" and "weight_decay" in its section of the config.
"""
