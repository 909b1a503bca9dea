"""Extractors with one stream: a backbone, GAP, FC to the feature, FC to the identities."""

from collections.abc import Sequence

from torch import Tensor, nn

from .densenet import densenet_features
from .resnet import EXPANSION, ResNet
from .rife import RIFEOutput


def _output(network: nn.Module, feature_map: Tensor) -> RIFEOutput:
    """Through the network's layers `feature` and `classifier`; no stream, so no weights."""
    feature = network.feature(feature_map.mean(dim=(2, 3)))
    logits = network.classifier(feature) if network.training else None
    none = feature.new_zeros(len(feature), 0)
    return RIFEOutput(feature, logits, none, none)


class PlainResNet(ResNet):
    """ResNet50 v1.5, or with `se` SE-ResNet50 (Hu et al., 2018) on it."""

    def __init__(
        self,
        num_classes: int,
        stage_sizes: Sequence[int] = (3, 4, 6, 3),
        width: float = 1.0,
        se: bool = False,
        feature_dim: int = 256,
    ) -> None:
        super().__init__(None, stage_sizes, width, se=se)
        channels = EXPANSION * self.layer4[0].conv2.out_channels
        self.feature = nn.Linear(channels, feature_dim)
        self.classifier = nn.Linear(feature_dim, num_classes)

    def forward(self, x: Tensor) -> RIFEOutput:
        return _output(self, self.feature_map(x))


class DenseNet(nn.Module):
    """DenseNet121 (Huang et al., 2017), or a narrower or shallower network of the same form."""

    def __init__(
        self,
        num_classes: int,
        block_sizes: Sequence[int] = (6, 12, 24, 16),
        width: float = 1.0,
        feature_dim: int = 256,
    ) -> None:
        super().__init__()
        self.features = densenet_features(block_sizes, width)
        channels = self.features.norm5.num_features
        self.feature = nn.Linear(channels, feature_dim)
        self.classifier = nn.Linear(feature_dim, num_classes)

    def forward(self, image: Tensor) -> RIFEOutput:
        return _output(self, self.features(image).relu())
