"""Resolution-Invariant Feature Extractor (section 4.2), alone and behind FFSR (Eq. 3)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .resnet import EXPANSION, init_resnet, make_stage, scaled


class RIFEOutput(NamedTuple):
    """What the extractor computes; T is the number of dual-stream blocks."""

    feature: Tensor  # [B, D]
    logits: Tensor | None  # [B, num_classes] in training mode, None in evaluation mode
    weight_low: Tensor  # w^L, [B, T]
    weight_high: Tensor  # w^H, [B, T]


class NetworkOutput(NamedTuple):
    """What a super-resolution network followed by an extractor computes."""

    restored: Tensor  # [B, 3, H, W], normalised
    rife: RIFEOutput


class WeightHead(nn.Module):
    """Predicts one stream's weight: GAP, FC, ReLU, FC 1, sigmoid; `[B, C, H, W]` to `[B, 1]`."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3))
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(pooled))))


def fuse(low: Tensor, high: Tensor, weight_low: Tensor, weight_high: Tensor) -> Tensor:
    """Eq. 6: maps `[B, C, H, W]` times weights `[B, 1]`, added; the weights need not sum to 1."""
    return weight_low[:, :, None, None] * low + weight_high[:, :, None, None] * high


class DualStreamBlock(nn.Module):
    """Two complete copies of one ResNet stage, fused by the weights that they predict."""

    def __init__(
        self, in_channels: int, channels: int, blocks: int, stride: int, head_width: int
    ) -> None:
        super().__init__()
        self.low = make_stage(in_channels, channels, blocks, stride)
        self.high = make_stage(in_channels, channels, blocks, stride)
        self.low_head = WeightHead(EXPANSION * channels, head_width)
        self.high_head = WeightHead(EXPANSION * channels, head_width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the fused map m_t and w^L_t, w^H_t `[B, 1]`."""
        low, high = self.low(x), self.high(x)
        weight_low, weight_high = self.low_head(low), self.high_head(high)
        return fuse(low, high, weight_low, weight_high), weight_low, weight_high


class RIFEPaper(nn.Module):
    """The paper's extractor: ResNet50's stem, four dual-stream blocks, a 256-D feature.

    Args:
      num_classes: identities of the training set.
      stage_sizes: bottlenecks per dual-stream block and stream.
      width: multiplier of the trunk's channels; heads and feature keep their widths.
      last_stride: stride of the last block.
      head_width: outputs of the first FC layer of a weight head (64 in the paper).
      feature_dim: D (256 in the paper).
    """

    def __init__(
        self,
        num_classes: int,
        stage_sizes: Sequence[int] = (3, 4, 6, 3),
        width: float = 1.0,
        last_stride: int = 2,
        head_width: int = 64,
        feature_dim: int = 256,
    ) -> None:
        super().__init__()
        channels = [scaled(n, width) for n in (64, 128, 256, 512)]
        self.conv1 = nn.Conv2d(3, channels[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.blocks = nn.ModuleList()
        in_channels = channels[0]
        for c, size, stride in zip(channels, stage_sizes, (1, 2, 2, last_stride), strict=True):
            self.blocks.append(DualStreamBlock(in_channels, c, size, stride, head_width))
            in_channels = EXPANSION * c
        self.feature = nn.Linear(in_channels, feature_dim)
        self.classifier = nn.Linear(feature_dim, num_classes)
        init_resnet(self)

    def load_resnet(self, state_dict: Mapping[str, Tensor]) -> None:
        """Starts the stem and both streams of every block from one torchvision ResNet's weights."""
        copies: list[tuple[nn.Module, str]] = [(self.conv1, "conv1."), (self.bn1, "bn1.")]
        for number, block in enumerate(self.blocks, start=1):
            for stream in ("low", "high"):
                copies.append((block.get_submodule(stream), f"layer{number}."))
        for module, prefix in copies:
            module.load_state_dict(
                {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
            )

    def forward(self, image: Tensor) -> RIFEOutput:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(image))))
        low, high = [], []
        for block in self.blocks:
            x, weight_low, weight_high = block(x)
            low.append(weight_low)
            high.append(weight_high)
        feature = self.feature(x.mean(dim=(2, 3)))
        logits = self.classifier(feature) if self.training else None
        return RIFEOutput(feature, logits, torch.cat(low, dim=1), torch.cat(high, dim=1))


class JointNetwork(nn.Module):
    """FFSR followed by RIFE (Eq. 3), what stage 3 trains."""

    def __init__(self, ffsr: nn.Module, rife: RIFEPaper) -> None:
        super().__init__()
        self.ffsr = ffsr
        self.rife = rife

    def forward(self, image: Tensor) -> NetworkOutput:
        restored = self.ffsr(image)
        return NetworkOutput(restored, self.rife(restored))
