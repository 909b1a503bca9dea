"""From our variables to a `state_dict` and back: the same bits, and keys that PyTorch takes strictly."""

import functools
import operator

import jax
import numpy as np
import pytest
import torch
from networks import NETWORKS, network_of
from parity.narrow import IDENTITIES, STAGES, WIDTH, narrow_config
from parity.pairs import REFERENCES, make_reference, reference_of
from torch_reference.released import ReleasedNetwork
from torch_reference.resnet import ResNet as TorchResNet

from rireid_jax.components import EXTRACTORS
from rireid_jax.models.network import create_network, zero_variables
from rireid_jax.models.resnet50 import ResNet
from rireid_jax.models.torch_names import AXES, COUNTER
from rireid_jax.weights import (
    from_state_dict,
    load_backbone,
    read_state_dict,
    to_state_dict,
    write_state_dict,
)

pytestmark = pytest.mark.torch


def random_variables(network):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), zero_variables(network)
    )


def assert_same_bits(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)


@pytest.mark.parametrize("name", NETWORKS)
def test_there_and_back(name):
    """Every variable has one tensor, with any neck."""
    necks = EXTRACTORS[name].necks if name in EXTRACTORS else ("",)
    for neck in necks:
        network = network_of(name, neck=neck) if neck else network_of(name)
        variables = random_variables(network)
        state = to_state_dict(variables, network)
        back, report = from_state_dict(state, network)
        assert_same_bits(variables, back)
        assert report.unexpected == ()
        assert len(set(report.loaded)) == len(report.loaded)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name in EXTRACTORS])
def test_an_extractor_starts_from_its_own_file(name, tmp_path):
    """Everything but the classifier, which knows other identities."""
    network, other = (network_of(name, identities=number) for number in (5, 7))
    trained = random_variables(network)
    write_state_dict(tmp_path / "own.safetensors", to_state_dict(trained, network))
    variables = zero_variables(other)
    load_backbone(tmp_path / "own.safetensors", other, variables)
    own = 0  # arrays of the classifier
    for (path, mine), theirs in zip(
        jax.tree.leaves_with_path(variables), jax.tree.leaves(trained), strict=True
    ):
        if mine.shape == theirs.shape:
            np.testing.assert_array_equal(mine, theirs, jax.tree_util.keystr(path))
        else:
            assert "'head'" in jax.tree_util.keystr(path)
            own += 1
            assert not np.any(mine)
    assert own


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("variant", list(STAGES))
def test_there_and_back_by_a_file_and_by_pytorch(variant, suffix, tmp_path):
    network = create_network(narrow_config(variant, "float32"), STAGES[variant], IDENTITIES)
    variables = random_variables(network)
    path = tmp_path / f"ours.{suffix}"
    state = to_state_dict(variables, network)
    write_state_dict(path, state)
    back, _ = from_state_dict(read_state_dict(path), network)
    assert_same_bits(variables, back)
    if suffix == "safetensors":
        return
    reference = make_reference(variant)
    reference.load_state_dict(torch.load(path), strict=True)
    torch.save(reference.state_dict(), tmp_path / "theirs.pth")
    back, _ = from_state_dict(read_state_dict(tmp_path / "theirs.pth"), network)
    assert_same_bits(variables, back)
    if variant == "released":  # which has tensors under two names: they are stored once
        distinct = {id(array): array.nbytes for array in state.values()}
        total = sum(array.nbytes for array in state.values())
        assert sum(distinct.values()) < path.stat().st_size < total


# Keys of a file that torchvision or timm publish, less those of their classifier.
PUBLISHED = {"resnet50": 320 - 2, "se_resnet50": 384 - 2, "densenet121": 727 - 2}


@pytest.mark.parametrize("name", REFERENCES)
def test_full_size_names_and_shapes_are_pytorchs(name):
    network = network_of(name, width=1, feature_dim=256, gate_dim=64)
    zeros, found = zero_variables(network), {}  # which take no memory, nor do their transposes
    for row in network.torch_names():
        array = functools.reduce(operator.getitem, row.places[0], zeros)
        found[row.names[0]] = array.transpose(np.argsort(AXES[row.kind])).shape
    with torch.device("meta"):
        expected = reference_of(name, (3, 4, 6, 3), 1.0).state_dict()
    assert found == {
        key: tuple(value.shape) for key, value in expected.items() if COUNTER not in key
    }
    if name in PUBLISHED:
        trunk = [key for key in expected if not key.startswith(("feature.", "classifier."))]
        assert len(trunk) == PUBLISHED[name]


def test_names_that_others_publish():
    with torch.device("meta"):
        resnet, released = (
            TorchResNet().state_dict(),
            ReleasedNetwork(751).state_dict(keep_vars=True),
        )
    assert resnet["layer3.5.conv2.weight"].shape == (256, 256, 3, 3)
    assert resnet["layer4.0.downsample.1.running_var"].shape == (2048,)
    assert resnet["fc.bias"].shape == (1000,)
    assert len(released) == 1356
    assert len({id(tensor) for tensor in released.values()}) == 720
    assert released["modelpart1.0.0.0.weight"] is released["model1.net.base.conv1.weight"]
    assert (
        released["model2part5.2.conv3.weight"] is released["model2.net.base.layer4.2.conv3.weight"]
    )
    # A ResNet without a feature of its own has torchvision's names alone.
    network = network_of("resnet50", width=WIDTH).clone(
        extractor=ResNet(IDENTITIES, stage_sizes=(1, 1, 1, 1), width=WIDTH, neck="none")
    )
    state = to_state_dict(random_variables(network), network)
    expected = TorchResNet(IDENTITIES, (1, 1, 1, 1), WIDTH).state_dict()
    assert {name.replace("classifier.", "fc.") for name in state} == set(expected)
