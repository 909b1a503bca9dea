"""The same narrow network in JAX and in PyTorch, with the same weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import torch
from ml_collections import ConfigDict
from torch import nn
from torch_reference.ffsr import FFSRPaper, FFSRReleased
from torch_reference.plain import DenseNet, PlainResNet
from torch_reference.released import ReleasedNetwork
from torch_reference.rife import JointNetwork, RIFEPaper
from torch_reference.superres import SRCNN, VDSR, LuminanceSRCNN
from torch_reference.two_resnets import TwoResNets

from rireid_jax.models.densenet121 import dense_block_sizes
from rireid_jax.models.network import Network, create_network
from rireid_jax.weights import from_state_dict

from .narrow import IDENTITIES, STAGE_SIZES, STAGES, WIDTH, narrow_config

torch.set_num_threads(1)  # more threads would compete with XLA's

# Compiling takes longer than anything else here.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@dataclass(frozen=True)
class Pair:
    """Two networks with the same weights and running statistics.

    Attributes:
      config: of the JAX network.
      stage: key of `config.stages`.
      network: the JAX network.
      variables: its variables, {"params": ..., "batch_stats": ...}.
      reference: the PyTorch network.
    """

    config: ConfigDict
    stage: str
    network: Network
    variables: dict[str, Any]
    reference: nn.Module


# CSR-GAN is compared in test_csr_gan.py, and "rife_released" in the ladder, with its own super-resolution.
REFERENCES = (
    *("ffsr", "ffsr_released", "srcnn", "srcnn_luminance", "vdsr"),
    *("rife", "resnet50", "se_resnet50", "densenet121", "two_resnet50", "two_resnet50_weighted"),
)


def reference_of(
    name: str, stage_sizes: Sequence[int] = STAGE_SIZES, width: float = WIDTH
) -> nn.Module:
    """The PyTorch network of a name in `config.stages`, whose `state_dict` has the keys that ours writes."""
    sizes = (IDENTITIES, stage_sizes, width)
    return {
        "ffsr": lambda: nn.ModuleDict({"ffsr": FFSRPaper(width)}),
        "ffsr_released": lambda: nn.ModuleDict({"SRnet": FFSRReleased(width)}),
        "srcnn": lambda: nn.ModuleDict({"srcnn": SRCNN(width)}),
        "srcnn_luminance": lambda: nn.ModuleDict({"srcnn": LuminanceSRCNN(width)}),
        "vdsr": lambda: nn.ModuleDict({"vdsr": VDSR(width)}),
        "rife": lambda: nn.ModuleDict({"rife": RIFEPaper(*sizes)}),
        "resnet50": lambda: PlainResNet(*sizes),
        "se_resnet50": lambda: PlainResNet(*sizes, se=True),
        "densenet121": lambda: DenseNet(IDENTITIES, dense_block_sizes(tuple(stage_sizes)), width),
        "two_resnet50": lambda: TwoResNets(IDENTITIES, False, stage_sizes, width),
        "two_resnet50_weighted": lambda: TwoResNets(IDENTITIES, True, stage_sizes, width),
    }[name]()


def make_reference(variant: str) -> nn.Module:
    """A PyTorch network with random weights and random running statistics."""
    torch.manual_seed(0)
    reference: nn.Module
    if variant == "paper":
        reference = JointNetwork(FFSRPaper(WIDTH), RIFEPaper(IDENTITIES, STAGE_SIZES, WIDTH))
        # At zero it hides the layers before it.
        nn.init.normal_(reference.ffsr.out.weight, std=0.05)
    else:
        reference = ReleasedNetwork(IDENTITIES, STAGE_SIZES, WIDTH)
    randomise_norms(reference)
    return reference


def randomise_norms(network: nn.Module) -> None:
    """Gives every batch norm weights and statistics that are not those it starts with."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


def make_pair(variant: str, dtype: str) -> Pair:
    """A variant, "paper" or "released", in "float32" or, under `jax.enable_x64`, in "float64"."""
    reference = make_reference(variant).to(getattr(torch, dtype))
    config, stage = narrow_config(variant, dtype), STAGES[variant]
    network = create_network(config, stage, IDENTITIES)
    variables, report = from_state_dict(numpy_state(reference), network)
    assert not report.unexpected
    return Pair(config, stage, network, variables, reference)


def numpy_state(network: nn.Module) -> dict[str, np.ndarray]:
    """A copy of the network's `state_dict`."""
    return {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}


def gradients_of(reference: nn.Module, network: Network) -> dict[str, Any]:
    """PyTorch's gradients, and its running statistics, by our names: they take the weights' places in its state."""
    arrays = numpy_state(reference)
    for name, parameter in reference.named_parameters(remove_duplicate=False):
        if parameter.grad is not None:
            arrays[name] = parameter.grad.numpy().copy()
    return from_state_dict(arrays, network)[0]


def to_torch(images: Any) -> torch.Tensor:
    """`[B, H, W, C]` to `[B, C, H, W]`."""
    return torch.from_numpy(np.ascontiguousarray(np.asarray(images).transpose(0, 3, 1, 2)))


def from_torch(images: torch.Tensor) -> np.ndarray:
    """`[B, C, H, W]` to `[B, H, W, C]`."""
    return images.detach().numpy().transpose(0, 2, 3, 1)


def norm_error(ours: Any, theirs: Any) -> float:
    """The Euclidean norm of all differences together, relative to that of all values together."""

    def squares(a: Any, b: Any) -> tuple[float, float]:
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        return np.square(a - b).sum(), np.square(b).sum()

    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    difference, value = np.sum([squares(a, b) for a, b in pairs], axis=0)
    return float(np.sqrt(difference / value))


def relative_error(ours: Any, theirs: Any) -> float:
    """The largest difference, relative to the largest magnitude of the array that it is in.

    Args:
      ours: a tree of arrays.
      theirs: a tree of the same structure.
    """

    def error(a: Any, b: Any) -> float:
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape, (a.shape, b.shape)
        # Gates of a network that has none are empty, and have no largest difference.
        return float(np.abs(a - b).max(initial=0) / np.abs(b).max(initial=1e-30))

    return max(jax.tree.leaves(jax.tree.map(error, ours, theirs)))
