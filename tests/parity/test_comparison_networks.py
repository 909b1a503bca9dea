"""The networks that the paper compares with, against PyTorch in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch_reference import losses as their_losses
from torch_reference.plain import DenseNet as TorchDenseNet
from torch_reference.plain import SEResNet as TorchSEResNet
from torch_reference.superres import SRCNN as TorchSRCNN
from torch_reference.superres import VDSR as TorchVDSR
from torch_reference.superres import LuminanceSRCNN as TorchLuminanceSRCNN
from torch_reference.two_resnets import TwoResNets as TorchTwoResNets

from rireid_jax.models.densenet import DenseNet
from rireid_jax.models.network import Network
from rireid_jax.models.resnet import ResNet
from rireid_jax.models.superres import SRCNN, VDSR, LuminanceSRCNN
from rireid_jax.models.two_resnet import TwoResNet
from rireid_jax.training import losses
from rireid_jax.weights import from_state_dict

from .narrow import IDENTITIES, STAGE_SIZES, WIDTH
from .pairs import from_torch, numpy_state, randomise_norms, relative_error, to_torch

pytestmark = pytest.mark.torch

LIMIT, GRADIENT_LIMIT = 1e-12, 1e-11
# Compiling takes longer than anything else here.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
BLOCK_SIZES = (2, 1, 3, 2)
LABEL, RESOLUTION = np.array([0, 3, 4, 3]), np.array([0.25, 0.5, 0.75, 1.0])
NARROW = dict(stage_sizes=STAGE_SIZES, width=WIDTH)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def images(height, width, count=4, seed=0):
    return np.random.default_rng(seed).standard_normal((count, height, width, 3))


def gradients(reference, network):
    """The reference's gradients and running statistics by our names."""
    arrays = numpy_state(reference)
    for name, parameter in reference.named_parameters():
        arrays[name] = parameter.grad.numpy()
    variables, _ = from_state_dict(arrays, network)
    return variables["params"], variables["batch_stats"]


def gates(output):
    """(wL, wH) as `[B, T, 2]`."""
    return torch.stack([output.weight_low, output.weight_high], dim=-1)


def check(values, their_values, grads, their_grads):
    """Holds both to their limits, and every parameter's gradient to be there."""
    dead = [jax.tree_util.keystr(p) for p, g in jax.tree.leaves_with_path(grads) if not g.any()]
    assert dead == []
    shapes, their_shapes = (jax.tree.map(np.shape, tree) for tree in (values, their_values))
    assert shapes == their_shapes
    # Weights that there are none of have no largest difference.
    values, their_values = (
        [leaf for leaf in jax.tree.leaves(tree) if np.size(leaf)] for tree in (values, their_values)
    )
    errors = relative_error(values, their_values), relative_error(grads, their_grads)
    print(*errors)
    assert errors[0] < LIMIT
    assert errors[1] < GRADIENT_LIMIT


@pytest.mark.parametrize("width", [1 / 8, 1.0])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(SRCNN, TorchSRCNN), (VDSR, TorchVDSR)], ids=["srcnn", "vdsr"]
)
def test_restorers(ours, theirs, width):
    torch.manual_seed(0)
    reference = torch.nn.ModuleDict({ours.__name__.lower(): theirs(width)}).double()
    (module,) = reference.values()
    network = Network(ours(width, jnp.float64), None)
    variables, report = from_state_dict(numpy_state(reference), network)
    assert not report.unexpected
    x, target = images(19, 14, 2), images(19, 14, 2, seed=1)
    mask = their_losses.gaussian_mask(19, 14).double()

    def objective(params, x):
        restored = network.apply({"params": params}, x).restored
        loss = losses.ffsr_loss(restored, jnp.asarray(target), jnp.asarray(mask)[None])
        return loss.mean(), restored

    gradient = jit(jax.grad(objective, has_aux=True))
    grads, restored = gradient(variables["params"], jnp.asarray(x))
    their_restored = module(to_torch(x))
    their_losses.ffsr_loss(their_restored, to_torch(target), mask).mean().backward()
    expected, _ = gradients(reference, network)
    check(restored, from_torch(their_restored), grads, expected)


def test_restorer_of_sing():
    """Within what the four digits of its colour matrices lose on the way there and back."""
    torch.manual_seed(0)
    reference = torch.nn.ModuleDict({"srcnn": TorchLuminanceSRCNN(1 / 8)}).double()
    network = Network(LuminanceSRCNN(1 / 8, jnp.float64), None)
    variables, report = from_state_dict(numpy_state(reference), network)
    assert not report.unexpected
    x, target = 0.7 * images(19, 14, 2), images(19, 14, 2, seed=1)

    def objective(params):
        restored = network.apply({"params": params}, jnp.asarray(x)).restored
        loss = losses.ffsr_loss(restored, jnp.asarray(target), jnp.ones((1, 19, 14)))
        return loss.mean(), restored

    grads, restored = jit(jax.grad(objective, has_aux=True))(variables["params"])
    theirs = reference["srcnn"](to_torch(x))
    torch.nn.functional.mse_loss(theirs, to_torch(target)).backward()
    assert relative_error(restored, from_torch(theirs)) < 1e-3
    assert relative_error(grads, gradients(reference, network)[0]) < 1e-3


