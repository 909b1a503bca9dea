"""ResNet50 checkpoints of torchvision, torchreid and fast-reid, as a start and as an extractor."""

import logging

import jax
import numpy as np
import pytest
import torch
from parity.narrow import IDENTITIES, STAGE_SIZES, WIDTH, narrow_config
from parity.pairs import randomise_norms
from PIL import Image
from safetensors.torch import save_file
from torch_reference.images import load_images
from torch_reference.released import ReleasedNetwork
from torch_reference.resnet import ResNet as TorchResNet
from torch_reference.rife import RIFEPaper

from rireid_jax import Extractor
from rireid_jax.errors import UserError
from rireid_jax.models.network import create_network, initialise
from rireid_jax.training.loop import check_backbone, initial_variables
from rireid_jax.weights import (
    from_state_dict,
    load_backbone,
    load_resnet50,
    read_state_dict,
    zero_variables,
)

pytestmark = pytest.mark.torch


def narrow_resnet(num_classes=1000):
    torch.manual_seed(0)
    network = TorchResNet(num_classes, STAGE_SIZES, WIDTH)
    randomise_norms(network)
    return network


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


FORMS = {
    "torchvision": lambda state: state,
    "torchreid": as_torchreid,
    "fastreid": as_fastreid,
}


@pytest.mark.parametrize("form", list(FORMS))
def test_all_forms_give_the_same_start(form, tmp_path):
    state = narrow_resnet().state_dict()
    torch.save(FORMS[form](state), tmp_path / "resnet.pth")
    network = create_network(narrow_config("paper", "float32"), "baseline", IDENTITIES)
    variables = zero_variables(network)
    report = load_backbone(tmp_path / "resnet.pth", network, variables)
    assert report.unexpected == ()
    assert len(report.loaded) == 4 * (1 + 3 * 4 + 4) + (1 + 3 * 4 + 4)
    kernel = variables["params"]["extractor"]["stage2"]["block0"]["spatial_conv"]["kernel"]
    expected = state["layer2.0.conv2.weight"].permute(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)


def test_safetensors_are_read(tmp_path):
    state = narrow_resnet().state_dict()
    save_file(state, tmp_path / "resnet.safetensors")
    read = read_state_dict(tmp_path / "resnet.safetensors")
    assert read.keys() == state.keys()
    assert all(np.array_equal(read[name], tensor) for name, tensor in state.items())


def test_paper_starts_stem_and_both_streams(tmp_path):
    resnet = narrow_resnet()
    torch.save(resnet.state_dict(), tmp_path / "resnet.pth")
    config = narrow_config("paper", "float32")
    network = create_network(config, "rife", IDENTITIES)
    ours = initialise(network, 0, (32, 16))
    before = jax.tree.map(np.asarray, ours)
    load_backbone(tmp_path / "resnet.pth", network, ours)

    reference = RIFEPaper(IDENTITIES, STAGE_SIZES, WIDTH)
    state = {f"rife.{name}": tensor.numpy() for name, tensor in reference.state_dict().items()}
    reference.load_resnet(resnet.state_dict())
    expected, _ = from_state_dict(state, network)  # shares memory with the reference
    for kind in ("params", "batch_stats"):
        for name, module in ours[kind]["extractor"].items():
            if name == "head":
                jax.tree.map(np.testing.assert_array_equal, module, before[kind]["extractor"][name])
            for part in set(module) - {"gate_low", "gate_high"} if name != "head" else ():
                theirs = expected[kind]["extractor"][name][part]
                jax.tree.map(np.testing.assert_array_equal, module[part], theirs)


def test_released_starts_both_networks(tmp_path):
    resnet = narrow_resnet()
    torch.save(resnet.state_dict(), tmp_path / "resnet.pth")
    network = create_network(narrow_config("released", "float32"), "released", IDENTITIES)
    ours = zero_variables(network)
    load_backbone(tmp_path / "resnet.pth", network, ours)
    reference = ReleasedNetwork(IDENTITIES, STAGE_SIZES, WIDTH)
    for model in (reference.model1, reference.model2):
        model.net.base.load_state_dict(resnet.state_dict(), strict=False)
    state = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    theirs, _ = from_state_dict(state, network)
    for stream in ("low", "high"):
        for block in range(5):
            for kind in ("params", "batch_stats"):
                jax.tree.map(
                    np.testing.assert_array_equal,
                    ours[kind]["extractor"][f"dsb{block}"][stream],
                    theirs[kind]["extractor"][f"dsb{block}"][stream],
                )


