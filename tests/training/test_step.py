"""The train step of every stage: what it minimises, what it updates, and what it leaves alone."""

import re
from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_training import (
    IMAGE_SIZE,
    SmallExtractor,
    Step,
    initial_state,
    leaves,
    one_step,
    random_batch,
    random_variables,
    small_config,
    step_function,
)

from rireid_jax.components import MASKS
from rireid_jax.models.ffsr import FFSR
from rireid_jax.models.interfaces import SuperResolution
from rireid_jax.models.network import Network
from rireid_jax.models.pixels import DEVIATION, MEAN
from rireid_jax.training.losses.restoration import measure_psnr
from rireid_jax.training.masks.gaussian import gaussian_mask
from rireid_jax.training.masks.released import released_mask
from rireid_jax.training.state import create_state
from rireid_jax.training.step import make_train_step
from rireid_jax.training.terms import mean_over_steps

pytestmark = pytest.mark.usefixtures("float64")
STAGES = ("ffsr", "joint")


@cache
def case_of(name):
    """(the stage's config, its step): of a stage, or with one of two small modules frozen."""
    config = small_config("float64")
    if name in STAGES:
        return config.stages[name], one_step(config, name)
    spec = config.stages.baseline
    # FFSR also learns from the loss of an extractor that it cannot change.
    spec.train = ("extractor",) if name == "frozen_ffsr" else ("super_resolution",)
    network = Network(FFSR(0.0625, jnp.float64), SmallExtractor())
    optimizer = optax.sgd(0.1, momentum=0.9)
    before = create_state(random_variables(network), optimizer, spec.train)
    step = jax.jit(make_train_step(config, "baseline", network, optimizer))
    after, metrics = step(before, random_batch(0))
    return spec, Step(before, after, jax.tree.map(float, metrics))


@pytest.fixture(params=[*STAGES, "frozen_ffsr", "frozen_extractor"])
def case(request):
    return case_of(request.param)


def test_what_trains_moves_by_its_gradient_and_what_is_frozen_does_not(case):
    # After one step momentum is the gradient plus the weight's decay, which is not what is looked for.
    spec, step = case
    momentum = leaves(step.after.opt_state)
    assert set(spec.train) <= set(step.before.params)
    for module in step.before.params:
        after = leaves(step.after.params[module])
        for name, old in leaves(step.before.params[module]).items():
            if module not in spec.train:
                np.testing.assert_array_equal(old, after[name], err_msg=f"{module}/{name}")
                continue
            assert (old != after[name]).any(), f"{module}/{name} did not move"
            assert np.isfinite(after[name]).all()
            place = f"trace/{module}/{name}"
            (found,) = (value for path, value in momentum.items() if path.endswith(place))
            assert np.abs(found - 5e-4 * old).max() > 1e-12, f"{module}/{name}"
    for module in step.before.batch_stats:  # running statistics follow what trains
        after = leaves(step.after.batch_stats[module])
        for name, old in leaves(step.before.batch_stats[module]).items():
            assert (old != after[name]).any() == (module in spec.train), f"{module}/{name}"


def test_nothing_else_is_kept_or_changes_its_type(case):
    spec, step = case
    size = sum(
        leaf.size for name in spec.train for leaf in jax.tree.leaves(step.before.params[name])
    )
    momentum = [leaf for path, leaf in leaves(step.after.opt_state).items() if "trace" in path]
    assert sum(leaf.size for leaf in momentum) == size
    assert (int(step.before.step), int(step.after.step)) == (0, 1)
    assert jax.tree.structure(step.before) == jax.tree.structure(step.after)
    pairs = zip(jax.tree.leaves(step.before), jax.tree.leaves(step.after), strict=True)
    assert all((old.shape, old.dtype) == (new.shape, new.dtype) for old, new in pairs)