EXTRACTORS = {
    "se_resnet50": (
        lambda: ResNet(IDENTITIES, dtype=jnp.float64, squeeze_excitation=True, **NARROW),
        lambda: TorchSEResNet(IDENTITIES, **NARROW),
    ),
    "densenet121": (
        lambda: DenseNet(IDENTITIES, block_sizes=BLOCK_SIZES, width=WIDTH, dtype=jnp.float64),
        lambda: TorchDenseNet(IDENTITIES, BLOCK_SIZES, WIDTH),
    ),
    "two_resnet50": (
        lambda: TwoResNet(IDENTITIES, dtype=jnp.float64, **NARROW),
        lambda: TorchTwoResNets(IDENTITIES, False, **NARROW),
    ),
    "two_resnet50_weighted": (
        lambda: TwoResNet(IDENTITIES, weighted=True, dtype=jnp.float64, **NARROW),
        lambda: TorchTwoResNets(IDENTITIES, True, **NARROW),
    ),
}


def extractor_pair(ours, theirs):
    torch.manual_seed(0)
    reference = theirs().double()
    randomise_norms(reference)
    if isinstance(reference, TorchTwoResNets):  # they start alike, as from one file of weights
        reference.high.load_state_dict(reference.low.state_dict())
    network = Network(None, ours())
    variables, report = from_state_dict(numpy_state(reference), network)
    assert not report.unexpected
    return reference, network, variables


@pytest.mark.parametrize("name", list(EXTRACTORS))
def test_extractors(name):
    """Features and weights in both modes, logits, running statistics, and the gradients of Eq. 9."""
    reference, network, variables = extractor_pair(*EXTRACTORS[name])
    # Odd maps: 72 rows become 18, 9 and 5 or, where an odd last row is left out, 4.
    x = images(72, 40)

    def objective(params, x):
        variables_ = {**variables, "params": params}
        outputs, updates = network.apply(variables_, x, ("extractor",), mutable=["batch_stats"])
        identity = losses.identity_loss(outputs.logits, jnp.asarray(LABEL))
        resolution = losses.resolution_loss(outputs.gates, jnp.asarray(RESOLUTION))
        loss = losses.rife_loss(identity, resolution, beta=0.1).mean()
        evaluated = network.apply(variables_, x)
        modes = [
            [outputs.feature, outputs.logits, outputs.gates],
            [evaluated.feature, evaluated.gates],
        ]
        return loss, (*modes, updates["batch_stats"], loss)

    gradient = jit(jax.grad(objective, has_aux=True))
    grads, ours = gradient(variables["params"], jnp.asarray(x))

    with torch.no_grad():
        evaluated = reference.eval()(to_torch(x))
    theirs = reference.train()(to_torch(x))
    identity = their_losses.identity_loss(theirs.logits, torch.from_numpy(LABEL))
    resolution = their_losses.resolution_loss(
        theirs.weight_low, theirs.weight_high, torch.from_numpy(RESOLUTION)
    )
    loss = their_losses.rife_loss(identity, resolution).mean()
    loss.backward()
    their_gradients, after = gradients(reference, network)
    modes = ((theirs.feature, theirs.logits, gates(theirs)), (evaluated.feature, gates(evaluated)))
    expected = [[value.detach().numpy() for value in mode] for mode in modes]
    assert expected[0][2].shape[1] == (name == "two_resnet50_weighted")
    check(ours, (*expected, after, loss.detach()), grads, their_gradients)
    if "two" in name:  # and do not stay alike
        low, high = (jax.tree.leaves(grads["extractor"][stream]) for stream in ("low", "high"))
        assert not any(np.allclose(a, b, rtol=1e-3) for a, b in zip(low, high, strict=True))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            lambda: ResNet(IDENTITIES, dtype=jnp.float64, squeeze_excitation=True),
            lambda: TorchSEResNet(IDENTITIES),
        ),
        (lambda: DenseNet(IDENTITIES, dtype=jnp.float64), lambda: TorchDenseNet(IDENTITIES)),
    ],
    ids=["se_resnet50", "densenet121"],
)
def test_full_size_features(ours, theirs):
    reference, network, variables = extractor_pair(ours, theirs)
    x = images(64, 32, 1)
    feature = jit(lambda v, x: network.apply(v, x).feature)(variables, jnp.asarray(x))
    with torch.no_grad():
        expected = reference.eval()(to_torch(x)).feature
    error = relative_error(feature, expected.numpy())
    print(error)
    assert error < LIMIT
