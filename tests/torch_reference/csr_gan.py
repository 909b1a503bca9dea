"""CSR-GAN's networks as PyTorch has them, and their losses, on images in [-1, 1].

Written from the layers of the authors' code: SRGAN's generator with one doubling, and the discriminator of the
TensorLayer implementation that they started from.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .images import MEAN, STD
from .resnet import scaled


class Generator(nn.Module):
    """Doubles the size of `[B, 3, H, W]`."""

    def __init__(self, blocks: int = 16, width: float = 1.0) -> None:
        super().__init__()
        n = scaled(64, width)
        self.blocks = blocks
        self.first = nn.Conv2d(3, n, 3, padding=1)
        names = [f"block{i}_{part}" for i in range(blocks) for part in ("in", "out")]
        for name in (*names, "last"):
            self.add_module(f"{name}_conv", nn.Conv2d(n, n, 3, padding=1, bias=False))
            self.add_module(f"{name}_bn", nn.BatchNorm2d(n))
        self.upscale = nn.Conv2d(n, 4 * n, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.out = nn.Conv2d(n, 3, 1)

    def normed(self, name: str, x: Tensor) -> Tensor:
        return self.get_submodule(f"{name}_bn")(self.get_submodule(f"{name}_conv")(x))

    def forward(self, image: Tensor) -> Tensor:
        start = F.relu(self.first(image))
        x = start
        for i in range(self.blocks):
            x = x + self.normed(f"block{i}_out", F.relu(self.normed(f"block{i}_in", x)))
        x = start + self.normed("last", x)
        return torch.tanh(self.out(F.relu(self.shuffle(self.upscale(x)))))


class Cascade(nn.Module):
    """Three generators; every image by itself takes as many as it needs."""

    def __init__(self, blocks: int = 16, width: float = 1.0) -> None:
        super().__init__()
        self.generator8 = Generator(blocks, width)
        self.generator4 = Generator(blocks, width)
        self.generator2 = Generator(blocks, width)

    def forward(self, image: Tensor, native_width: list[int]) -> Tensor:
        """Restores normalised images `[B, 3, H, W]`."""
        mean, std = (torch.tensor(v, dtype=image.dtype).view(3, 1, 1) for v in (MEAN, STD))
        restored = []
        for one, width in zip(image, native_width, strict=True):
            x = ((one * std + mean) * 2 - 1)[None]
            part = width / image.shape[-1]
            if part <= 1 / 8:
                x = self.generator2(self.generator4(self.generator8(shrink(x, 8))))
            elif part <= 1 / 4:
                x = self.generator2(self.generator4(shrink(x, 4)))
            elif part <= 1 / 2:
                x = self.generator2(shrink(x, 2))
            restored.append(((x[0] + 1) / 2 - mean) / std)
        return torch.stack(restored)


class Discriminator(nn.Module):
    """A logit of `[B, 3, H, W]`; the convolutions of stride 2 pad as TensorFlow's SAME.

    Args:
      size: (height, width) of its images.
      width: multiplier of every channel.
    """

    def __init__(self, size: tuple[int, int], width: float = 1.0) -> None:
        super().__init__()
        n = [scaled(64 * 2**i, width) for i in range(6)]
        self.halve0_conv = nn.Conv2d(3, n[0], 4, 2)
        for i in range(1, 6):
            self.add_module(f"halve{i}_conv", nn.Conv2d(n[i - 1], n[i], 4, 2, bias=False))
            self.add_module(f"halve{i}_bn", nn.BatchNorm2d(n[i]))
        c1024, c512, c128 = (scaled(c, width) for c in (1024, 512, 128))
        for name, before, after, kernel in (
            ("reduce0", n[5], c1024, 1),
            ("reduce1", c1024, c512, 1),
            ("residual0", c512, c128, 1),
            ("residual1", c128, c128, 3),
            ("residual2", c128, c512, 3),
        ):
            conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
            self.add_module(f"{name}_conv", conv)
            self.add_module(f"{name}_bn", nn.BatchNorm2d(after))
        height, wide = (-(-side // 64) for side in size)
        self.cells = (height, wide)
        self.logit = nn.Linear(height * wide * c512, 1)

    def normed(self, name: str, x: Tensor) -> Tensor:
        return self.get_submodule(f"{name}_bn")(self.get_submodule(f"{name}_conv")(x))

    def forward(self, image: Tensor) -> Tensor:
        x = F.leaky_relu(self.halve0_conv(same(image)), 0.2)
        for i in range(1, 6):
            x = F.leaky_relu(self.normed(f"halve{i}", same(x)), 0.2)
        x = F.leaky_relu(self.normed("reduce0", x), 0.2)
        x = self.normed("reduce1", x)
        y = F.leaky_relu(self.normed("residual0", x), 0.2)
        y = F.leaky_relu(self.normed("residual1", y), 0.2)
        x = F.leaky_relu(x + self.normed("residual2", y), 0.2)
        # Channels last, so that the columns of the last layer are in the order of TensorFlow's.
        return self.logit(x.permute(0, 2, 3, 1).flatten(1))[:, 0]


def same(x: Tensor) -> Tensor:
    """TensorFlow's SAME padding of a 4x4 convolution of stride 2: one more at the end of odd sides."""
    pads = []
    for side in (x.shape[-1], x.shape[-2]):
        total = max((-(-side // 2) - 1) * 2 + 4 - side, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def shrink(image: Tensor, factor: int) -> Tensor:
    """Antialiased bicubic."""
    size = [side // factor for side in image.shape[-2:]]
    return F.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)


def generator_loss(generated: Tensor, real: Tensor, logits: Tensor, weight: float) -> Tensor:
    """Mean squared error, and the cross-entropy of the discriminator's logits with being real."""
    ones = torch.ones_like(logits)
    return F.mse_loss(generated, real) + weight * F.binary_cross_entropy_with_logits(logits, ones)


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Cross-entropies of the logits of originals with 1 and of what is generated with 0."""
    return F.binary_cross_entropy_with_logits(
        real, torch.ones_like(real)
    ) + F.binary_cross_entropy_with_logits(generated, torch.zeros_like(generated))
