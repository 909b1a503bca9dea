"""A full-size checkpoint of the authors' code, from PyTorch's file to features of images on disk."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch_reference.images import load_images
from torch_reference.released import ReleasedNetwork

from rireid_jax import Extractor
from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.ffsr import ReleasedFFSR
from rireid_jax.models.network import Network
from rireid_jax.models.rife import RIFE
from rireid_jax.weights import load_released, zero_variables

pytestmark = pytest.mark.torch

IDENTITIES = 751


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Images of several sizes, of both formats: smooth shapes with noise on them."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    names = []
    for i, (height, width) in enumerate([(20, 8), (62, 27), (128, 64), (256, 128), (391, 150)]):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 4, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        pixels = (smooth + rng.integers(-20, 21, smooth.shape)).clip(0, 255).astype(np.uint8)
        names.append(folder / f"{i}.{'png' if i % 2 else 'jpg'}")
        Image.fromarray(pixels).save(names[-1])
    return names


@pytest.fixture(scope="module")
def reference(paths):
    """Random weights, and running statistics as random as the data allow."""
    torch.manual_seed(0)
    network = ReleasedNetwork(IDENTITIES)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.2)
        nn.init.normal_(norm.bias, std=0.1)
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(load_images(paths))
        for norm in norms:
            deviation = norm.running_var.sqrt()
            norm.running_mean += 0.1 * deviation * torch.randn_like(deviation)
            norm.running_var *= 0.8 + 0.4 * torch.rand_like(deviation)
        # The feature's own statistics follow what the others now make of the images. Of so few images some
        # channels hardly vary, so that all get the mean variance.
        network.eval()
        network.model1.bn.train()
        network(load_images(paths))
        network.model1.bn.running_var[:] = network.model1.bn.running_var.mean()
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(reference, tmp_path_factory):
    """As the authors' training script saves it, with Rank-1 a NumPy number."""
    path = tmp_path_factory.mktemp("released") / "checkpoint_ep60.pth.tar"
    content = {"state_dict": reference.state_dict(), "rank1": np.float64(0.669), "epoch": 59}
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def extractor(checkpoint):
    return Extractor.from_torch(checkpoint, variant="released", batch_size=8)


def test_features_are_pytorchs(extractor, reference, paths):
    with torch.no_grad():
        _, rife = reference(load_images(paths))
    features = extractor.extract(paths)
    assert features.shape == (len(paths), 2048)
    theirs = rife.feature.numpy()
    assert 0.1 < theirs.std() < 10
    error = np.abs(features - theirs).max()
    print(
        f"largest difference of a feature {error:.1e}, of values up to {np.abs(theirs).max():.1f}"
    )
    assert error < 1e-4
    low, high = extractor.weights(paths)
    np.testing.assert_allclose(low, rife.weight_low.numpy(), atol=1e-5)
    np.testing.assert_allclose(high, rife.weight_high.numpy(), atol=1e-5)


def test_every_key_is_accounted_for(checkpoint):
    _, _, report = load_released(checkpoint)
    assert report.unexpected == ()
    counters = [name for name in report.skipped if name.endswith(".num_batches_tracked")]
    unused = set(report.skipped) - set(counters)
    assert unused == {
        *(f"model2.bn.{end}" for end in ("weight", "bias", "running_mean", "running_var")),
        *("model2.fc.weight", "model2.fc.bias"),
    }
    assert len(report.loaded) + len(report.skipped) == 1356


def test_saved_weights_load_strictly_in_pytorch(extractor, reference, tmp_path):
    extractor.to_torch(tmp_path / "back.pth")
    before = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    copy = ReleasedNetwork(IDENTITIES)
    copy.load_state_dict(torch.load(tmp_path / "back.pth"), strict=True)
    for name, tensor in copy.state_dict().items():
        unused = name.startswith(("model2.bn", "model2.fc")) or name.endswith("_tracked")
        assert unused or torch.equal(tensor, before[name]), name


def test_size_and_cost():
    # The authors' network holds a batch norm and a classifier for its second stream, which nothing computes.
    unused = 2 * 2048 + IDENTITIES * 2048 + IDENTITIES
    extractor = RIFE(IDENTITIES, neck="batch_norm", gate_dim=16, last_stride=1, dual_stem=True)
    network = Network(ReleasedFFSR(), extractor)
    variables = zero_variables(network)
    assert count_parameters(variables["params"]) + unused == 51_279_915
    assert count_parameters(variables["params"]["super_resolution"]) == 1_052_803
    macs = count_macs(network.apply, variables, image_like(256, 128))
    classifier = 2048 * IDENTITIES  # evaluation stops at the feature
    assert round((macs - classifier) / 1e9, 2) == 13.19
    sr = {"params": variables["params"]["super_resolution"]}
    macs = count_macs(ReleasedFFSR().apply, sr, image_like(256, 128))
    assert round(macs / 1e9, 3) == 5.079
