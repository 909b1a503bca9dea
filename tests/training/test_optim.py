"""Optimizers and the learning rate against updates worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rireid_jax.config import base_config
from rireid_jax.training.optim import create_optimizer, learning_rate


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def config(optimizer="sgd", momentum=0.9, weight_decay=0.5):
    config = base_config("pedestrians")
    config.optim.momentum, config.optim.decay_factor = momentum, 0.1
    stage = config.stages.rife
    stage.weight_decay = weight_decay
    stage.optimizer, stage.learning_rate, stage.decay_epochs = optimizer, 0.1, (1,)
    return config


def trajectory(config, gradients, start, steps_per_epoch):
    optimizer, _ = create_optimizer(config, "rife", steps_per_epoch)
    parameter = jnp.asarray(start, jnp.float64)
    state = optimizer.init(parameter)
    values = []
    for gradient in gradients:
        update, state = optimizer.update(jnp.asarray(gradient, jnp.float64), state, parameter)
        parameter = optax.apply_updates(parameter, update)
        values.append(float(parameter))
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
    found = trajectory(config(), [1, 2, 3], 1.0, steps_per_epoch=2)
    np.testing.assert_allclose(found, [first, second, third], rtol=1e-12)


def test_sgd_without_momentum():
    found = trajectory(config(momentum=0.0), [1, 2], 1.0, steps_per_epoch=1)
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
    found = trajectory(config("adam"), [1, -2, 3], 1.0, steps_per_epoch=2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_rate_drops_when_an_epoch_is_complete():
    schedule = learning_rate(0.1, (1, 3), factor=0.5, steps_per_epoch=4)
    found = [float(schedule(step)) for step in range(14)]
    np.testing.assert_allclose(found, [0.1] * 4 + [0.05] * 8 + [0.025] * 2, rtol=1e-12)


def test_two_drops_at_one_epoch_multiply():
    schedule = learning_rate(0.1, (2, 2), factor=0.5, steps_per_epoch=1)
    np.testing.assert_allclose([schedule(1), schedule(2)], [0.1, 0.025], rtol=1e-12)


def test_no_drops():
    schedule = learning_rate(0.1, (), factor=0.5, steps_per_epoch=1)
    np.testing.assert_allclose(schedule(1000), 0.1, rtol=1e-12)


def test_warm_up_rises_linearly_to_the_whole_rate():
    # Two epochs of two steps; the drop after the third is as without it.
    schedule = learning_rate(0.8, (3,), factor=0.5, steps_per_epoch=2, warmup_epochs=2)
    found = [float(schedule(step)) for step in range(8)]
    np.testing.assert_allclose(found, [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.4, 0.4], rtol=1e-12)


def test_warm_up_of_the_stage():
    warm = config(momentum=0.0, weight_decay=0.0)
    warm.stages.rife.warmup_epochs = 1
    found = trajectory(warm, [1, 1, 1], 1.0, steps_per_epoch=2)
    np.testing.assert_allclose(found, [1 - 0.05, 1 - 0.15, 1 - 0.16], rtol=1e-8)


def test_schedule_of_the_stage_is_the_optimizers():
    _, schedule = create_optimizer(config(), "rife", steps_per_epoch=2)
    np.testing.assert_allclose([schedule(1), schedule(2)], [0.1, 0.01], rtol=1e-12)


def test_super_resolution_has_a_rate_of_its_own():
    with_rate = config(momentum=0.0, weight_decay=0.0)
    with_rate.stages.rife.super_resolution_rate = 0.25
    optimizer, _ = create_optimizer(with_rate, "rife", steps_per_epoch=1)
    parameters = {"super_resolution": {"w": jnp.ones(2)}, "extractor": {"w": jnp.ones(2)}}
    updates, _ = optimizer.update(parameters, optimizer.init(parameters), parameters)
    np.testing.assert_allclose(updates["super_resolution"]["w"], -0.1 * 0.25, rtol=1e-12)
    np.testing.assert_allclose(updates["extractor"]["w"], -0.1, rtol=1e-12)
