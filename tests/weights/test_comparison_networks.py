"""The networks that the paper compares with: their files of others as a start, and ours there and back."""

import re

import jax
import numpy as np
import pytest
import torch
from parity.narrow import IDENTITIES, STAGE_SIZES, WIDTH, narrow_config
from parity.pairs import randomise_norms
from torch_reference.plain import DenseNet as TorchDenseNet
from torch_reference.plain import SEResNet as TorchSEResNet
from torch_reference.resnet import ResNet as TorchResNet

from rireid_jax.errors import UserError
from rireid_jax.models.densenet import dense_block_sizes
from rireid_jax.models.network import create_network
from rireid_jax.weights import from_state_dict, load_backbone, to_state_dict, zero_variables
from rireid_jax.weights.names import table

pytestmark = pytest.mark.torch

RESTORERS = ("srcnn", "srcnn_luminance", "vdsr", "csr_gan")
NAMES = (*RESTORERS, "se_resnet50", "densenet121", "two_resnet50", "two_resnet50_weighted")


def build(name):
    config = narrow_config("paper", "float32")
    part = "super_resolution" if name in RESTORERS else "extractor"
    config.stages.rife.extractor = "none"
    config.stages.rife[part] = name
    return create_network(config, "rife", IDENTITIES)


def as_pretrained_models(state):
    """SE-ResNet50 as pretrained-models.pytorch and torchreid name it."""
    renamed = {}
    for name, tensor in state.items():
        name = re.sub(r"^(conv1|bn1)\.", r"layer0.\1.", name)
        renamed[name.replace(".se.", ".se_module.")] = tensor
    renamed["last_linear.weight"] = torch.ones(1000, 4)
    return renamed


def as_old_torchvision(state):
    """DenseNet121 in the file that torchvision's first releases wrote."""
    spelling = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])\.")
    return {spelling.sub(r"\1.\2.", name): tensor for name, tensor in state.items()}


def as_they_are(state):
    return state


def se_resnet():
    return TorchSEResNet(IDENTITIES, STAGE_SIZES, WIDTH)


def densenet():
    return TorchDenseNet(IDENTITIES, dense_block_sizes(STAGE_SIZES), WIDTH)


@pytest.mark.parametrize(
    ("name", "make", "spelled"),
    [
        ("se_resnet50", se_resnet, as_they_are),
        ("se_resnet50", se_resnet, as_pretrained_models),
        ("densenet121", densenet, as_they_are),
        ("densenet121", densenet, as_old_torchvision),
    ],
)
def test_all_spellings_give_the_same_start(name, make, spelled, tmp_path):
    torch.manual_seed(0)
    reference = make()
    randomise_norms(reference)
    state = reference.state_dict()
    whole, _ = from_state_dict({k: t.numpy() for k, t in state.items()}, build(name))
    trunk = {k: t for k, t in state.items() if not k.startswith(("feature.", "classifier."))}
    assert len(trunk) == len(state) - 4
    written = spelled({**trunk, "classifier.weight": torch.ones(1000, 4)})
    assert (written.keys() == {*trunk, "classifier.weight"}) == (spelled is as_they_are)
    torch.save(written, tmp_path / "file.pth")

    network = build(name)
    ours = zero_variables(network)
    report = load_backbone(tmp_path / "file.pth", network, ours)
    assert report.unexpected == ()
    assert len(report.loaded) == sum("num_batches" not in key for key in trunk)
    for kind in ("params", "batch_stats"):
        for part, values in whole[kind]["extractor"].items():
            if part != "head":
                jax.tree.map(np.testing.assert_array_equal, ours[kind]["extractor"][part], values)


@pytest.mark.parametrize("name", ["two_resnet50", "two_resnet50_weighted"])
def test_a_resnet50_starts_both_networks(name, tmp_path):
    torch.manual_seed(0)
    reference = TorchResNet(1000, STAGE_SIZES, WIDTH)
    randomise_norms(reference)
    torch.save(reference.state_dict(), tmp_path / "resnet.pth")
    plain, two = build("resnet50"), build(name)
    expected, ours = zero_variables(plain), zero_variables(two)
    load_backbone(tmp_path / "resnet.pth", plain, expected)
    load_backbone(tmp_path / "resnet.pth", two, ours)
    for kind in ("params", "batch_stats"):
        trunk = {k: v for k, v in expected[kind]["extractor"].items() if k != "head"}
        for stream in ("low", "high"):
            jax.tree.map(np.testing.assert_array_equal, ours[kind]["extractor"][stream], trunk)


def test_another_backbone_is_refused(tmp_path):
    torch.save(TorchResNet(1000, STAGE_SIZES, WIDTH).state_dict(), tmp_path / "resnet.pth")
    for name, missing in (
        ("se_resnet50", r"16 of 101 tensors are missing: layer1\.0\.se\.fc1\.weight"),
        ("densenet121", r"tensors are missing: features\.conv0\.weight"),
    ):
        network = build(name)
        with pytest.raises(UserError, match=missing):
            load_backbone(tmp_path / "resnet.pth", network, zero_variables(network))


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(name):
    network = build(name)
    zeros = zero_variables(network)
    places = [place for row in table(network) for place in row.places]
    leaves = jax.tree.leaves_with_path(zeros)
    assert sorted(places) == sorted(tuple(key.key for key in path) for path, _ in leaves)

    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), zeros)
    back, report = from_state_dict(to_state_dict(variables, network), network)
    jax.tree.map(np.testing.assert_array_equal, variables, back)
    assert report.unexpected == ()
