"""Foreground-Focus Super-Resolution (section 4.1): the paper's network and the released one.

Both map a normalised image `[B, 3, H, W]`, already enlarged to the network's size, to a restored
one of that size. H and W are multiples of 4. Every convolution has a bias, there is no norm.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .resnet import scaled


class FFSRPaper(nn.Module):
    """The 12-layer network of section 5.2, 3.71 GMACs at 384x128 (Table 1).

    The paper prints neither widths nor the places of the skips; these keep the topology of the
    released network (one bottleneck instead of two) and meet Table 1's budget.

    Args:
      width: multiplier of every hidden width; 1.0 is the paper.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        narrow, base, wide = (scaled(n, width) for n in (32, 64, 256))
        self.down1 = nn.Conv2d(3, base, 2, stride=2)
        self.enc1 = nn.Conv2d(base, base, 3, padding=1)
        self.down2 = nn.Conv2d(base, wide, 2, stride=2)
        self.enc2 = nn.Conv2d(wide, wide, 3, padding=1)
        self.squeeze = nn.Conv2d(wide, base, 1)
        self.mid = nn.Conv2d(base, base, 3, padding=1)
        self.expand = nn.Conv2d(base, wide, 1)
        self.up1 = nn.ConvTranspose2d(wide, narrow, 2, stride=2)
        self.dec1 = nn.Conv2d(narrow, base, 3, padding=1)
        self.up2 = nn.ConvTranspose2d(2 * base, narrow, 2, stride=2)
        self.dec2 = nn.Conv2d(narrow, narrow, 3, padding=1)
        self.out = nn.Conv2d(narrow, 3, 3, padding=1)
        # Training starts from the bilinear image.
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        skip_a = F.relu(self.enc1(self.down1(image)))
        skip_b = F.relu(self.enc2(self.down2(skip_a)))

        x = F.relu(self.squeeze(skip_b))
        x = F.relu(self.mid(x))
        x = self.expand(x) + skip_b  # linear: no activation before or after the sum

        x = F.relu(self.up1(x))
        x = F.relu(self.dec1(x))
        x = torch.cat([x, skip_a], dim=1)
        x = F.relu(self.up2(x))
        x = F.relu(self.dec2(x))
        return self.out(x) + image


class FFSRReleased(nn.Module):
    """The 15-layer network of the authors' code, under its layer names; 1,052,803 parameters.

    Args:
      width: multiplier of every hidden width; 1.0 is theirs.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        base, middle, wide = (scaled(n, width) for n in (64, 128, 256))
        self.conv0 = nn.Conv2d(3, base, 2, stride=2)
        self.conv1 = nn.Conv2d(base, base, 5, padding=2)
        self.conv12 = nn.Conv2d(base, middle, 2, stride=2)
        self.conv2 = nn.Conv2d(middle, wide, 3, padding=1)
        self.conv3 = nn.Conv2d(wide, base, 1)
        self.conv34 = nn.Conv2d(base, base, 3, padding=1)
        self.conv4 = nn.Conv2d(base, wide, 1)
        self.conv5 = nn.Conv2d(wide, base, 1)
        self.conv56 = nn.Conv2d(base, base, 3, padding=1)
        self.conv6 = nn.Conv2d(base, wide, 1)
        self.dconv1 = nn.ConvTranspose2d(wide, wide, 2, stride=2)
        self.conv9 = nn.Conv2d(wide, base, 3, padding=1)
        self.dconv2 = nn.ConvTranspose2d(2 * base, base, 2, stride=2)
        self.conv10 = nn.Conv2d(base, base, 3, padding=1)
        self.conv11 = nn.Conv2d(base, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        half = F.relu(self.conv1(self.conv0(image)))
        quarter = F.relu(self.conv2(self.conv12(half)))

        # Two bottlenecks, each linear at its end, around additive skips that themselves chain.
        inner = F.relu(self.conv34(F.relu(self.conv3(quarter))))
        quarter = quarter + self.conv4(inner)
        inner = F.relu(self.conv56(F.relu(self.conv5(quarter))))
        quarter = quarter + self.conv6(inner)

        decoded = F.relu(self.conv9(F.relu(self.dconv1(quarter))))
        decoded = F.relu(self.dconv2(torch.cat([decoded, half], dim=1)))
        decoded = F.relu(self.conv10(decoded))
        return image + self.conv11(decoded)
