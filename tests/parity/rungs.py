"""The ladder: what is compared, from the smallest part to whole training runs. Each rung gives its largest error."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch_reference.evaluation
import torch_reference.resnet
from torch_reference import losses as their_losses

from rireid_jax.data.masks import gaussian_mask, released_mask
from rireid_jax.evaluation import rank
from rireid_jax.models import layers
from rireid_jax.models.network import Network, infer
from rireid_jax.models.resnet import ResNet, Stage
from rireid_jax.models.rife import DualStreamBlock
from rireid_jax.training import losses
from rireid_jax.weights.names import AXES, table

from .narrow import STAGES
from .pairs import (
    from_torch,
    make_pair,
    norm_error,
    numpy_state,
    randomise_norms,
    relative_error,
    to_torch,
)
from .training import run

HEIGHT, WIDTH = 64, 32
IMAGES, QUERIES = 40, 15


def _normal(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _apply(module: nn.Module, params: Any, x: np.ndarray, *args: Any) -> Any:
    return module.apply({"params": jax.tree.map(jnp.asarray, params)}, jnp.asarray(x), *args)


# Parts


def layer(dtype: str) -> float:
    """Every kind of layer with every kernel, stride and padding that the networks have."""
    torch.manual_seed(0)
    kind, errors = getattr(torch, dtype), []
    x = _normal((2, 12, 8, 6), dtype)
    for kernel, stride, padding in (
        *((1, 1, 0), (1, 2, 0), (2, 2, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2), (7, 2, 3)),
    ):
        theirs = torch.nn.Conv2d(6, 4, kernel, stride, padding, dtype=kind)
        ours = layers.Conv(4, kernel, stride, padding, dtype=dtype)
        params = {
            "kernel": theirs.weight.detach().numpy().transpose(2, 3, 1, 0),
            "bias": theirs.bias.detach().numpy(),
        }
        errors.append(relative_error(_apply(ours, params, x), from_torch(theirs(to_torch(x)))))
    theirs = torch.nn.ConvTranspose2d(6, 4, 2, stride=2, dtype=kind)
    params = {
        "kernel": theirs.weight.detach().numpy().transpose(2, 3, 0, 1),
        "bias": theirs.bias.detach().numpy(),
    }
    ours = _apply(layers.UpConv(4, dtype=dtype), params, x)
    errors.append(relative_error(ours, from_torch(theirs(to_torch(x)))))
    linear = torch.nn.Linear(6, 4, dtype=kind)
    params = {"kernel": linear.weight.detach().numpy().T, "bias": linear.bias.detach().numpy()}
    flat = x[:, 0, 0]
    ours = _apply(layers.Dense(4, dtype=dtype), params, flat)
    errors.append(relative_error(ours, linear(torch.from_numpy(flat)).detach().numpy()))
    pooled = torch.nn.functional.max_pool2d(to_torch(x), 3, 2, 1)
    errors.append(relative_error(layers.max_pool(jnp.asarray(x)), from_torch(pooled)))
    ours = layers.global_average_pool(jnp.asarray(x))
    errors.append(relative_error(ours, to_torch(x).mean((2, 3)).numpy()))
    return max(errors)


def batch_norm(dtype: str) -> float:
    """Training and evaluation, and the running statistics, on data with a mean of 10."""
    theirs = torch.nn.BatchNorm2d(6, dtype=getattr(torch, dtype))
    randomise_norms(theirs)
    own = numpy_state(theirs)
    variables = {
        "params": {"scale": own["weight"], "bias": own["bias"]},
        "batch_stats": {"mean": own["running_mean"], "var": own["running_var"]},
    }
    module = layers.BatchNorm(dtype=dtype)
    errors = []
    for seed in range(3):
        x = 10 + _normal((4, 6, 5, 6), dtype, seed)
        ours, updates = module.apply(variables, jnp.asarray(x), True, mutable=["batch_stats"])
        variables = {**variables, **updates}
        errors.append(relative_error(ours, from_torch(theirs.train()(to_torch(x)))))
        own = numpy_state(theirs)
        running = {"mean": own["running_mean"], "var": own["running_var"]}
        errors.append(relative_error(variables["batch_stats"], running))
        ours = module.apply(variables, jnp.asarray(x), False)
        errors.append(relative_error(ours, from_torch(theirs.eval()(to_torch(x)))))
    return max(errors)


def block(dtype: str) -> float:
    """Two bottlenecks, with and without a convolution on the shortcut, and all their gradients."""
    torch.manual_seed(0)
    theirs = torch_reference.resnet.make_stage(6, 4, blocks=2, stride=2).to(getattr(torch, dtype))
    randomise_norms(theirs)
    ours = Stage(4, 2, 2, dtype)
    network = Network(None, ResNet(1))  # names the block as one of its own
    x, weight = _normal((4, 16, 8, 6), dtype), _normal((4, 8, 4, 16), dtype, 1)
    rows = [row for row in table(network) if row.names[0].startswith("layer1.")]
    rows = [row for row in rows if not row.names[0].startswith("layer1.2")]

    def collect(arrays: Any, collection: str) -> dict[str, Any]:
        """Arrays by PyTorch's names as a tree by ours."""
        tree: dict[str, Any] = {}
        for row in rows:
            if row.places[0][0] == collection:
                *path, leaf = row.places[0][3:]
                node = tree
                for name in path:
                    node = node.setdefault(name, {})
                array = np.asarray(arrays[row.names[0].removeprefix("layer1.")])
                node[leaf] = array.transpose(AXES[row.kind])
        return tree

    params, stats = (collect(numpy_state(theirs), kind) for kind in ("params", "batch_stats"))
    errors = []
    for train in (False, True):  # training changes PyTorch's running statistics

        def objective(params: Any, x: Any, train: bool = train) -> Any:
            variables = {"params": params, "batch_stats": stats}
            y, _ = ours.apply(variables, x, train, mutable=["batch_stats"])
            return (y * weight).sum(), y

        gradient = jax.jit(jax.grad(objective, argnums=(0, 1), has_aux=True))
        gradients, y = gradient(params, jnp.asarray(x))
        theirs.train(train).zero_grad()
        t_x = to_torch(x).requires_grad_()
        t_y = theirs(t_x)
        (t_y * to_torch(weight)).sum().backward()
        t_gradients = {name: p.grad for name, p in theirs.named_parameters()}
        expected = (collect(t_gradients, "params"), from_torch(t_x.grad))
        errors.append(relative_error((gradients, y), (expected, from_torch(t_y))))
    return max(errors)


