"""The ladder: what is compared, from the layer to whole training runs. Each rung gives its largest error."""

from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from evaluation.ranking_oracle import metrics, rank_queries
from torch_reference import losses as their_losses

from rireid_jax.evaluation import rank
from rireid_jax.models import layers
from rireid_jax.models.network import infer
from rireid_jax.training.losses.identity import identity_loss
from rireid_jax.training.losses.resolution import resolution_loss
from rireid_jax.training.losses.restoration import ffsr_loss
from rireid_jax.training.masks.gaussian import gaussian_mask
from rireid_jax.training.masks.released import released_mask
from rireid_jax.training.terms import per_valid_example

from .narrow import STAGES
from .pairs import from_torch, make_pair, norm_error, quick_jit, relative_error, to_torch
from .training import run

HEIGHT, WIDTH = 64, 32
IMAGES, QUERIES = 40, 15


def _normal(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# Parts

# (kernel, stride, padding, features) of 4 channels: each way that `Conv` has of computing one, and all that networks
# have. A kernel as large as its stride leaves a remainder of the images.
CONVOLUTIONS = (
    *((1, 1, 0, 6), (1, 2, 0, 6), (1, 1, 1, 6), (2, 2, 0, 6), (3, 3, 0, 6), (3, 3, 1, 6)),
    *((3, 1, 1, 2), (3, 1, 1, 6), (3, 1, 0, 2), (3, 2, 1, 2), (5, 1, 2, 2), (7, 2, 3, 6)),
)
IMAGE_SIZES = (8, 11), (4, 3)  # the second is small enough for products over patches


def layer(dtype: str) -> float:
    """Every kind of layer, and its gradients by its parameters and by what it is applied to."""
    torch.manual_seed(0)
    large, small = (_normal((2, *size, 4), dtype) for size in IMAGE_SIZES)
    negative = -1 - np.abs(large)  # a zero of a padding would be the maximum
    cases: list[tuple[Any, torch.nn.Module, np.ndarray, tuple[int, ...]]] = []
    for (kernel, stride, padding, features), x in product(CONVOLUTIONS, (large, small)):
        for bias in (True, False):
            theirs = torch.nn.Conv2d(4, features, kernel, stride, padding, bias=bias)
            ours = layers.Conv(features, kernel, stride, padding, bias, dtype=dtype)
            cases.append((ours.apply, theirs, x, (2, 3, 1, 0)))
    for kernel in (2, 3):
        up = torch.nn.ConvTranspose2d(4, 6, kernel, stride=kernel)
        cases.append((layers.UpConv(6, kernel, dtype).apply, up, large, (2, 3, 0, 1)))
    cases.append(
        (layers.Dense(6, dtype=dtype).apply, torch.nn.Linear(4, 6), large[:, 0, 0], (1, 0))
    )
    for height in (8, 7):
        pool = torch.nn.MaxPool2d(3, 2, 1)
        cases.append((lambda _, x: layers.max_pool(x), pool, negative[:, :height], ()))
    average = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    cases.append((lambda _, x: layers.global_average_pool(x), average, large, ()))

    expected = [_their_gradients(theirs, x, axes) for _, theirs, x, axes in cases]

    def all_of_them(params: Any, xs: Any, weights: Any) -> Any:
        found = []
        for (ours, *_), own, x, weight in zip(cases, params, xs, weights, strict=True):
            y, pull = jax.vjp(ours, {"params": own}, x)
            by_params, by_x = pull(weight)
            found.append((y, by_params["params"], by_x))
        return found

    # In one program: to compile each on its own takes a minute.
    found = quick_jit(all_of_them)(
        [_arrays(theirs, axes, lambda p: p) for _, theirs, _, axes in cases],
        [x for *_, x, _ in cases],
        [_normal(y.shape, dtype, seed=1) for y, _, _ in expected],
    )
    return relative_error(found, expected)


def _their_gradients(theirs: torch.nn.Module, x: np.ndarray, axes: tuple[int, ...]) -> Any:
    """A layer's output, and the gradients of a weighted sum of it by parameters and by x."""
    theirs.to(torch.from_numpy(x).dtype)
    there, back = (to_torch, from_torch) if x.ndim == 4 else (torch.from_numpy, _numpy)
    their_x = there(x).requires_grad_()
    y = theirs(their_x)
    ours_y = from_torch(y) if y.ndim == 4 else _numpy(y)
    weights = _normal(ours_y.shape, str(x.dtype), seed=1)
    y.backward(to_torch(weights) if y.ndim == 4 else torch.from_numpy(weights))
    return ours_y, _arrays(theirs, axes, lambda p: p.grad), back(their_x.grad)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def _arrays(theirs: torch.nn.Module, axes: tuple[int, ...], of: Callable[..., Any]) -> Any:
    """What `of` makes of a layer's parameters, by our names."""
    found = {name: _numpy(of(p)) for name, p in theirs.named_parameters()}
    if "weight" in found:
        found["kernel"] = found.pop("weight").transpose(axes)
    return found


def mask(dtype: str) -> float:
    """The Gaussian mask and the released one with and without its index bug, which are float32 on both sides."""
    ours = (
        gaussian_mask(HEIGHT, WIDTH, (1 / 3, 1 / 3)),
        released_mask(HEIGHT, WIDTH, index_bug=True),
        released_mask(HEIGHT, WIDTH, index_bug=False),
    )
    theirs = (
        their_losses.gaussian_mask(HEIGHT, WIDTH),
        their_losses.released_mask(HEIGHT, WIDTH, index_bug=True),
        their_losses.released_mask(HEIGHT, WIDTH, index_bug=False),
    )
    return relative_error(ours, tuple(mask.numpy() for mask in theirs))


def loss(dtype: str) -> float:
    """Eq. 5, 7 and 8, and the mean over examples that have a target; Eq. 4 and 9 are in the training rungs."""
    restored, target = (_normal((4, 8, 6, 3), dtype, seed) for seed in (0, 1))
    rng = np.random.default_rng(2)
    mask, gates, r = (rng.uniform(size=size).astype(dtype) for size in ((1, 8, 6), (4, 5, 2), (4,)))
    logits, label = 3 * _normal((4, 7), dtype, 3), np.array([0, 6, 2, 2])
    valid = np.array([1, 0, 1, 1])

    sr = ffsr_loss(*map(jnp.asarray, (restored, target, mask)))
    resolution = resolution_loss(jnp.asarray(gates), jnp.asarray(r))
    identity = identity_loss(jnp.asarray(logits), jnp.asarray(label))
    valid_sr = per_valid_example(sr, jnp.asarray(valid.astype(dtype)), None)

    t_mask = torch.from_numpy(mask)[:, None]
    t_sr = their_losses.ffsr_loss(to_torch(restored), to_torch(target), t_mask)
    t_gates = torch.from_numpy(gates)
    t_resolution = their_losses.resolution_loss(
        t_gates[..., 0], t_gates[..., 1], torch.from_numpy(r)
    )
    t_identity = their_losses.identity_loss(torch.from_numpy(logits), torch.from_numpy(label))
    t_valid = their_losses.mean_valid(t_sr, torch.from_numpy(valid > 0))
    return relative_error(
        (sr, resolution, identity, valid_sr.mean()),
        tuple(t.numpy() for t in (t_sr, t_resolution, t_identity, t_valid)),
    )


# Whole networks


@lru_cache
def outputs(variant: str, dtype: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Restored images, features, logits and gates in evaluation mode, of either side."""
    pair = make_pair(variant, dtype)
    x = _normal((IMAGES, HEIGHT, WIDTH, 3), dtype)
    ours = quick_jit(lambda v, x: infer(pair.network, v, x))(pair.variables, x)
    with torch.no_grad():
        restored, theirs = pair.reference.eval()(to_torch(x))
        head = pair.reference.rife.classifier if variant == "paper" else pair.reference.model1.fc
        gates = torch.stack([theirs.weight_low, theirs.weight_high], dim=-1)
        expected = from_torch(restored), theirs.feature.numpy(), head(theirs.feature), gates
    return (ours.restored, ours.feature, ours.logits, ours.gates), expected


def network(dtype: str) -> float:
    """Both variants from the image to the restored image, features, logits and gates."""
    return max(relative_error(*outputs(variant, dtype)) for variant in STAGES)


def ranking(dtype: str) -> float:
    """CMC, mAP and mINP of PyTorch's features by their definition, of ours by our code: the largest difference."""
    rng = np.random.default_rng(0)
    pids, camids = rng.integers(0, 4, IMAGES), rng.integers(0, 3, IMAGES)
    labels = (pids[:QUERIES], pids[QUERIES:], camids[:QUERIES], camids[QUERIES:])
    errors = []
    for variant in STAGES:
        ours, theirs = (np.asarray(side[1]) for side in outputs(variant, dtype))
        with jax.enable_x64(False):  # features are ranked in float32
            our_rates = rank(ours[:QUERIES], ours[QUERIES:], *labels)
        their_rates = metrics(rank_queries(theirs[:QUERIES], theirs[QUERIES:], *labels))
        errors += [abs(our_rates[name] - rate) for name, rate in their_rates.items()]
    return max(errors)


def _training(part: str) -> Callable[[str], float]:
    """The rung that compares a part of `Run`.

    In float32 a sum that is within rounding of zero may pass a ReLU on one side only, and gradients differ by
    leaps in single arrays. Then all arrays are measured together; in float64 each is held to its own scale.
    """

    def rung(dtype: str) -> float:
        error = relative_error if dtype == "float64" else norm_error
        return max(error(*getattr(run(variant, dtype), part)) for variant in STAGES)

    return rung


class Rung(NamedTuple):
    """A comparison.

    Attributes:
      measure: gives the largest relative error, of rates the largest difference, in a precision.
      limit: the most that it may be in float64.
    """

    measure: Callable[[str], float]
    limit: float = 1e-12


# By what they share: what stands together is computed once. A gradient that cancels to almost nothing has the
# error of what it cancels from, and Adam enlarges it by dividing.
RUNGS: dict[str, dict[str, Rung]] = {
    "parts": {
        "layers and their gradients": Rung(layer),
        "masks": Rung(mask),
        "losses": Rung(loss),
    },
    "networks": {
        "FFSR and RIFE": Rung(network),
        "ranking": Rung(ranking),
    },
    "training": {
        "gradients of every parameter": Rung(_training("gradients"), 1e-11),
        "one step": Rung(_training("one_step"), 1e-11),
        "20 steps, learning rate drop half-way": Rung(_training("all_steps"), 1e-11),
        "losses of these steps": Rung(_training("losses")),
    },
}


def measure(rung: Rung, dtype: str) -> float:
    """The largest error of a rung in "float64" or "float32"."""
    with jax.enable_x64(dtype == "float64"):
        return rung.measure(dtype)
