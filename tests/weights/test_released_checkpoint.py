"""A full-size checkpoint of the authors' code, from PyTorch's file to features of images on disk."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch_reference.images import load_images
from torch_reference.released import ReleasedNetwork

from rireid_jax import Extractor

pytestmark = pytest.mark.torch

IMAGE_SIZE = (128, 64)  # theirs is (256, 128), which takes much longer
SIZES = [(20, 8), (62, 27), (128, 64), (256, 128), (391, 150)]


def write_images(folder):
    """Images of several sizes, of both formats: smooth shapes with noise on them."""
    rng, paths = np.random.default_rng(0), []
    for i, (height, width) in enumerate(SIZES):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 4, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        pixels = (smooth + rng.integers(-20, 21, smooth.shape)).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{i}.{'png' if i % 2 else 'jpg'}")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def network_for(images):
    """Random weights, and running statistics as random as the data allow."""
    torch.manual_seed(0)
    network = ReleasedNetwork(num_classes=751)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.2)
        nn.init.normal_(norm.bias, std=0.1)
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
        for norm in norms:
            deviation = norm.running_var.sqrt()
            norm.running_mean += 0.1 * deviation * torch.randn_like(deviation)
            norm.running_var *= 0.8 + 0.4 * torch.rand_like(deviation)
        # The feature's own statistics follow what the others now make of the images. In so few images some
        # channels hardly vary, so that all get the mean variance.
        network.eval()
        network.model1.bn.train()
        network(images)
        network.model1.bn.running_var[:] = network.model1.bn.running_var.mean()
    return network.eval()


def test_features_are_pytorchs_and_weights_go_back(one_device, tmp_path):
    paths = write_images(tmp_path)
    images = load_images(paths, *IMAGE_SIZE)
    reference = network_for(images)
    # As the authors' training script saves it, with Rank-1 a NumPy number.
    content = {"state_dict": reference.state_dict(), "rank1": np.float64(0.669), "epoch": 59}
    torch.save(content, tmp_path / "checkpoint_ep60.pth.tar")
    extractor = Extractor.from_torch(
        tmp_path / "checkpoint_ep60.pth.tar",
        variant="released",
        image_size=IMAGE_SIZE,
        batch_size=8,
    )
    with torch.no_grad():
        _, rife = reference(images)
    features, theirs = extractor.extract(paths), rife.feature.numpy()
    assert features.shape == (len(paths), 2048)
    assert 0.1 < theirs.std() < 10
    error = np.abs(features - theirs).max()
    print(f"largest difference of a feature {error:.1e}, of values to {np.abs(theirs).max():.1f}")
    assert error < 1e-4
    low, high = extractor.weights(paths)
    np.testing.assert_allclose(low, rife.weight_low.numpy(), atol=1e-5)
    np.testing.assert_allclose(high, rife.weight_high.numpy(), atol=1e-5)

    extractor.to_torch(tmp_path / "back.pth")
    before = reference.state_dict()
    back = torch.load(tmp_path / "back.pth")
    assert list(map(len, (before, back))) == [1356, 1356]
    for name, tensor in back.items():
        assert tensor.shape == before[name].shape
        unused = name.startswith(("model2.bn", "model2.fc")) or name.endswith("_tracked")
        assert unused or torch.equal(tensor, before[name]), name
