"""Learning-rate schedules, one file each.

A schedule is registered in `components.SCHEDULES` as a class with its `OPTIONS` and `create(options, rate,
steps_per_epoch, epochs)`, which returns a function from the number of completed steps to the learning rate.
"""