def test_config_starts_a_stage_from_a_file(tmp_path, caplog):
    torch.save(narrow_resnet().state_dict(), tmp_path / "resnet.pth")
    config = narrow_config("paper", "float32")
    config.run = ("ffsr", "rife", "joint")
    config.init.backbone = str(tmp_path / "resnet.pth")
    check_backbone(config, str(tmp_path), IDENTITIES)
    with caplog.at_level(logging.INFO, "rireid_jax"):
        variables = initial_variables(config, "rife", str(tmp_path), IDENTITIES)
    assert "keys loaded" in caplog.text
    low, high = (variables["params"]["extractor"]["dsb3"][stream] for stream in ("low", "high"))
    jax.tree.map(np.testing.assert_array_equal, low, high)
    other = initial_variables(config, "ffsr_pretrain", str(tmp_path), IDENTITIES)
    assert "extractor" not in other["params"]


def test_another_width_is_refused_before_training(tmp_path):
    torch.save(narrow_resnet().state_dict(), tmp_path / "resnet.pth")
    config = narrow_config("paper", "float32")
    config.model.width = 0.25
    config.run = ("ffsr", "rife")
    config.init.backbone = str(tmp_path / "resnet.pth")
    with pytest.raises(
        UserError, match=r"conv1.weight is \[8, 3, 7, 7\], expected \[16, 3, 7, 7\]"
    ):
        check_backbone(config, str(tmp_path), IDENTITIES)


def test_two_values_of_one_tensor_are_refused():
    reference = ReleasedNetwork(IDENTITIES, STAGE_SIZES, WIDTH)
    state = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    network = create_network(narrow_config("released", "float32"), "released", IDENTITIES)
    alone = {name: array for name, array in state.items() if not name.startswith("modelpart")}
    from_state_dict(alone, network)
    renamed = {name: array for name, array in state.items() if not name.startswith("model1.net")}
    from_state_dict(renamed, network)
    state["modelpart3.0.bn1.bias"] = state["modelpart3.0.bn1.bias"] + 1
    with pytest.raises(
        UserError, match=r"modelpart3\.0\.bn1\.bias differs from model1\.net\.base\.layer2"
    ):
        from_state_dict(state, network)


def test_what_is_skipped_and_what_is_unexpected():
    reference = ReleasedNetwork(IDENTITIES, STAGE_SIZES, WIDTH)
    state = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    state["model2.net.base.satten2.ch.conv1.weight"] = np.ones((1, 1, 1, 1), np.float32)
    state["model3.fc.weight"] = np.ones((1, 1), np.float32)
    network = create_network(narrow_config("released", "float32"), "released", IDENTITIES)
    _, report = from_state_dict(state, network)
    assert report.unexpected == ("model3.fc.weight",)
    assert "model2.net.base.satten2.ch.conv1.weight" in report.skipped
    assert "model2.fc.weight" in report.skipped
    assert "1 unexpected: model3.fc.weight" in str(report)


def test_full_size_resnet50_as_an_extractor(tmp_path):
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


def test_fastreids_last_stride_is_known(tmp_path):
    state = {f"backbone.{name}": t for name, t in TorchResNet(None).state_dict().items()}
    torch.save({"model": state}, tmp_path / "fastreid.pth")
    network, _, _ = load_resnet50(tmp_path / "fastreid.pth")
    assert network.extractor.last_stride == 1


def test_unknown_variants_are_refused(tmp_path):
    with pytest.raises(
        UserError, match="variant: found 'paper', expected one of released, resnet50"
    ):
        Extractor.from_torch(tmp_path / "x.pth", variant="paper")