def ffsr(dtype: str) -> float:
    """Both variants' restored image."""
    x = _normal((2, HEIGHT, WIDTH, 3), dtype)
    errors = []
    for variant in STAGES:
        pair = make_pair(variant, dtype)
        params = pair.variables["params"]["super_resolution"]
        theirs = getattr(pair.reference, "ffsr" if variant == "paper" else "SRnet")(to_torch(x))
        errors.append(
            relative_error(_apply(pair.network.super_resolution, params, x), from_torch(theirs))
        )
    return max(errors)


def dual_stream_block(dtype: str) -> float:
    """The fused map and the two weights of the first block, in training and evaluation."""
    pair = make_pair("paper", dtype)
    x = _normal((4, 16, 8, 8), dtype)

    module = DualStreamBlock(partial(Stage, 8, 1, 1, dtype), 64, dtype)
    variables = {kind: tree["extractor"]["dsb1"] for kind, tree in pair.variables.items()}
    errors = []
    for train in (False, True):  # training changes their running statistics
        ours, _ = module.apply(variables, jnp.asarray(x), train, mutable=["batch_stats"])
        fused, low, high = pair.reference.rife.blocks[0].train(train)(to_torch(x))
        gates = torch.cat([low, high], dim=1).detach().numpy()
        errors.append(relative_error(ours, (from_torch(fused), gates)))
    return max(errors)


