"""Backbones of torchvision, torchreid, fast-reid, timm and others: as a start, and as an extractor."""

import logging
import re

import jax
import numpy as np
import pytest
import torch
from networks import network_of
from parity.narrow import IDENTITIES, STAGE_SIZES, WIDTH, narrow_config
from parity.pairs import randomise_norms, reference_of
from PIL import Image
from safetensors.torch import save_file
from torch_reference.images import load_images
from torch_reference.released import ReleasedNetwork
from torch_reference.resnet import ResNet as TorchResNet

from rireid_jax import Extractor
from rireid_jax.errors import UserError
from rireid_jax.models.network import create_network, zero_variables
from rireid_jax.training.initial import check_backbone, initial_variables
from rireid_jax.weights import (
    from_state_dict,
    load_backbone,
    load_resnet50,
    read_state_dict,
)
from rireid_jax.weights.prefixes import with_names

pytestmark = pytest.mark.torch


def as_torchreid(state):
    """What torchreid saves after training on several devices."""
    renamed = {name.replace("fc.", "classifier."): tensor for name, tensor in state.items()}
    return {
        "state_dict": {f"module.{name}": tensor for name, tensor in renamed.items()},
        "epoch": 60,
        "rank1": np.float32(0.85),
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": []},
    }


def as_fastreid(state):
    """What fast-reid's bag-of-tricks baseline saves."""
    bottleneck = torch.nn.BatchNorm2d(4 * round(512 * WIDTH)).state_dict()
    model = {f"backbone.{name}": t for name, t in state.items() if not name.startswith("fc.")}
    model |= {f"heads.bottleneck.0.{name}": tensor for name, tensor in bottleneck.items()}
    model["heads.weight"] = state["fc.weight"]
    model["pixel_mean"] = model["pixel_std"] = torch.ones(1, 3, 1, 1)
    return {"model": model, "iteration": 7}


def as_pretrained_models(state):
    """SE-ResNet50 as pretrained-models.pytorch and torchreid name it."""
    renamed = {}
    for name, tensor in state.items():
        name = re.sub(r"^(conv1|bn1)\.", r"layer0.\1.", name)
        renamed[name.replace(".se.", ".se_module.")] = tensor
    return {name.replace("fc.", "last_linear."): tensor for name, tensor in renamed.items()}


def as_old_torchvision(state):
    """DenseNet121 in the file that torchvision's first releases wrote."""
    spelling = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])\.")
    renamed = {spelling.sub(r"\1.\2.", name): tensor for name, tensor in state.items()}
    return {name.replace("fc.", "classifier."): tensor for name, tensor in renamed.items()}


def as_it_is(state):
    return state


def trunk_of(name):
    """A narrow backbone of PyTorch's with a classifier of ImageNet, and its variables by our names."""
    torch.manual_seed(0)
    reference = reference_of(name)
    randomise_norms(reference)
    state = reference.state_dict()
    whole, _ = from_state_dict({key: t.numpy() for key, t in state.items()}, narrow(name))
    for kind in whole.values():
        kind["extractor"].pop("head", None)
    trunk = {k: t for k, t in state.items() if not k.startswith(("feature.", "classifier."))}
    return {**trunk, "fc.weight": torch.ones(1000, 4), "fc.bias": torch.ones(1000)}, whole


def narrow(name):
    return network_of(name, width=WIDTH, feature_dim=256, gate_dim=64)


def started(name, path):
    """What a file makes of zeros, and the report on it."""
    network = narrow(name)
    variables = zero_variables(network)
    report = load_backbone(path, network, variables)
    return variables, report


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        *[("resnet50", spelled) for spelled in (as_it_is, as_torchreid, as_fastreid)],
        *[("se_resnet50", spelled) for spelled in (as_it_is, as_pretrained_models)],
        *[("densenet121", spelled) for spelled in (as_it_is, as_old_torchvision)],
    ],
)
def test_all_spellings_give_the_same_start(name, spelled, tmp_path):
    state, whole = trunk_of(name)
    torch.save(spelled(state), tmp_path / "file.pth")
    variables, report = started(name, tmp_path / "file.pth")
    assert report.unexpected == ()
    assert len(report.loaded) == len(jax.tree.leaves(whole))
    for kind, tree in whole.items():
        for part, values in tree["extractor"].items():
            jax.tree.map(np.testing.assert_array_equal, variables[kind]["extractor"][part], values)


