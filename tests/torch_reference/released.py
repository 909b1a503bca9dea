"""The network that the authors' published code builds (github.com/maosnhehe/RIPR).

Known, from that code: every module below and its `state_dict` name; that the first stream
(`model1`, gates `attmodel.<part>.0`) is trained towards r, so is the high-resolution one, and the
second (`model2`, gates `attmodel.<part>.1`) towards 1 - r, so is the low-resolution one; that
`modelpart*` and `model2part*` register the trunks a second time, the stem as three nested pairs,
hence 1,356 keys for 720 tensors; and that `model2.bn` and `model2.fc` are never used.

Inferred: a revision of the code also gives each trunk three attention blocks, `base.satten1` to
`base.satten3`, which its forward pass never reaches. The network's 51,279,915 parameters leave no
room for them, so they are not here; a checkpoint that holds them loses nothing without them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .ffsr import FFSRReleased
from .resnet import EXPANSION, ResNet
from .rife import NetworkOutput, RIFEOutput, WeightHead, fuse

HEAD_WIDTH = 16


class _Trunk(nn.Module):
    """Holds a ResNet50 under the name `base`."""

    def __init__(self, stage_sizes: Sequence[int], width: float) -> None:
        super().__init__()
        self.base = ResNet(None, stage_sizes, width, last_stride=1)


class _Stream(nn.Module):
    """A trunk `net.base`, the feature's batch norm `bn` and the classifier `fc`."""

    def __init__(self, num_classes: int, stage_sizes: Sequence[int], width: float) -> None:
        super().__init__()
        self.net = _Trunk(stage_sizes, width)
        feature_dim = EXPANSION * self.net.base.layer4[0].conv2.out_channels
        self.bn = nn.BatchNorm2d(feature_dim)
        self.fc = nn.Linear(feature_dim, num_classes)

    def parts(self) -> list[nn.Module]:
        """Returns the five parts that are gated: the stem and the four stages."""
        base = self.net.base
        stem = nn.Sequential(base.conv1, base.bn1)
        stem = nn.Sequential(nn.Sequential(stem, base.relu), base.maxpool)
        return [stem, base.layer1, base.layer2, base.layer3, base.layer4]


class ReleasedNetwork(nn.Module):
    """FFSR, two ResNet50 fused after each of five parts, a 2048-D batch-normalised feature.

    The output's weights have T = 5, the stem's first.

    Args:
      num_classes: identities of the training set, 751 for VR-Market1501.
      stage_sizes: bottlenecks per stage and stream; theirs is ResNet50.
      width: multiplier of every channel count but the weight heads'; 1.0 is theirs.
    """

    def __init__(
        self, num_classes: int, stage_sizes: Sequence[int] = (3, 4, 6, 3), width: float = 1.0
    ) -> None:
        super().__init__()
        self.SRnet = FFSRReleased(width)
        self.model1 = _Stream(num_classes, stage_sizes, width)
        self.model2 = _Stream(num_classes, stage_sizes, width)
        stem = self.model1.net.base.conv1.out_channels
        channels = (stem, *(2**t * EXPANSION * stem for t in range(4)))
        self.attmodel = nn.ModuleList(
            nn.ModuleList([WeightHead(c, HEAD_WIDTH), WeightHead(c, HEAD_WIDTH)]) for c in channels
        )
        for prefix, stream in (("modelpart", self.model1), ("model2part", self.model2)):
            for number, part in enumerate(stream.parts(), start=1):
                self.add_module(f"{prefix}{number}", part)

    def forward(self, image: Tensor) -> NetworkOutput:
        restored = self.SRnet(image)
        x, low, high = restored, [], []
        for number in range(1, len(self.attmodel) + 1):
            map_high = self.get_submodule(f"modelpart{number}")(x)
            map_low = self.get_submodule(f"model2part{number}")(x)
            high_head, low_head = self.get_submodule(f"attmodel.{number - 1}").children()
            high.append(high_head(map_high))
            low.append(low_head(map_low))
            x = fuse(map_low, map_high, low[-1], high[-1])
        pooled = x.mean(dim=(2, 3), keepdim=True)
        feature = self.model1.bn(pooled).flatten(start_dim=1)
        logits = self.model1.fc(feature) if self.training else None
        rife = RIFEOutput(feature, logits, torch.cat(low, dim=1), torch.cat(high, dim=1))
        return NetworkOutput(restored, rife)
