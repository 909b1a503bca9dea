"""Multiply-accumulates of convolutions and fully connected layers, counted by forward hooks."""

from math import prod

import torch
from torch import Tensor, nn


def count_macs(network: nn.Module, image: Tensor) -> int:
    """Returns the multiply-accumulates of one evaluation pass over `image` `[B, 3, H, W]`.

    Biases, norms, activations and pooling are not counted, as re-identification papers count. The
    network may lie on the meta device, which computes shapes only. It is left in evaluation mode.
    """
    total = 0

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        elif isinstance(module, nn.Conv2d):
            per_output = module.in_channels // module.groups * prod(module.kernel_size)
            total += output.numel() * per_output
        elif isinstance(module, nn.ConvTranspose2d):
            per_input = module.out_channels // module.groups * prod(module.kernel_size)
            total += inputs[0].numel() * per_input

    counted = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    handles = [m.register_forward_hook(hook) for m in network.modules() if isinstance(m, counted)]
    try:
        with torch.no_grad():
            network.eval()(image)
    finally:
        for handle in handles:
            handle.remove()
    return total
