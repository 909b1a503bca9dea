"""Optimizers and schedules against updates worked by hand."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from rireid_jax.config import stage_config
from rireid_jax.training.optimizer import create_optimizer

pytestmark = pytest.mark.usefixtures("float64")


def created(steps_per_epoch, schedule=(), sgd=(), **modules):
    """The optimizer and schedules of a stage; the rate is 0.1 where nothing else is said."""
    optimizer = {"extractor": dict(rate=0.1, weight_decay=0.0, momentum=0.0) | dict(sgd), **modules}
    stage = stage_config(
        extractor="rife",
        train=tuple(optimizer),
        optimizer=optimizer,
        schedule=dict(schedule),
        epochs=4,
    )
    return create_optimizer(ConfigDict({"stages": {"own": stage}}), "own", steps_per_epoch)


def trajectory(gradients, steps_per_epoch=2, **sgd):
    """The values of a parameter that starts at 1."""
    optimizer, _ = created(steps_per_epoch, {"decay_epochs": (1,)}, sgd)
    parameters = {"extractor": jnp.asarray(1.0)}
    state, values = optimizer.init(parameters), []
    for gradient in gradients:
        update, state = optimizer.update(
            {"extractor": jnp.asarray(float(gradient))}, state, parameters
        )
        parameters = optax.apply_updates(parameters, update)
        values.append(float(parameters["extractor"]))
    return values


def test_sgd_with_momentum_and_weight_decay():
    # p = 1, gradients 1, 2, 3, weight decay 1/2, momentum 0.9; the rate drops after the epoch's two steps.
    velocity = 1 + 0.5 * 1  # 1.5
    first = 1 - 0.1 * velocity
    velocity = 0.9 * velocity + (2 + 0.5 * first)  # 3.775
    second = first - 0.1 * velocity
    velocity = 0.9 * velocity + (3 + 0.5 * second)  # 6.63375
    third = second - 0.01 * velocity
    np.testing.assert_allclose([first, second, third], [0.85, 0.4725, 0.4061625], rtol=1e-12)
    found = trajectory([1, 2, 3], weight_decay=0.5, momentum=0.9)
    np.testing.assert_allclose(found, [first, second, third], rtol=1e-12)
    found = trajectory([1, 2], steps_per_epoch=1, weight_decay=0.5)  # without momentum
    np.testing.assert_allclose(found, [0.85, 0.85 - 0.01 * (2 + 0.5 * 0.85)], rtol=1e-12)


def test_adam_adds_weight_decay_to_the_gradient():
    first_moment = second_moment = 0.0
    parameter, expected = 1.0, []
    for t, (gradient, rate) in enumerate([(1, 0.1), (-2, 0.1), (3, 0.01)], start=1):
        gradient += 0.5 * parameter
        first_moment = 0.9 * first_moment + 0.1 * gradient
        second_moment = 0.999 * second_moment + 0.001 * gradient**2
        mean, square = first_moment / (1 - 0.9**t), second_moment / (1 - 0.999**t)
        parameter -= rate * mean / (np.sqrt(square) + 1e-8)
        expected.append(parameter)
    # The first step is the rate itself: mean / sqrt(square) is 1.
    assert abs(expected[0] - 0.9) < 1e-8
    np.testing.assert_allclose(
        trajectory([1, -2, 3], name="adam", weight_decay=0.5), expected, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("steps_per_epoch", "schedule", "expected"),
    [
        (1, {}, [0.1] * 4),
        (2, {"decay_epochs": (1, 3), "decay_factor": 0.5}, [0.1] * 2 + [0.05] * 4 + [0.025]),
        # Two drops at one epoch multiply.
        (1, {"decay_epochs": (2, 2)}, [0.1, 0.1, 0.001]),
        # Two epochs of two steps; the drop after the third is as without it.
        (
            2,
            {"warmup_epochs": 2, "decay_epochs": (3,)},
            [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.01],
        ),
        # (1 + cos(pi t / 4)) / 2 of the stage's four epochs.
        (1, {"name": "cosine"}, [0.1, 0.05 + 0.1 / 8**0.5, 0.05, 0.05 - 0.1 / 8**0.5, 0]),
        (
            2,
            {"name": "cosine", "warmup_epochs": 1},
            [0.05, 0.05 * (1 + np.cos(np.pi / 8)), 0.05 * (1 + np.cos(np.pi / 4))],
        ),
    ],
)
def test_rates(steps_per_epoch, schedule, expected):
    _, schedules = created(steps_per_epoch, schedule)
    found = [float(schedules["extractor"](step)) for step in range(len(expected))]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("module", "other"),
    [
        # Differs in the rate alone.
        ("super_resolution", {"rate": 0.025, "weight_decay": 0.0, "momentum": 0.0}),
        ("super_resolution", {"rate": 0.025, "weight_decay": 0.0, "momentum": 0.9}),
        ("super_resolution", {"rate": 0.4, "weight_decay": 0.0, "momentum": 0.0}),
        ("discriminator", {"name": "adam", "rate": 0.025, "weight_decay": 0.0}),
    ],
)
def test_modules_have_rates_of_their_own(module, other):
    optimizer, schedules = created(1, **{module: other})
    parameters = {name: {"w": jnp.ones(2)} for name in (module, "extractor")}
    updates, _ = optimizer.update(parameters, optimizer.init(parameters), parameters)
    for name, rate in ((module, other["rate"]), ("extractor", 0.1)):
        np.testing.assert_allclose(updates[name]["w"], -rate, rtol=1e-7)
        np.testing.assert_allclose(schedules[name](0), rate, rtol=1e-12)


@pytest.mark.parametrize(("name", "momentum"), [("sgd", 0.9), ("adam", 0.0)])
def test_streams_and_gates_have_factors_of_the_rate(name, momentum):
    own = dict(name=name, momentum=momentum, stream_factor=2.0, gate_factor=10.0)
    optimizer, schedules = created(1, sgd=own, super_resolution=dict(rate=0.05, weight_decay=0.0))
    block = {"low": jnp.ones(2), "high": jnp.ones(2), "gate_low": jnp.ones(2)}
    parameters = {
        "super_resolution": {"low": jnp.ones(2)},  # only an extractor has streams
        "extractor": {"stem": jnp.ones(2), "dsb1": block},
    }
    updates, _ = optimizer.update(parameters, optimizer.init(parameters), parameters)
    ours = updates["extractor"]
    # A gradient of 1 moves a parameter by the rate, with Adam too, whose epsilon is 1e-8.
    for update, rate in (
        (updates["super_resolution"]["low"], 0.05),
        (ours["stem"], 0.1),
        (ours["dsb1"]["low"], 0.2),
        (ours["dsb1"]["high"], 0.2),
        (ours["dsb1"]["gate_low"], 1.0),
    ):
        np.testing.assert_allclose(update, -rate, rtol=1e-7)
    assert schedules["extractor"](0) == 0.1
