"""Images from disk to what the networks read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # ImageNet, RGB, of values in [0, 1]
STD = (0.229, 0.224, 0.225)


def load_images(paths: Sequence[str | Path], height: int = 256, width: int = 128) -> Tensor:
    """Reads RGB images, resizes them bilinearly as PIL does, normalises; float32 `[B, 3, H, W]`."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    images = []
    for path in paths:
        with Image.open(path) as file:
            image = file.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        images.append((pixels - mean) / std)
    return torch.stack(images)
