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

import torch
from torch import Tensor, nn

from .ffsr import FFSRReleased
from .resnet import ResNet
from .rife import NetworkOutput, RIFEOutput, WeightHead, fuse

FEATURE_DIM = 2048
PART_CHANNELS = (64, 256, 512, 1024, 2048)
HEAD_WIDTH = 16


class _Trunk(nn.Module):
    """Holds a ResNet50 under the name `base`."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ResNet(num_classes=None, last_stride=1)


class _Stream(nn.Module):
    """A trunk `net.base`, the feature's batch norm `bn` and the classifier `fc`."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.net = _Trunk()
        self.bn = nn.BatchNorm2d(FEATURE_DIM)
        self.fc = nn.Linear(FEATURE_DIM, num_classes)

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
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.SRnet = FFSRReleased()
        self.model1 = _Stream(num_classes)
        self.model2 = _Stream(num_classes)
        self.attmodel = nn.ModuleList(
            nn.ModuleList([WeightHead(c, HEAD_WIDTH), WeightHead(c, HEAD_WIDTH)])
            for c in PART_CHANNELS
        )
        for prefix, stream in (("modelpart", self.model1), ("model2part", self.model2)):
            for number, part in enumerate(stream.parts(), start=1):
                self.add_module(f"{prefix}{number}", part)

    def forward(self, image: Tensor) -> NetworkOutput:
        restored = self.SRnet(image)
        x, low, high = restored, [], []
        for number in range(1, len(PART_CHANNELS) + 1):
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
