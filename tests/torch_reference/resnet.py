"""ResNet50 v1.5 (He et al., 2016, stride on the 3x3) under torchvision's `state_dict` names."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 4  # output channels of a bottleneck per channel of its 3x3 convolution


def scaled(channels: int, width: float) -> int:
    """Returns `channels` times the width multiplier, rounded as Python rounds."""
    return round(channels * width)


class SEModule(nn.Module):
    """Squeeze-and-excitation (Hu et al., 2018) with reduction 16, under timm's names.

    A channel's mean over the map, through two fully connected layers with ReLU between and a sigmoid after
    them, gives the factor of that channel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 1)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = F.adaptive_avg_pool2d(x, 1)
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(squeezed)))) * x


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 convolutions, each with batch norm, around a shortcut.

    With `se`, the last batch norm's map goes through an `SEModule` before the shortcut is added.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, se: bool = False) -> None:
        super().__init__()
        out_channels = EXPANSION * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.se = SEModule(out_channels) if se else None
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.se is not None:
            y = self.se(y)
        return F.relu(y + shortcut)


def make_stage(
    in_channels: int, channels: int, blocks: int, stride: int, se: bool = False
) -> nn.Sequential:
    """Returns one of ResNet's four stages; only its first bottleneck strides."""
    first = Bottleneck(in_channels, channels, stride, se)
    rest = [Bottleneck(EXPANSION * channels, channels, 1, se) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def init_resnet(module: nn.Module) -> None:
    """Draws convolutions as torchvision does, from Kaiming's normal over the fan-out."""
    for m in module.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")


class ResNet(nn.Module):
    """ResNet50, or a narrower or shallower network of the same form.

    Args:
      num_classes: outputs of `fc`, or None for a trunk without `fc`.
      stage_sizes: bottlenecks per stage.
      width: multiplier of every channel count, 1.0 for ResNet50.
      last_stride: stride of the last stage, 2 in ResNet50, often 1 in re-identification.
      se: makes it SE-ResNet50, timm's `seresnet50`.
    """

    def __init__(
        self,
        num_classes: int | None = 1000,
        stage_sizes: Sequence[int] = (3, 4, 6, 3),
        width: float = 1.0,
        last_stride: int = 2,
        se: bool = False,
    ) -> None:
        super().__init__()
        c = [scaled(n, width) for n in (64, 128, 256, 512)]
        self.conv1 = nn.Conv2d(3, c[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(c[0])
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = make_stage(c[0], c[0], stage_sizes[0], stride=1, se=se)
        self.layer2 = make_stage(EXPANSION * c[0], c[1], stage_sizes[1], stride=2, se=se)
        self.layer3 = make_stage(EXPANSION * c[1], c[2], stage_sizes[2], stride=2, se=se)
        self.layer4 = make_stage(EXPANSION * c[2], c[3], stage_sizes[3], stride=last_stride, se=se)
        self.fc = None if num_classes is None else nn.Linear(EXPANSION * c[3], num_classes)
        init_resnet(self)

    def feature_map(self, x: Tensor) -> Tensor:
        """Maps images `[B, 3, H, W]` to the last stage's map `[B, C, h, w]`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, x: Tensor) -> Tensor:
        """Maps images `[B, 3, H, W]` to logits `[B, num_classes]`, or without `fc` to `[B, C]`."""
        pooled = torch.mean(self.feature_map(x), dim=(2, 3))
        return pooled if self.fc is None else self.fc(pooled)
