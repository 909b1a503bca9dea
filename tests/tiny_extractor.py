"""An extractor that compiles in a second or two, and images for it."""

from pathlib import Path

import jax
import numpy as np
from PIL import Image

from rireid_jax import Extractor
from rireid_jax.models.network import Network, zero_variables
from rireid_jax.models.resnet50 import ResNet


def tiny_extractor(seed: int = 0, batch_size: int = 8) -> Extractor:
    """A ResNet with a block a stage and random weights, for 32x16."""
    network = Network(None, ResNet(num_classes=0, neck="none", width=0.0625, stage_sizes=(1,) * 4))
    rng = np.random.default_rng(seed)
    zeros = zero_variables(network)
    variables = {
        "params": jax.tree.map(
            lambda x: rng.normal(size=x.shape).astype(np.float32), zeros["params"]
        ),
        "batch_stats": jax.tree.map(
            lambda x: rng.uniform(1, 2, x.shape).astype(np.float32), zeros["batch_stats"]
        ),
    }
    return Extractor(network, variables, (32, 16), batch_size=batch_size, normalised=True)


def write_images(folder: Path, names: list[str]) -> None:
    """Images of random pixels, each of its own width of 4 to 12 pixels."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (12, 4 + number % 9, 3)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, size, np.uint8)).save(path)
