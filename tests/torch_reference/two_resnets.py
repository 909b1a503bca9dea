"""Two ResNet50 whose features are fused once: the two middle rows of Table 2."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .resnet import EXPANSION, ResNet
from .rife import RIFEOutput, WeightHead


class TwoResNets(nn.Module):
    """f is w^L f^L + w^H f^H, where a stream's feature is GAP and FC of its own last map.

    Args:
      num_classes: identities of the training set.
      learned: predicts the weights from the last maps, T = 1; otherwise both are 1/2, and T = 0.
      stage_sizes: bottlenecks per stage and stream.
      width: multiplier of the trunks' channels; heads and feature keep their widths.
      head_width: outputs of the first FC layer of a weight head.
      feature_dim: D.
    """

    def __init__(
        self,
        num_classes: int,
        learned: bool,
        stage_sizes: Sequence[int] = (3, 4, 6, 3),
        width: float = 1.0,
        head_width: int = 64,
        feature_dim: int = 256,
    ) -> None:
        super().__init__()
        self.low = ResNet(None, stage_sizes, width)
        self.high = ResNet(None, stage_sizes, width)
        channels = EXPANSION * self.low.layer4[0].conv2.out_channels
        self.feature_low = nn.Linear(channels, feature_dim)
        self.feature_high = nn.Linear(channels, feature_dim)
        self.learned = learned
        if learned:
            self.gate_low = WeightHead(channels, head_width)
            self.gate_high = WeightHead(channels, head_width)
        self.classifier = nn.Linear(feature_dim, num_classes)

    def forward(self, image: Tensor) -> RIFEOutput:
        map_low, map_high = self.low.feature_map(image), self.high.feature_map(image)
        low = self.feature_low(map_low.mean(dim=(2, 3)))
        high = self.feature_high(map_high.mean(dim=(2, 3)))
        if self.learned:
            weight_low, weight_high = self.gate_low(map_low), self.gate_high(map_high)
            feature = weight_low * low + weight_high * high
        else:
            weight_low = weight_high = torch.zeros_like(low[:, :0])
            feature = (low + high) / 2
        logits = self.classifier(feature) if self.training else None
        return RIFEOutput(feature, logits, weight_low, weight_high)
