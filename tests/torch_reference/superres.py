"""The super-resolution networks of Table 1 that are not the paper's, on colour images of one size.

Both map a normalised image `[B, 3, H, W]`, already enlarged to the network's size, to a restored one.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .images import MEAN, STD
from .resnet import scaled


class SRCNN(nn.Module):
    """Dong et al., 2014, their 9-1-5 network; zero padding keeps the size. No residual.

    Args:
      width: multiplier of both hidden widths, 64 and 32.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        n1, n2 = scaled(64, width), scaled(32, width)
        self.extract = nn.Conv2d(3, n1, 9, padding=4)
        self.map = nn.Conv2d(n1, n2, 1)
        self.reconstruct = nn.Conv2d(n2, 3, 5, padding=2)

    def forward(self, image: Tensor) -> Tensor:
        return self.reconstruct(F.relu(self.map(F.relu(self.extract(image)))))


class LuminanceSRCNN(nn.Module):
    """SING's: Dong et al., 2016, their 9-5-5 network, on Y of YCbCr (ITU-R BT.601, as MATLAB has it).

    Args:
      width: multiplier of both hidden widths, 64 and 32.
    """

    TO_YCBCR = ((0.2568, 0.5041, 0.0979), (-0.1482, -0.2910, 0.4392), (0.4392, -0.3678, -0.0714))
    TO_RGB = ((1.1644, 0.0, 1.5960), (1.1644, -0.3918, -0.8130), (1.1644, 2.0172, 0.0))

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        n1, n2 = scaled(64, width), scaled(32, width)
        self.extract = nn.Conv2d(1, n1, 9, padding=4)
        self.map = nn.Conv2d(n1, n2, 5, padding=2)
        self.reconstruct = nn.Conv2d(n2, 1, 5, padding=2)

    def forward(self, image: Tensor) -> Tensor:
        mean, std = (image.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        to_ycbcr, to_rgb = image.new_tensor(self.TO_YCBCR), image.new_tensor(self.TO_RGB)
        ycbcr = torch.einsum("ij,bjhw->bihw", to_ycbcr, image * std + mean)
        y = F.relu(self.extract(ycbcr[:, :1] + 16 / 255))
        y = self.reconstruct(F.relu(self.map(y))) - 16 / 255
        rgb = torch.einsum("ij,bjhw->bihw", to_rgb, torch.cat([y, ycbcr[:, 1:]], 1))
        return (rgb.clamp(0, 1) - mean) / std


class VDSR(nn.Module):
    """Kim et al., 2016: 20 weight layers, all 3x3, ReLU after all but the last, plus the input.

    Args:
      width: multiplier of the hidden width, 64.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        hidden = scaled(64, width)
        channels = [3] + [hidden] * 19
        for number, (before, after) in enumerate(pairwise(channels), start=1):
            self.add_module(f"conv{number}", nn.Conv2d(before, after, 3, padding=1))
        self.out = nn.Conv2d(hidden, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        *hidden, out = self.children()
        x = image
        for conv in hidden:
            x = F.relu(conv(x))
        return out(x) + image
