"""Eq. 5, 7 and 8, label smoothing and the triplet loss against numbers worked by hand, and their derivatives.

Eq. 4 and 9 are the sum in the step: test_step.py. Triplets and the count of valid examples
are of the whole batch, not of one device's part.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

from rireid_jax.models.rife import fuse
from rireid_jax.training.losses.identity import identity_loss
from rireid_jax.training.losses.resolution import resolution_loss
from rireid_jax.training.losses.restoration import ffsr_loss
from rireid_jax.training.losses.triplet import triplet_loss
from rireid_jax.training.masks.gaussian import gaussian_mask
from rireid_jax.training.terms import per_valid_example

pytestmark = pytest.mark.usefixtures("float64")


def array(*values):
    return jnp.asarray(values, jnp.float64)


def random(*shape):
    return jnp.asarray(np.random.default_rng(shape).standard_normal(shape))


def pixels(*values):
    """One image of one row, grey."""
    return jnp.repeat(array(*values)[None, :, None], 3, -1)


def test_eq5_by_hand():
    # Two images of two pixels; differences (2, 4) and (-1, 0); the mask halves the second pixel.
    restored = jnp.stack([pixels(3, 5), pixels(0, 7)])
    target = jnp.stack([pixels(1, 1), pixels(1, 7)])
    mask = array([1, 0.5])
    first = ((1 * 2) ** 2 + (0.5 * 4) ** 2) / 2
    second = ((1 * -1) ** 2 + 0) / 2
    np.testing.assert_allclose(ffsr_loss(restored, target, mask[None]), [first, second])
    # A mask for each image; of ones it is the mean squared error, of zeros nothing is left.
    masks = jnp.stack([jnp.ones((1, 2)), jnp.zeros((1, 2))])
    np.testing.assert_allclose(ffsr_loss(restored, target, masks), [(4 + 16) / 2, 0])
    # It is a mean over channels.
    restored = jnp.zeros((1, 1, 1, 3)).at[0, 0, 0, 1].set(6)
    found = ffsr_loss(restored, jnp.zeros((1, 1, 1, 3)), jnp.ones((1, 1, 1)))
    np.testing.assert_allclose(found, [36 / 3])


def test_gaussian_mask_by_hand():
    # 3 x 5, sigma 1/3 and 2/5: one and two pixels; the centre is pixel (1, 2).
    mask = gaussian_mask(3, 5, (1 / 3, 2 / 5))
    assert mask.dtype == np.float32
    found = [mask[1, 2], mask[0, 2], mask[1, 0], mask[2, 3]]
    np.testing.assert_allclose(found, np.exp([0, -1 / 2, -1 / 2, -1 / 2 - 1 / 8]), rtol=1e-6)
    # 2 x 4, the same sigmas in pixels: the centre is between pixels.
    mask = gaussian_mask(2, 4, (1 / 2, 1 / 2))
    row = np.exp([-9 / 32, -1 / 32, -1 / 32, -9 / 32])
    np.testing.assert_allclose(mask, np.exp(-1 / 8) * np.stack([row, row]), rtol=1e-6)


def test_eq7_by_hand():
    # r = 0.25: wL should be 0.75, wH 0.25.
    gates = array([[0.75, 0.25], [0.5, 1.0]], [[0.0, 0.0], [1.0, 1.0]])
    found = resolution_loss(gates, array(0.25, 1.0))
    expected = [
        [0, 0.25**2 + 0.75**2],
        [0 + 1, 1 + 0],
    ]
    np.testing.assert_allclose(found, expected)
    assert resolution_loss(jnp.zeros((3, 0, 2)), jnp.ones(3)).shape == (3, 0)


def test_eq8_by_hand():
    # softmax of (0, ln 2, ln 5) is (1, 2, 5) / 8.
    logits = jnp.log(array([1, 2, 5], [1, 2, 5], [1, 1, 1]))
    found = identity_loss(logits, jnp.array([1, 2, 0]))
    np.testing.assert_allclose(found, [np.log(8 / 2), np.log(8 / 5), np.log(3)])
    # The logits' common level does not matter, however large.
    np.testing.assert_allclose(identity_loss(logits + 1e4, jnp.array([1, 2, 0])), found)


def test_label_smoothing_by_hand():
    # 0.7 of the probability is the label's, 0.1 each identity's, whose cross-entropies are ln 8, ln 4 and ln 8/5.
    logits = jnp.log(array([1, 2, 5]))
    found = identity_loss(logits, jnp.array([1]), smoothing=0.3)
    expected = 0.7 * np.log(4) + 0.1 * (np.log(8) + np.log(4) + np.log(8 / 5))
    np.testing.assert_allclose(found, [expected])
    np.testing.assert_allclose(identity_loss(logits + 1e4, jnp.array([1]), 0.3), found)


# On a line: two identities at 0, 1, 5 and 2, 9; and one image of a third, far away.
LINE, WHO = np.array([0.0, 1, 5, 2, 9, 40]), np.array([0, 0, 0, 1, 1, 2])


def test_triplet_loss_by_hand():
    found = triplet_loss(jnp.stack([array(*LINE), 0 * array(*LINE)], -1), jnp.array(WHO), 0.5, None)
    # Farthest of the same, nearest of the others: (5, 2), (4, 1), (5, 3), (7, 1), (7, 4); nobody is like the last.
    np.testing.assert_allclose(found, [3.5, 3.5, 2.5, 6.5, 3.5, 0])
    # With the margin -3.25 two of them are satisfied.
    found = triplet_loss(array(*LINE)[:, None], jnp.array(WHO), -3.25, None)
    np.testing.assert_allclose(found, [0, 0, 0, 2.75, 0, 0])
    # Of one identity there are none.
    found = triplet_loss(array(*LINE)[:, None], jnp.array(0 * WHO), 0.3, None)
    np.testing.assert_array_equal(found, np.zeros(6))


def test_equal_features_have_a_gradient():
    # Two images of an identity may be one and the same, and another's may look like them.
    feature, label = jnp.ones((4, 3)), jnp.array([0, 0, 1, 1])
    loss, gradient = jax.value_and_grad(lambda x: triplet_loss(x, label, 0.3, None).mean())(feature)
    np.testing.assert_allclose(loss, 0.3)
    np.testing.assert_array_equal(gradient, np.zeros((4, 3)))


def test_triplet_loss_is_exact_where_features_are_near():
    # In float32 |a|^2 + |b|^2 - 2ab of such features is off by more than the distance.
    feature = 1000 + 1e-2 * jnp.asarray([[0, 0], [3, 4], [0, 1], [0, 9]], jnp.float32)
    found = triplet_loss(feature, jnp.array([0, 0, 1, 1]), 0.0, None)
    assert found.dtype == jnp.float32
    assert float(found[0]) > 0.039


def test_triplets_are_of_the_whole_batch():
    label = jnp.arange(16) * 5 % 16 // 4  # identities lie on several devices
    feature = random(16, 3) + 3.0 * label[:, None]
    mesh = Mesh(np.array(jax.devices()), ("devices",))
    step = jax.shard_map(
        lambda x, y: triplet_loss(x, y, 0.3, "devices"),
        mesh=mesh,
        in_specs=P("devices"),
        out_specs=P("devices"),
    )
    distance = np.linalg.norm(feature[:, None] - feature, axis=-1)
    same = np.asarray(label[:, None] == label)
    expected = np.where(same, distance, -1).max(1) - np.where(same, 1e9, distance).min(1) + 0.3
    assert 0 < (expected > 0).sum() < 16
    found = jax.jit(step)(feature, label)
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-12)
    gradient = jax.grad(lambda x: jax.jit(step)(x, label).mean())(feature)
    whole = jax.grad(lambda x: triplet_loss(x, label, 0.3, None).mean())(feature)
    np.testing.assert_allclose(gradient, whole, rtol=1e-10, atol=1e-14)


def test_derivatives():
    label, resolution, mask = jnp.array([2, 0]), array(0.3, 1.0), jnp.abs(random(2, 4, 3))
    cases = [
        (lambda a, b: ffsr_loss(a, b, mask), (random(2, 4, 3, 3), 2 * random(2, 4, 3, 3))),
        (lambda gates: resolution_loss(gates, resolution), (random(2, 4, 2),)),
        (lambda logits: identity_loss(logits, label), (random(2, 5),)),
        (lambda logits: identity_loss(logits, label, 0.1), (random(2, 5),)),
        (lambda x: triplet_loss(x, jnp.array(WHO), 0.3, None), (random(6, 3),)),
        (fuse, (random(2, 3, 2, 4), random(2, 3, 2, 4), random(2, 2))),
        (lambda x: per_valid_example(x, array(1, 0, 1), None), (random(3),)),
    ]
    for function, arguments in cases:
        check_grads(jax.jit(function), arguments, order=1, atol=1e-6, rtol=1e-6)


def test_mean_over_valid_examples():
    loss, valid = array(2, 7, 4, 9), array(1, 0, 1, 0)
    np.testing.assert_allclose(per_valid_example(loss, valid, None).mean(), (2 + 4) / 2)
    np.testing.assert_allclose(per_valid_example(loss, valid * 0, None), np.zeros(4))
    np.testing.assert_allclose(per_valid_example(loss, valid * 0 + 1, None), loss)
    # An invalid example may have any loss.
    loss = array(2, np.nan, 4, np.inf)
    np.testing.assert_allclose(per_valid_example(loss, valid, None).mean(), 3)
    gradient = jax.grad(lambda x: per_valid_example(x, valid, None).mean())(loss)
    np.testing.assert_allclose(gradient, [1 / 2, 0, 1 / 2, 0])


def test_devices_share_the_count_of_valid_examples():
    # Devices have 2, 1, 0 and 0 valid examples of 2: the mean is over the three.
    loss = jnp.arange(1.0, 9)
    valid = array(1, 1, 0, 1, 0, 0, 0, 0)
    mesh = Mesh(np.array(jax.devices()[:4]), ("devices",))
    step = jax.shard_map(
        lambda x, v: per_valid_example(x, v, "devices"),
        mesh=mesh,
        in_specs=P("devices"),
        out_specs=P("devices"),
    )
    np.testing.assert_allclose(jax.jit(step)(loss, valid).mean(), (1 + 2 + 4) / 3)