@lru_cache
def outputs(variant: str, dtype: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Restored images, features, logits and weights in evaluation mode, of either side."""
    pair = make_pair(variant, dtype)
    x = _normal((IMAGES, HEIGHT, WIDTH, 3), dtype)
    ours = jax.jit(lambda v, x: infer(pair.network, v, x))(pair.variables, x)
    with torch.no_grad():
        restored, theirs = pair.reference.eval()(to_torch(x))
        head = pair.reference.rife.classifier if variant == "paper" else pair.reference.model1.fc
        gates = torch.stack([theirs.weight_low, theirs.weight_high], dim=-1)
        expected = from_torch(restored), theirs.feature.numpy(), head(theirs.feature), gates
    return (ours.restored, ours.feature, ours.logits, ours.gates), expected


def rife(dtype: str) -> float:
    """Both variants from the image to features, logits and weights."""
    return max(relative_error(*outputs(variant, dtype)) for variant in STAGES)


def loss(dtype: str) -> float:
    """Eq. 4, 5, 7, 8 and 9 and the released weighting."""
    restored, target = (_normal((4, 8, 6, 3), dtype, seed) for seed in (0, 1))
    rng = np.random.default_rng(2)
    mask, gates, r = (rng.uniform(size=size).astype(dtype) for size in ((1, 8, 6), (4, 5, 2), (4,)))
    logits, label = 3 * _normal((4, 7), dtype, 3), np.array([0, 6, 2, 2])
    valid = np.array([1, 0, 1, 1])

    sr = losses.ffsr_loss(*map(jnp.asarray, (restored, target, mask)))
    resolution = losses.resolution_loss(jnp.asarray(gates), jnp.asarray(r))
    identity = losses.identity_loss(jnp.asarray(logits), jnp.asarray(label))
    ours = losses.rife_loss(identity, resolution, 0.1)
    valid_sr = losses.per_valid_example(sr, jnp.asarray(valid.astype(dtype)), None)
    total = losses.total_loss(valid_sr, ours, 1.0, 1.0).mean()
    released = losses.rife_loss(identity, resolution, 0.01)
    released = losses.total_loss(valid_sr, released, 0.1, 1.0).mean()

    t_mask = torch.from_numpy(mask)[:, None]
    t_sr = their_losses.ffsr_loss(to_torch(restored), to_torch(target), t_mask)
    t_gates = torch.from_numpy(gates)
    t_resolution = their_losses.resolution_loss(
        t_gates[..., 0], t_gates[..., 1], torch.from_numpy(r)
    )
    t_identity = their_losses.identity_loss(torch.from_numpy(logits), torch.from_numpy(label))
    t_rife = their_losses.rife_loss(t_identity, t_resolution)
    t_valid = torch.from_numpy(valid > 0)
    t_total = their_losses.joint_loss(t_sr, t_rife, t_valid)
    t_released = their_losses.released_loss(t_sr, t_identity, t_resolution, t_valid)
    return relative_error(
        (sr, resolution, identity, ours, total, released),
        tuple(t.numpy() for t in (t_sr, t_resolution, t_identity, t_rife, t_total, t_released)),
    )


# Training and use


def _training(part: str) -> Callable[[str], float]:
    """The rung that compares a part of `Run`.

    In float32 a sum that is within rounding of zero may pass a ReLU on one side only, and gradients differ by
    leaps in single arrays. Then all arrays are measured together; in float64 each is held to its own scale.
    """

    def rung(dtype: str) -> float:
        error = relative_error if dtype == "float64" else norm_error
        return max(error(*getattr(run(variant, dtype), part)) for variant in STAGES)

    return rung


def features(dtype: str) -> float:
    """Both variants' features, with running statistics."""
    pairs = [outputs(variant, dtype) for variant in STAGES]
    return max(relative_error(ours[1], theirs[1]) for ours, theirs in pairs)


def ranking(dtype: str) -> float:
    """CMC, mAP and mINP of either side's features by its own code: the largest difference."""
    rng = np.random.default_rng(0)
    pids, camids = rng.integers(0, 4, IMAGES), rng.integers(0, 3, IMAGES)
    labels = (pids[:QUERIES], pids[QUERIES:], camids[:QUERIES], camids[QUERIES:])
    errors = []
    for variant in STAGES:
        ours, theirs = (np.asarray(side[1]) for side in outputs(variant, dtype))
        with jax.enable_x64(False):  # features are ranked in float32
            our_rates = rank(ours[:QUERIES], ours[QUERIES:], *labels)
        distances = torch_reference.evaluation.euclidean_distances(
            theirs[:QUERIES], theirs[QUERIES:]
        )
        their_rates = torch_reference.evaluation.evaluate_market(distances, *labels)
        errors += [abs(our_rates[name] - rate) for name, rate in their_rates.items()]
    return max(errors)


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


class Rung(NamedTuple):
    """A comparison.

    Attributes:
      measure: gives the largest relative error, of rates the largest difference, in a precision.
      float64: the most that it may be in float64.
      float32: the most that it may be in float32.
    """

    measure: Callable[[str], float]
    float64: float = 1e-12
    float32: float = 1e-5


# By what they share: what stands together is computed once. A gradient that cancels to almost nothing has the
# error of what it cancels from, and Adam enlarges it by dividing. Training in float32 may part at a ReLU, on
# either side from its own float64 run as well, so that it gets room for other machines' rounding.
RUNGS: dict[str, dict[str, Rung]] = {
    "parts": {
        "layer": Rung(layer),
        "batch norm": Rung(batch_norm),
        "block and its gradients": Rung(block),
        "FFSR": Rung(ffsr),
        "dual-stream block": Rung(dual_stream_block),
        "masks": Rung(mask),
        "losses": Rung(loss),
    },
    "networks": {
        "RIFE behind FFSR": Rung(rife),
        "evaluation features": Rung(features),
        "ranking": Rung(ranking),
    },
    "training": {
        "gradients of every parameter": Rung(_training("gradients"), 1e-11, 1e-2),
        "one step": Rung(_training("one_step"), 1e-11, 1e-2),
        "20 steps, learning rate drop half-way": Rung(_training("all_steps"), 1e-11, 1e-2),
        "losses of these steps": Rung(_training("losses"), float32=1e-2),
    },
}


def measure(rung: Rung, dtype: str) -> float:
    """The largest error of a rung in "float64" or "float32"."""
    with jax.enable_x64(dtype == "float64"):
        return rung.measure(dtype)