@pytest.mark.parametrize("name", ["rife", "rife_released", "two_resnet50", "two_resnet50_weighted"])
def test_one_file_starts_both_streams(name, tmp_path):
    """And leaves gates and heads alone."""
    state, whole = trunk_of("resnet50")
    torch.save(state, tmp_path / "resnet.pth")
    variables, _ = started(name, tmp_path / "resnet.pth")
    untouched = dict(variables["params"]["extractor"])
    for kind, tree in whole.items():
        ours = variables[kind]["extractor"]
        for part, values in tree["extractor"].items():
            block = "dsb" + part.replace("stem", "0").removeprefix("stage")
            streams = [
                ours.get(block, {}).get(s) or ours.get(s, {}).get(part) for s in ("low", "high")
            ]
            for stream in [ours["stem"]] if (name, part) == ("rife", "stem") else streams:
                jax.tree.map(np.testing.assert_array_equal, stream, values)
    gates = [
        block[f"gate_{s}"]
        for block in untouched.values()
        for s in ("low", "high")
        if f"gate_{s}" in block
    ]
    assert not any(leaf.any() for leaf in jax.tree.leaves((untouched["head"], gates)))


def test_safetensors_are_read(tmp_path):
    state, _ = trunk_of("resnet50")
    save_file(state, tmp_path / "resnet.safetensors")
    read = read_state_dict(tmp_path / "resnet.safetensors")
    assert read.keys() == state.keys()
    assert all(np.array_equal(read[name], tensor) for name, tensor in state.items())


