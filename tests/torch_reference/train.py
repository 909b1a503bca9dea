"""Training steps of the paper's three stages and of the released code, with torch.optim."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR
from torch.optim.optimizer import Optimizer

from . import losses


@dataclass(frozen=True)
class Batch:
    """What a step sees; images are normalised and of the network's size."""

    image: Tensor  # [B, 3, H, W]
    target: Tensor  # [B, 3, H, W]; anything where not valid
    mask: Tensor  # [B, 1, H, W]
    valid: Tensor  # [B], bool: the example has a high-resolution target
    resolution: Tensor  # [B], r in (0, 1]
    pid: Tensor  # [B], int64


Objective = Callable[[nn.Module, Batch], Tensor]


def ffsr_objective(network: nn.Module, batch: Batch) -> Tensor:
    """Stage 1, Eq. 5; `network` maps an image to a restored one."""
    loss = losses.ffsr_loss(network(batch.image), batch.target, batch.mask)
    return losses.mean_valid(loss, batch.valid)


def rife_objective(network: nn.Module, batch: Batch) -> Tensor:
    """Stage 2, Eq. 9 on the bilinear image; `network` is a `RIFEPaper`."""
    output = network(batch.image)
    identity = losses.identity_loss(output.logits, batch.pid)
    resolution = losses.resolution_loss(output.weight_low, output.weight_high, batch.resolution)
    return losses.rife_loss(identity, resolution).mean()


def joint_objective(network: nn.Module, batch: Batch) -> Tensor:
    """Stage 3, Eq. 4; `network` is a `JointNetwork`."""
    restored, rife = network(batch.image)
    ffsr = losses.ffsr_loss(restored, batch.target, batch.mask)
    identity = losses.identity_loss(rife.logits, batch.pid)
    resolution = losses.resolution_loss(rife.weight_low, rife.weight_high, batch.resolution)
    return losses.joint_loss(ffsr, losses.rife_loss(identity, resolution), batch.valid)


def released_objective(network: nn.Module, batch: Batch) -> Tensor:
    """The single stage of the authors' code; `network` is a `ReleasedNetwork`.

    There `batch.resolution` is the stored width over 128, whatever the dataset's widest image.
    """
    restored, rife = network(batch.image)
    ffsr = losses.ffsr_loss(restored, batch.target, batch.mask)
    identity = losses.identity_loss(rife.logits, batch.pid)
    resolution = losses.resolution_loss(rife.weight_low, rife.weight_high, batch.resolution)
    return losses.released_loss(ffsr, identity, resolution, batch.valid)


def paper_optimizer(
    network: nn.Module, learning_rate: float, milestones: Sequence[int]
) -> tuple[Optimizer, LRScheduler]:
    """SGD, momentum 0.9, weight decay 5e-4 on every parameter.

    Args:
      network: what is trained.
      learning_rate: 0.01 in stages 1 and 2, 0.001 in stage 3.
      milestones: steps before which the rate is divided by 10; the paper's is epoch 30 of 60.
    """
    optimizer = torch.optim.SGD(
        network.parameters(), learning_rate, momentum=0.9, weight_decay=5e-4
    )
    return optimizer, MultiStepLR(optimizer, list(milestones), gamma=0.1)


def released_optimizer(
    network: nn.Module, milestones: Sequence[int], learning_rate: float = 3e-4
) -> tuple[Optimizer, LRScheduler]:
    """Adam with weight decay 5e-4 added to the gradient (not decoupled).

    Args:
      network: what is trained.
      milestones: steps before which the rate is divided by 10; epochs 20 and 40 of 60.
      learning_rate: the authors' 3e-4.
    """
    optimizer = torch.optim.Adam(network.parameters(), learning_rate, weight_decay=5e-4)
    return optimizer, MultiStepLR(optimizer, list(milestones), gamma=0.1)


def train(
    network: nn.Module,
    objective: Objective,
    batches: Iterable[Batch],
    optimizer: Optimizer,
    scheduler: LRScheduler,
) -> list[float]:
    """Takes one step on each batch, in training mode, and returns the losses before the steps."""
    network.train()
    history = []
    for batch in batches:
        optimizer.zero_grad()
        loss = objective(network, batch)
        loss.backward()
        optimizer.step()
        scheduler.step()
        history.append(loss.item())
    return history
