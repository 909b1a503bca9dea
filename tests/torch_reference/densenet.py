"""DenseNet121's trunk (Huang et al., 2017) under torchvision's `state_dict` names."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .resnet import scaled


class DenseLayer(nn.Module):
    """H of the paper, with bottleneck: BN-ReLU-Conv1x1-BN-ReLU-Conv3x3; k new channels."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv1(torch.relu(self.norm1(x)))
        new = self.conv2(torch.relu(self.norm2(new)))
        return torch.cat((x, new), dim=1)


def densenet_features(
    block_sizes: Sequence[int] = (6, 12, 24, 16), width: float = 1.0
) -> nn.Sequential:
    """Returns what torchvision calls `features`: up to the last batch norm, without its ReLU.

    Args:
      block_sizes: dense layers per block.
      width: multiplier of the stem's 64 channels and of the growth rate, 32.
    """
    growth, channels = scaled(32, width), scaled(64, width)
    features = nn.Sequential()
    features.add_module("conv0", nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False))
    features.add_module("norm0", nn.BatchNorm2d(channels))
    features.add_module("relu0", nn.ReLU())
    features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
    for number, layers in enumerate(block_sizes, start=1):
        block = nn.Sequential()
        for layer in range(1, layers + 1):
            block.add_module(f"denselayer{layer}", DenseLayer(channels, growth))
            channels += growth
        features.add_module(f"denseblock{number}", block)
        if number < len(block_sizes):
            transition = nn.Sequential()
            transition.add_module("norm", nn.BatchNorm2d(channels))
            transition.add_module("relu", nn.ReLU())
            transition.add_module("conv", nn.Conv2d(channels, channels // 2, 1, bias=False))
            transition.add_module("pool", nn.AvgPool2d(2, stride=2))
            features.add_module(f"transition{number}", transition)
            channels //= 2
    features.add_module("norm5", nn.BatchNorm2d(channels))
    return features