def prefixed(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


PREFIXES = ("base.", "model.", "module.encoder_q.", "_orig_mod.", "a.b.c.", "model.backbone.")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_a_prefix_is_taken_off_and_said(name, prefix, tmp_path):
    state, _ = trunk_of(name)
    torch.save(state, tmp_path / "plain.pth")
    torch.save(prefixed(state, prefix), tmp_path / "prefixed.pth")
    expected, plain = started(name, tmp_path / "plain.pth")
    variables, report = started(name, tmp_path / "prefixed.pth")
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
    assert (report.loaded, report.skipped) == (plain.loaded, plain.skipped)
    assert f"prefix {prefix.removeprefix('module.')!r} taken off" in str(report)
    assert plain.prefix == ""


def test_other_files_with_prefixes(tmp_path):
    """SE-ResNet50 in another spelling, MoCo's two networks, a network among others, one in a wrapper of its own."""
    state, _ = trunk_of("se_resnet50")
    torch.save(prefixed(as_pretrained_models(state), "net."), tmp_path / "se.pth")
    assert started("se_resnet50", tmp_path / "se.pth")[1].unexpected == ()
    state, _ = trunk_of("resnet50")
    expected, _ = started("resnet50", saved(state, tmp_path))
    slow = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    moco = prefixed(state, "module.encoder_q.") | prefixed(slow, "module.encoder_k.")
    others = {"decoder.conv1.weight": torch.zeros(3), "queue": torch.zeros(3)}
    for content in (
        {"state_dict": moco | {"module.queue": torch.zeros(9)}},
        prefixed(state, "base.") | others,
        {"model_state_dict": state, "epoch": 3, "optimizer": {"state": {}}},
    ):
        variables, _ = started("resnet50", saved(content, tmp_path))
        jax.tree.map(np.testing.assert_array_equal, variables, expected)
    for content, message in (
        (
            prefixed(state, "one.") | prefixed(slow, "two."),
            r"below 'one\.' and 'two\.', expected one",
        ),
        ({"student": state, "teacher": slow}, "weights under 'student', 'teacher', expected those"),
    ):
        with pytest.raises(UserError, match=message):
            started("resnet50", saved(content, tmp_path))


def saved(content, folder):
    torch.save(content, folder / "file.pth")
    return folder / "file.pth"


def test_a_prefix_that_is_not_there():
    """DenseNet121 without torchvision's "features."; and all names of a network of ours."""
    state = {key: tensor.numpy() for key, tensor in trunk_of("densenet121")[0].items()}
    network = narrow("densenet121")
    rows = [row for row in network.extractor.backbone_names()]
    bare = {key.removeprefix("features."): value for key, value in state.items()}
    found, words = with_names(bare, rows, "x")
    assert {name for row in rows for name in row.names} <= found.keys()
    assert words == "prefix 'features.' put in front"


@pytest.mark.parametrize("prefix", ["model.", "net.module."])
def test_a_prefix_of_a_whole_network(prefix):
    state, network = released_state()
    expected, plain = from_state_dict(state, network)
    variables, report = from_state_dict(prefixed(state, prefix), network)
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
    assert report.unexpected == plain.unexpected
    assert report.prefix == f"prefix {prefix!r} taken off"


def test_names_that_fit_nowhere_are_shown(tmp_path):
    state = {f"blocks.{n}.attn.qkv.weight": torch.zeros(3) for n in range(12)}
    with pytest.raises(UserError) as caught:
        started("resnet50", saved(state, tmp_path))
    assert "tensors are missing: conv1.weight, bn1.weight, " in str(caught.value)
    assert "(found 12 others: blocks.0.attn.qkv.weight, " in str(caught.value)


def test_another_backbone_is_refused(tmp_path):
    torch.save(trunk_of("resnet50")[0], tmp_path / "resnet.pth")
    for name, missing in (
        ("se_resnet50", r"16 of 101 tensors are missing: layer1\.0\.se\.fc1\.weight"),
        ("densenet121", r"tensors are missing: features\.conv0\.weight"),
    ):
        with pytest.raises(UserError, match=missing):
            started(name, tmp_path / "resnet.pth")


def test_config_starts_a_stage_from_a_file(tmp_path, caplog):
    torch.save(trunk_of("resnet50")[0], tmp_path / "resnet.pth")
    config = narrow_config("paper", "float32")
    config.run = ("ffsr", "rife", "joint")
    config.init.backbone = str(tmp_path / "resnet.pth")
    check_backbone(config, str(tmp_path), IDENTITIES, config.run)
    with caplog.at_level(logging.INFO, "rireid_jax"):
        variables = initial_variables(config, "rife", str(tmp_path), IDENTITIES)
    assert "keys loaded" in caplog.text
    low, high = (variables["params"]["extractor"]["dsb3"][stream] for stream in ("low", "high"))
    jax.tree.map(np.testing.assert_array_equal, low, high)
    other = initial_variables(config, "ffsr_pretrain", str(tmp_path), IDENTITIES)
    assert "extractor" not in other["params"]
    # Another width is refused before anything is trained.
    config.model.width = 0.25
    config.run = ("ffsr", "rife")
    with pytest.raises(
        UserError, match=r"conv1.weight is \[8, 3, 7, 7\], expected \[16, 3, 7, 7\]"
    ):
        check_backbone(config, str(tmp_path), IDENTITIES, config.run)


def released_state():
    reference = ReleasedNetwork(IDENTITIES, STAGE_SIZES, WIDTH)
    network = create_network(narrow_config("released", "float32"), "released", IDENTITIES)
    return {name: tensor.numpy() for name, tensor in reference.state_dict().items()}, network


def test_two_values_of_one_tensor_are_refused():
    state, network = released_state()
    for names in ("modelpart", "model1.net"):  # either name is enough
        some = {name: array for name, array in state.items() if not name.startswith(names)}
        from_state_dict(some, network)
    state["modelpart3.0.bn1.bias"] = state["modelpart3.0.bn1.bias"] + 1
    with pytest.raises(
        UserError, match=r"modelpart3\.0\.bn1\.bias differs from model1\.net\.base\.layer2"
    ):
        from_state_dict(state, network)


def test_what_is_skipped_and_what_is_unexpected():
    state, network = released_state()
    state["model2.net.base.satten2.ch.conv1.weight"] = np.ones((1, 1, 1, 1), np.float32)
    state["model3.fc.weight"] = np.ones((1, 1), np.float32)
    _, report = from_state_dict(state, network)
    assert report.unexpected == ("model3.fc.weight",)
    batch_norm = ("weight", "bias", "running_mean", "running_var")
    assert {name for name in report.skipped if not name.endswith(".num_batches_tracked")} == {
        *(f"model2.bn.{end}" for end in batch_norm),
        *("model2.fc.weight", "model2.fc.bias", "model2.net.base.satten2.ch.conv1.weight"),
    }
    assert "1 unexpected: model3.fc.weight" in str(report)


def test_full_size_resnet50_as_an_extractor(one_device, tmp_path):
    torch.manual_seed(0)
    reference = TorchResNet()
    for module in reference.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.3, 0.5)  # keeps features near 1
            torch.nn.init.normal_(module.running_mean, std=0.1)
    torch.save(as_torchreid(reference.state_dict()), tmp_path / "resnet50.pth")
    rng = np.random.default_rng(0)
    paths = [tmp_path / "a.png", tmp_path / "b.jpg"]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (70, 31, 3), dtype=np.uint8)).save(path)
    extractor = Extractor.from_torch(
        tmp_path / "resnet50.pth", variant="resnet50", image_size=(128, 64)
    )
    reference.fc = None
    with torch.no_grad():
        theirs = reference.eval()(load_images(paths, 128, 64)).numpy()
    assert 0.05 < theirs.std() < 20
    features = extractor.extract(paths)
    assert features.shape == (2, 2048)
    np.testing.assert_allclose(features, theirs, atol=1e-4)
    state = {f"backbone.{name}": t for name, t in reference.state_dict().items()}
    torch.save({"model": state}, tmp_path / "fastreid.pth")
    network, _, _ = load_resnet50(tmp_path / "fastreid.pth")
    assert network.extractor.last_stride == 1  # fast-reid's


def test_unknown_variants_are_refused(tmp_path):
    with pytest.raises(
        UserError, match="variant: found 'paper', expected one of released, resnet50"
    ):
        Extractor.from_torch(tmp_path / "x.pth", variant="paper")
