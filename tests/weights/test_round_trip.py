"""From our variables to a `state_dict` and back: the same bits, and keys that PyTorch takes strictly."""

import jax
import numpy as np
import pytest
import torch
from parity.narrow import IDENTITIES, STAGE_SIZES, STAGES, WIDTH, narrow_config
from parity.pairs import make_reference
from torch_reference.resnet import ResNet as TorchResNet

from rireid_jax.models.network import Network, create_network
from rireid_jax.models.resnet import ResNet
from rireid_jax.weights import (
    from_state_dict,
    read_state_dict,
    to_state_dict,
    write_state_dict,
    zero_variables,
)
from rireid_jax.weights.names import table

pytestmark = pytest.mark.torch


def build(kind):
    if kind in STAGES:
        return create_network(narrow_config(kind, "float32"), STAGES[kind], IDENTITIES)
    return Network(None, ResNet(IDENTITIES, stage_sizes=STAGE_SIZES, width=WIDTH, neck=kind))


def random_variables(network):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), zero_variables(network)
    )


def assert_same_bits(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("kind", [*STAGES, "fc", "batch_norm", "none"])
def test_same_bits_after_a_round_trip(kind, suffix, tmp_path):
    network = build(kind)
    variables = random_variables(network)
    path = tmp_path / f"weights.{suffix}"
    write_state_dict(path, to_state_dict(variables, network))
    back, report = from_state_dict(read_state_dict(path), network)
    assert_same_bits(variables, back)
    assert report.unexpected == ()
    assert len(set(report.loaded)) == len(report.loaded)


@pytest.mark.parametrize("variant", list(STAGES))
def test_pytorch_loads_strictly_and_gives_the_same_bits_back(variant, tmp_path):
    network = build(variant)
    variables = random_variables(network)
    write_state_dict(tmp_path / "ours.pth", to_state_dict(variables, network))
    reference = make_reference(variant)
    reference.load_state_dict(torch.load(tmp_path / "ours.pth"), strict=True)
    torch.save(reference.state_dict(), tmp_path / "theirs.pth")
    back, _ = from_state_dict(read_state_dict(tmp_path / "theirs.pth"), network)
    assert_same_bits(variables, back)


def test_a_plain_resnet_has_torchvisions_names():
    state = to_state_dict(random_variables(build("none")), build("none"))
    reference = TorchResNet(IDENTITIES, STAGE_SIZES, WIDTH).state_dict()
    state = {name.replace("classifier.", "fc."): array for name, array in state.items()}
    assert {name: list(array.shape) for name, array in state.items()} == {
        name: list(tensor.shape) for name, tensor in reference.items()
    }


@pytest.mark.parametrize("variant", list(STAGES))
def test_every_variable_has_one_row(variant):
    network = build(variant)
    places = [place for row in table(network) for place in row.places]
    leaves = jax.tree_util.tree_leaves_with_path(zero_variables(network))
    assert sorted(places) == sorted(tuple(key.key for key in path) for path, _ in leaves)


def test_shared_tensors_are_stored_once(tmp_path):
    network = build("released")
    state = to_state_dict(random_variables(network), network)
    write_state_dict(tmp_path / "ours.pth", state)
    distinct = {id(array): array.nbytes for array in state.values()}
    total = sum(array.nbytes for array in state.values())
    size = (tmp_path / "ours.pth").stat().st_size
    assert sum(distinct.values()) < size < total
