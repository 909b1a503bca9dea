"""Optimizers, one file each.

An optimizer is registered in `components.OPTIMIZERS` as a class with its `OPTIONS` and `create(options, schedule)`,
which returns an Optax transformation. The config section of every optimizer also has "rate" and "weight_decay".
"""