def test_loss_is_the_sum_of_its_parts(case):
    spec, step = case
    weights, metrics = {name: own.weight for name, own in spec.losses.items()}, step.metrics
    assert ("ffsr_loss" in metrics) == (weights["restoration"] > 0)
    assert ("identity_loss" in metrics) == ("accuracy" in metrics) == (weights["identity"] > 0)
    assert ("resolution_loss" in metrics) == (spec.extractor == "rife")
    # Eq. 9 in Eq. 4, with beta 0.1 and alpha 1.
    rife = metrics.get("identity_loss", 0.0) + 0.1 * metrics.get("resolution_loss", 0.0)
    loss = weights["restoration"] * metrics.get("ffsr_loss", 0.0) + rife
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-12)
    assert metrics["gradient_norm"] > 0


def test_bfloat16_is_near_float64():
    step, (_, exact) = one_step(small_config("bfloat16"), "ffsr"), case_of("ffsr")
    relative = abs(step.metrics["loss"] / exact.metrics["loss"] - 1)
    assert 0 < relative < 0.01  # 0 would be float64 again
    old, new, best = (leaves(s.params) for s in (step.before, step.after, exact.after))
    moved = np.concatenate([(new[name] - old[name]).ravel() for name in new])
    wanted = np.concatenate([(best[name] - old[name]).ravel() for name in new])
    assert moved @ wanted > 0.99 * np.linalg.norm(moved) * np.linalg.norm(wanted)


def test_bfloat16_is_of_activations_alone():
    config = small_config("bfloat16")
    before, step = initial_state(config, "joint"), step_function(config, "joint")
    jaxpr, (after, metrics) = jax.make_jaxpr(step, return_shape=True)(before, random_batch(0))
    floats = {leaf.dtype for leaf in jax.tree.leaves((before, after, metrics))}
    assert floats - {jnp.dtype(jnp.int32)} == {jnp.dtype(jnp.float32)}
    assert re.search(r"bf16\[.*\] = conv_general_dilated", str(jaxpr))


class Brighten(SuperResolution):
    """The least that restores: adds one number to every pixel."""

    @nn.compact
    def __call__(self, image):
        return image + self.param("by", nn.initializers.zeros, (), jnp.float64)


def brighten(mask, batch, low_only=False):
    """(metrics, gradient with respect to the number) of a step from the bilinear image as it is."""
    config = small_config("float64")
    restoration = config.stages.ffsr.losses.restoration
    restoration.low_only = low_only
    restoration.mask.update(name=mask, sigma=(1 / 4, 1 / 2))
    network, optimizer = Network(Brighten(), None), optax.sgd(1.0)
    variables = {"params": {"super_resolution": {"by": jnp.zeros(())}}, "batch_stats": {}}
    state = create_state(variables, optimizer, ("super_resolution",))
    state, metrics = jax.jit(make_train_step(config, "ffsr", network, optimizer))(state, batch)
    return metrics, -float(state.params["super_resolution"]["by"])


