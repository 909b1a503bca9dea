"""The losses, one function each; one value per example, unreduced.

The paper's are named by their equations. It sums over pixels and examples; these are means over pixels, because
a sum over 10^5 pixels would drown the other terms of Eq. 4 at the paper's weights.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def ffsr_loss(
    restored: Float[Array, "B H W 3"],
    target: Float[Array, "B H W 3"],
    mask: Float[Array, "#B H W"],
) -> Float[Array, " B"]:
    """Eq. 5: |M * (I^r' - I^h)|^2, as a mean over pixels and channels.

    Args:
      restored: I^r', normalised.
      target: I^h, the high-resolution original, normalised.
      mask: M in [0, 1]; ones give the plain MSE.
    """
    return jnp.square(mask[..., None] * (restored - target)).mean((1, 2, 3))


def resolution_loss(
    gates: Float[Array, "B T 2"], resolution: Float[Array, " B"]
) -> Float[Array, "B T"]:
    """Eq. 7 of every dual-stream block t: (wL - (1 - r))^2 + (wH - r)^2.

    Args:
      gates: (wL, wH) of the T blocks.
      resolution: r in (0, 1].
    """
    r = resolution[:, None]
    return jnp.square(gates[..., 0] - (1 - r)) + jnp.square(gates[..., 1] - r)


def identity_loss(
    logits: Float[Array, "B N"], label: Int[Array, " B"], smoothing: float = 0.0
) -> Float[Array, " B"]:
    """Eq. 8: cross-entropy of FC(f) with the identity's label in [0, N).

    Args:
      logits: FC(f).
      label: of the identity.
      smoothing: epsilon of label smoothing (Szegedy et al. 2016): the share of the label's probability that is
        spread evenly over all N identities. The paper has none.
    """
    right = optax.losses.softmax_cross_entropy_with_integer_labels(logits, label)
    if not smoothing:
        return right
    of_all = jax.nn.logsumexp(logits, axis=-1) - logits.mean(-1)
    return (1 - smoothing) * right + smoothing * of_all


def triplet_loss(
    feature: Float[Array, "B D"], label: Int[Array, " B"], margin: float, axis_name: str | None
) -> Float[Array, " B"]:
    """Batch-hard triplet loss (Hermans et al. 2017): [margin + |a - p| - |a - n|]+ for every example a.

    p is the farthest of the others of the same identity, n the nearest of another identity, both out of the global
    batch. An example without the one or the other has no triplet, and loss 0.

    Args:
      feature: what is compared, by Euclidean distance; of this device's examples.
      label: of the identity.
      margin: in units of that distance.
      axis_name: the mapped axis of devices, or None.
    """
    others, other_label, number = feature, label, jnp.arange(len(label))
    if axis_name is not None:
        others = jax.lax.all_gather(feature, axis_name, tiled=True)
        other_label = jax.lax.all_gather(label, axis_name, tiled=True)
        number += jax.lax.axis_index(axis_name) * len(label)
    same = label[:, None] == other_label
    positive = same & (number[:, None] != jnp.arange(len(other_label)))

    # Which are the hardest is no matter of gradients. Products need little memory, but only differences are exact
    # where features are near, so the distances that count are computed again.
    a, b = jax.lax.stop_gradient((feature, others))
    products = jnp.matmul(a, b.T, precision="highest")
    squared = jnp.square(a).sum(-1)[:, None] + jnp.square(b).sum(-1) - 2 * products
    farthest = jnp.where(positive, squared, -jnp.inf).argmax(-1)
    nearest = jnp.where(same, jnp.inf, squared).argmin(-1)
    loss = margin + _distance(feature, others[farthest]) - _distance(feature, others[nearest])
    exists = positive.any(-1) & ~same.all(-1)
    return jnp.where(exists, jax.nn.relu(loss), 0)


def _distance(a: Float[Array, "B D"], b: Float[Array, "B D"]) -> Float[Array, " B"]:
    """Euclidean; of equal features it is 0, and so is its gradient."""
    squared = jnp.square(a - b).sum(-1)
    apart = squared > 0
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1)), 0)


def rife_loss(
    identity: Float[Array, " B"], resolution: Float[Array, "B T"], beta: float
) -> Float[Array, " B"]:
    """Eq. 9: L^X + beta * sum over t of L_t^R."""
    return identity + beta * resolution.sum(-1)


def total_loss(
    ffsr: Float[Array, " B"], rife: Float[Array, " B"], sr_weight: float, alpha: float
) -> Float[Array, " B"]:
    """Eq. 4: L^FFSR + alpha * L^RIFE, with a weight on the first term too.

    The paper's is 1; 0 leaves super-resolution out, which makes stage 2 of section 5.2.
    """
    return sr_weight * ffsr + alpha * rife


def per_valid_example(
    loss: Float[Array, " B"], valid: Float[Array, " B"], axis_name: str | None
) -> Float[Array, " B"]:
    """Re-weighs a loss so that its plain mean over the batch is the mean over the valid examples.

    An image without a high-resolution counterpart has no super-resolution loss. The count of valid examples
    is the global batch's, so that the result does not depend on how examples fall on devices.

    Args:
      loss: one value per example of this device.
      valid: 1 where the loss counts, else 0.
      axis_name: the mapped axis of devices, or None.
    """
    fraction = valid.mean()
    if axis_name is not None:
        fraction = jax.lax.pmean(fraction, axis_name)
    # A where, not a product: an invalid example's loss may be anything, also not finite.
    counted = jnp.where(valid > 0, loss * valid, 0)
    return counted / jnp.where(fraction > 0, fraction, 1)