@pytest.mark.parametrize("mask", list(MASKS))
def test_masked_error_of_the_bilinear_image(mask):
    batch = random_batch(1)
    weights = {
        "none": np.ones((1, *IMAGE_SIZE)),
        "gaussian": gaussian_mask(*IMAGE_SIZE, (1 / 4, 1 / 2))[None],
        "segmentation": batch["mask"] / 255,
        "released": released_mask(*IMAGE_SIZE, index_bug=True)[None],
        "released_fixed": released_mask(*IMAGE_SIZE, index_bug=False)[None],
    }[mask]
    valid = batch["has_target"] > 0
    assert 0 < valid.sum() < len(valid)
    error = (batch["image"].astype(np.float64) - batch["target"]) / 255 / DEVIATION
    loss = (weights[..., None] ** 2 * error**2).mean((1, 2, 3))[valid].mean()
    gradient = (weights[..., None] ** 2 * 2 * error).mean((1, 2, 3))[valid].mean()

    metrics, found = brighten(mask, batch)
    np.testing.assert_allclose(metrics["ffsr_loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(found, gradient, rtol=1e-4)
    np.testing.assert_allclose(metrics["gradient_norm"], abs(gradient), rtol=1e-4)


def test_low_images_alone():
    """SING: an image that is its own original has no error of restoration, though the network changes it."""
    batch = random_batch(1)
    own = np.arange(len(batch["image"])) % 2 == 0
    batch["target"][own] = batch["image"][own]
    counted = (batch["has_target"] > 0) & ~own
    assert 0 < counted.sum() < (batch["has_target"] > 0).sum()
    error = (batch["image"].astype(np.float64) - batch["target"]) / 255 / DEVIATION
    mean = (error**2).mean((1, 2, 3))[counted].mean()
    metrics, _ = brighten("none", batch, low_only=True)
    np.testing.assert_allclose(metrics["ffsr_loss"], mean, rtol=1e-5)
    whole, _ = brighten("none", batch)
    assert whole["ffsr_loss"] < metrics["ffsr_loss"]


def test_nothing_to_restore_is_no_loss():
    for nothing in ("mask", "has_target"):
        batch = random_batch(0)
        batch[nothing] = np.zeros_like(batch[nothing])
        metrics, gradient = brighten("segmentation", batch)
        assert metrics["loss"] == metrics["gradient_norm"] == gradient == 0


def hand_worked_batch():
    """Restored images, and a batch whose bilinear images are off by 0.2 = 51 / 255, where they are not the original."""
    target = np.full((4, 2, 4, 3), 102, np.uint8)
    image = target + 51
    image[1] = target[1]  # its own original
    mask = np.full((4, 2, 4), 255, np.uint8)
    mask[0, :, 2:] = 0
    error = np.full((4, 2, 4, 3), 0.1)
    error[0, :, 2:] = 0.3
    error[2] = np.nan  # it has no target
    restored = jnp.asarray((target / 255 + error - MEAN) / DEVIATION)
    has_target = np.array([1, 1, 0, 1], np.float32)
    arrays = {"image": image, "target": target, "mask": mask, "has_target": has_target}
    return restored, {name: jnp.asarray(array) for name, array in arrays.items()}


def test_psnr_of_restored_training_images():
    metrics = measure_psnr(*hand_worked_batch())
    first = -10 * np.log10((0.1**2 + 0.3**2) / 2)  # 13.01 dB; its masked left half has 20
    bilinear = -10 * np.log10(0.2**2)
    expected = {
        "psnr": ((first + 20) / 2, 2),
        "psnr_bilinear": (bilinear, 2),
        "psnr_foreground": (20, 1),
        "psnr_foreground_bilinear": (bilinear, 1),
    }
    assert metrics.keys() == expected.keys()
    for name, (mean, count) in expected.items():
        assert mean_over_steps([metrics[name]]) == pytest.approx(mean, rel=1e-6), name
        assert float(metrics[name].number) == count / 4


def test_psnr_of_steps_is_the_mean_over_their_images():
    restored, batch = hand_worked_batch()
    nothing = measure_psnr(restored, batch | {"has_target": batch["has_target"] * 0})
    whole = measure_psnr(restored, batch)
    last = measure_psnr(restored, batch | {"has_target": jnp.array([0.0, 0, 0, 1])})
    assert mean_over_steps([nothing["psnr"]] * 2) is None
    first = -10 * np.log10(0.05)
    found = mean_over_steps([nothing["psnr"], whole["psnr"], last["psnr"]])
    assert found == pytest.approx((first + 20 + 20) / 3, rel=1e-6)
    assert mean_over_steps([np.array(1.0), np.array(2.0)]) == 1.5


def test_a_mask_without_area_has_no_psnr():
    restored, batch = hand_worked_batch()
    metrics = measure_psnr(restored, batch | {"mask": batch["mask"] * 0})
    assert mean_over_steps([metrics["psnr_foreground"]]) is None
    assert mean_over_steps([metrics["psnr"]]) is not None
