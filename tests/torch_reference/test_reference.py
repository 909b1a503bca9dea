"""The reference itself: published counts, hand-worked numbers, and one step by hand."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from . import evaluation, images, losses, train  # noqa: E402
from .ffsr import FFSRPaper, FFSRReleased  # noqa: E402
from .macs import count_macs  # noqa: E402
from .plain import DenseNet, SEResNet  # noqa: E402
from .released import ReleasedNetwork  # noqa: E402
from .resnet import ResNet  # noqa: E402
from .rife import JointNetwork, RIFEPaper, fuse  # noqa: E402
from .superres import SRCNN, VDSR  # noqa: E402
from .two_resnets import TwoResNets  # noqa: E402

pytestmark = pytest.mark.torch


def on_meta(build):
    """Builds a network whose tensors have shapes but no values."""
    with torch.device("meta"):
        return build()


def giga_macs(network, height, width):
    return count_macs(network, torch.empty(1, 3, height, width, device="meta")) / 1e9


def num_parameters(network):
    return sum(p.numel() for p in network.parameters())


def tiny_joint(num_classes=5):
    torch.manual_seed(0)
    network = JointNetwork(FFSRPaper(width=0.125), RIFEPaper(num_classes, (1, 1, 1, 1), 0.0625))
    nn.init.normal_(network.ffsr.out.weight, std=0.05)  # at zero it hides the layers before it
    return network.double()


def tiny_batch(size=4, num_classes=5, height=32, width=16):
    generator = torch.Generator().manual_seed(1)

    def normal():
        return torch.randn(size, 3, height, width, generator=generator, dtype=torch.float64)

    return train.Batch(
        image=normal(),
        target=normal(),
        mask=losses.gaussian_mask(height, width).double().expand(size, 1, height, width),
        valid=torch.arange(size) != 1,
        resolution=torch.linspace(0.25, 1.0, size, dtype=torch.float64),
        pid=torch.arange(size) % num_classes,
    )


# Published counts


def test_paper_ffsr_meets_the_budget_of_table_1():
    network = on_meta(FFSRPaper)
    assert giga_macs(network, 384, 128) == pytest.approx(3.7135, abs=5e-5)
    assert sum(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in network.modules()) == 12


def test_released_ffsr_has_the_published_size():
    network = on_meta(FFSRReleased)
    assert num_parameters(network) == 1_052_803
    assert giga_macs(network, 256, 128) == pytest.approx(5.079, abs=5e-4)


@pytest.mark.parametrize(("last_stride", "expected"), [(2, 2.67), (1, 4.05)])
def test_resnet50_has_the_published_size(last_stride, expected):
    assert num_parameters(on_meta(lambda: ResNet(last_stride=last_stride))) == 25_557_032
    trunk = on_meta(lambda: ResNet(num_classes=None, last_stride=last_stride))
    assert giga_macs(trunk, 256, 128) == pytest.approx(expected, abs=5e-3)


def test_resnet50_has_torchvisions_names():
    state = on_meta(ResNet).state_dict()
    assert len(state) == 320
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["layer3.5.conv2.weight"].shape == (256, 256, 3, 3)
    assert state["layer4.0.downsample.1.running_var"].shape == (2048,)
    assert state["fc.bias"].shape == (1000,)


@pytest.mark.parametrize(("network", "expected"), [(SRCNN, 0.98304), (VDSR, 32.785)])
def test_super_resolution_networks_have_the_published_cost(network, expected):
    assert giga_macs(on_meta(network), 384, 128) == pytest.approx(expected, abs=3e-4)


def test_densenet121_has_torchvisions_size_and_names():
    network = on_meta(lambda: DenseNet(1000)).features
    assert num_parameters(network) + 1024 * 1000 + 1000 == 7_978_856
    assert giga_macs(network, 224, 224) + 1.024e-3 == pytest.approx(2.834, abs=5e-4)
    state = network.state_dict()
    assert len(state) == 727 - 2
    assert state["denseblock3.denselayer24.norm1.weight"].shape == (256 + 23 * 32,)
    assert state["transition2.conv.weight"].shape == (256, 512, 1, 1)
    assert state["denseblock4.denselayer16.conv2.weight"].shape == (32, 128, 3, 3)
    assert state["norm5.running_mean"].shape == (1024,)


def test_se_resnet50_has_timms_size_and_names():
    network = on_meta(lambda: ResNet(se=True))
    assert num_parameters(network) == 28_088_024
    state = network.state_dict()
    assert len(state) == 384
    assert state["layer2.3.se.fc1.weight"].shape == (32, 512, 1, 1)
    assert state["layer2.3.se.fc2.bias"].shape == (512,)


def test_two_resnets_weigh_features():
    torch.manual_seed(0)
    network = TwoResNets(3, True, (1, 1, 1, 1), 0.125).eval()
    for head, bias in ((network.gate_low, -100.0), (network.gate_high, math.log(3))):
        nn.init.zeros_(head.fc2.weight)
        nn.init.constant_(head.fc2.bias, bias)
    image = torch.randn(2, 3, 32, 16)
    with torch.no_grad():
        output = network(image)
        high = network.feature_high(network.high(image))
        network.learned = False
        equal = network(image)
        low = network.feature_low(network.low(image))
    torch.testing.assert_close(output.feature, 0.75 * high)
    torch.testing.assert_close(equal.feature, (low + high) / 2)
    assert output.weight_high.shape == (2, 1)
    assert equal.weight_high.shape == (2, 0)


def test_densenet_keeps_what_came_before():
    torch.manual_seed(0)
    layer = DenseNet(3, (2, 1, 1, 1), 0.25).eval().features.denseblock1.denselayer2
    x = torch.randn(1, 24, 5, 3)
    with torch.no_grad():
        y = layer(x)
    assert y.shape == (1, 32, 5, 3)
    torch.testing.assert_close(y[:, :24], x, rtol=0, atol=0)


def test_se_resnet_is_that_resnet_with_open_squeeze():
    torch.manual_seed(0)
    se, plain = SEResNet(3, (1, 1, 1, 1), 0.125).eval(), ResNet(None, (1, 1, 1, 1), 0.125).eval()
    for name, module in se.named_modules():
        if name.endswith("se.fc2"):  # a factor of 1
            nn.init.zeros_(module.weight)
            nn.init.constant_(module.bias, 100.0)
    plain.load_state_dict({k: v for k, v in se.state_dict().items() if k in plain.state_dict()})
    image = torch.randn(2, 3, 32, 16)
    torch.testing.assert_close(se.feature_map(image), plain.feature_map(image))


def test_paper_rife_strides_and_gates():
    rife = on_meta(lambda: RIFEPaper(751, last_stride=1))
    assert giga_macs(rife, 256, 128) == pytest.approx(8.029, abs=2e-3)
    heads = [m for n, m in rife.named_modules() if n.endswith("_head")]
    assert sum(map(num_parameters, heads)) == 492_552
    rife = on_meta(lambda: RIFEPaper(751))
    assert giga_macs(rife, 384, 128) == pytest.approx(7.892, abs=2e-3)


def test_released_network_has_the_published_size_and_names():
    network = on_meta(lambda: ReleasedNetwork(751))
    state = network.state_dict(keep_vars=True)
    assert len(state) == 1356
    assert len({id(tensor) for tensor in state.values()}) == 720
    assert num_parameters(network) == 51_279_915
    assert num_parameters(network.attmodel) == 125_258
    assert state["modelpart1.0.0.0.weight"] is state["model1.net.base.conv1.weight"]
    assert state["modelpart1.0.0.1.running_mean"] is state["model1.net.base.bn1.running_mean"]
    assert state["model2part5.2.conv3.weight"] is state["model2.net.base.layer4.2.conv3.weight"]
    assert state["attmodel.4.1.fc1.weight"].shape == (16, 2048)
    assert {"SRnet.dconv2.bias", "model2.bn.weight", "model2.fc.bias"} <= state.keys()


@pytest.mark.parametrize(("height", "expected"), [(256, 13.186), (384, 19.779)])
def test_released_network_costs_what_was_counted(height, expected):
    network = on_meta(lambda: ReleasedNetwork(751))
    assert giga_macs(network, height, 128) == pytest.approx(expected, abs=5e-4)


# Forward passes


def test_paper_ffsr_starts_as_the_identity():
    torch.manual_seed(0)
    image = torch.randn(2, 3, 16, 8)
    torch.testing.assert_close(FFSRPaper(width=0.125)(image), image, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("build", "bottlenecks", "up1", "up2"),
    [
        (lambda: FFSRPaper(width=0.125), ["expand"], "up1", "up2"),
        (FFSRReleased, ["conv4", "conv6"], "dconv1", "dconv2"),
    ],
)
def test_ffsr_skips_carry_the_image_past_its_bottlenecks(build, bottlenecks, up1, up2):
    torch.manual_seed(0)
    network = build()
    nn.init.normal_(list(network.children())[-1].weight)
    image = torch.randn(2, 3, 16, 8)

    def image_passes():
        """Whether the residual of two images differs."""
        with torch.no_grad():
            first, second = network(image) - image
        return not torch.allclose(first, second, rtol=0, atol=1e-5)

    for name in bottlenecks:
        nn.init.zeros_(network.get_submodule(name).weight)
    quarter, half = network.get_submodule(up1).weight, network.get_submodule(up2).weight
    whole = quarter.detach().clone()
    assert image_passes()
    nn.init.zeros_(quarter)
    assert image_passes()  # by the skip at half size
    nn.init.zeros_(half[len(half) // 2 :])  # the concatenation ends in that skip
    assert not image_passes()
    quarter.data.copy_(whole)
    assert image_passes()  # by the skips at quarter size


def test_fuse_weighs_each_stream_per_example():
    low, high = torch.ones(2, 1, 1, 1), torch.full((2, 1, 1, 1), 10.0)
    fused = fuse(low, high, torch.tensor([[0.5], [1.0]]), torch.tensor([[0.25], [1.0]]))
    assert fused.flatten().tolist() == [3.0, 11.0]


def test_rife_starts_from_one_resnet():
    torch.manual_seed(0)
    resnet = ResNet(10, (1, 2, 1, 1), 0.125)
    rife = RIFEPaper(7, (1, 2, 1, 1), 0.125).eval()
    rife.load_resnet(resnet.state_dict())
    for block in rife.blocks:  # gates of 1/2 fuse equal streams to the stream itself
        for head in (block.low_head, block.high_head):
            nn.init.zeros_(head.fc2.weight)
            nn.init.zeros_(head.fc2.bias)
    image = torch.randn(2, 3, 64, 32)
    output = rife(image)
    pooled = resnet.eval().feature_map(image).mean(dim=(2, 3))
    torch.testing.assert_close(output.feature, rife.feature(pooled))
    assert output.logits is None
    assert output.weight_low.tolist() == output.weight_high.tolist() == [[0.5] * 4] * 2


def test_released_network_feeds_the_stream_named_high():
    torch.manual_seed(0)
    network = ReleasedNetwork(3).eval()
    for part in network.attmodel:
        for head, bias in zip(part, (100.0, -100.0), strict=True):  # high open, low shut
            nn.init.zeros_(head.fc2.weight)
            nn.init.constant_(head.fc2.bias, bias)
    with torch.no_grad():
        restored, rife = network(torch.randn(1, 3, 32, 16))
        pooled = network.model1.net.base(restored)
    torch.testing.assert_close(rife.feature, network.model1.bn(pooled[..., None, None])[..., 0, 0])
    assert rife.weight_high.tolist() == [[1.0] * 5]
    assert rife.weight_low.max() < 1e-30


# Losses and masks


def test_gaussian_mask_by_hand():
    mask = losses.gaussian_mask(6, 3)
    assert mask.shape == (6, 3)
    # Row 2 lies half a pixel from the centre, at sigma 2; column 0 one pixel, at sigma 1.
    assert mask[2, 0].item() == pytest.approx(math.exp(-0.5 * 0.25**2 - 0.5))
    torch.testing.assert_close(mask, mask.flip(0, 1))


def test_released_mask_has_the_published_values():
    mask = losses.released_mask(256, 128)
    assert mask[64, 0] == mask.max()
    assert mask[64, 0].item() == pytest.approx(0.8398, abs=5e-5)
    assert mask[0, 0].item() == pytest.approx(0.502, abs=5e-4)
    assert mask[-1, -1].item() == pytest.approx(0.251, abs=5e-4)
    assert (mask == mask[:, :1]).all()
    assert mask.square().mean().item() == pytest.approx(0.3645, abs=5e-5)
    intended = losses.released_mask(256, 128, index_bug=False)
    assert intended[0, 0].item() == pytest.approx(0.502, abs=5e-4)
    assert intended.max().item() == pytest.approx(0.996, abs=5e-4)
    assert intended.square().mean().item() == pytest.approx(0.5203, abs=5e-5)


def test_losses_by_hand():
    restored = torch.zeros(2, 3, 1, 2)
    target = torch.tensor([1.0, 2.0]).expand(2, 3, 1, 2)
    mask = torch.tensor([[1.0, 0.5], [0.0, 1.0]]).view(2, 1, 1, 2)
    ffsr = losses.ffsr_loss(restored, target, mask)
    assert ffsr.tolist() == [1.0, 2.0]  # (1 + 1) / 2 and (0 + 4) / 2

    low, high = torch.tensor([[0.5, 1.0]]), torch.tensor([[0.5, 0.0]])
    gates = losses.resolution_loss(low, high, torch.tensor([0.25]))
    assert gates.tolist() == [[0.125, 0.125]]

    identity = losses.identity_loss(torch.tensor([[0.0, math.log(3)]]), torch.tensor([0]))
    assert identity.item() == pytest.approx(math.log(4))
    assert losses.rife_loss(identity, gates).item() == pytest.approx(math.log(4) + 0.025)

    rife = torch.tensor([1.0, 3.0])
    assert losses.joint_loss(ffsr, rife, torch.tensor([True, True])).item() == 3.5
    assert losses.joint_loss(ffsr, rife, torch.tensor([False, True])).item() == 4.0
    assert losses.joint_loss(ffsr, rife, torch.tensor([False, False]), alpha=2).item() == 4.0
    total = losses.released_loss(ffsr, rife, gates.expand(2, 2), torch.tensor([True, True]))
    assert total.item() == pytest.approx(2.0 + 0.15 + 0.0025)


# Training


def test_every_parameter_of_the_joint_network_learns():
    network = tiny_joint().train()
    train.joint_objective(network, tiny_batch()).backward()
    dead = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_examples_without_target_have_no_restoration_loss():
    network, batch = tiny_joint().ffsr, tiny_batch()
    before = train.ffsr_objective(network, batch).item()
    batch.target[1] += 1
    assert train.ffsr_objective(network, batch).item() == before
    batch.target[2] += 1
    assert train.ffsr_objective(network, batch).item() != before


def test_paper_optimizer_by_hand():
    # Loss w: gradient 1. v1 = 1 + wd w0; v2 = 0.9 v1 + 1 + wd w1; the second rate is a tenth.
    network = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(network.weight, 2.0)
    optimizer, scheduler = train.paper_optimizer(network, 0.1, milestones=[1])
    batches = [tiny_batch()] * 2
    history = train.train(network, lambda n, _: n.weight.sum(), batches, optimizer, scheduler)
    v1 = 1 + 5e-4 * 2
    w1 = 2 - 0.1 * v1
    w2 = w1 - 0.01 * (0.9 * v1 + 1 + 5e-4 * w1)
    assert history == pytest.approx([2.0, w1], abs=1e-15)
    assert network.weight.item() == pytest.approx(w2, abs=1e-15)


def test_released_optimizer_adds_decay_to_the_gradient():
    network = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(network.weight, 2.0)
    optimizer, scheduler = train.released_optimizer(network, milestones=[1])
    # With no other gradient than the decay's, Adam's first step is the whole rate.
    train.train(network, lambda n, _: 0 * n.weight.sum(), [tiny_batch()], optimizer, scheduler)
    assert network.weight.item() == pytest.approx(2 - 3e-4, rel=1e-8)
    assert scheduler.get_last_lr() == pytest.approx([3e-5])


def test_training_lowers_the_joint_loss():
    network = tiny_joint()
    optimizer, scheduler = train.paper_optimizer(network, 0.01, milestones=[8])
    history = train.train(network, train.joint_objective, [tiny_batch()] * 10, optimizer, scheduler)
    assert history[-1] < 0.9 * history[0]
    assert network.rife.bn1.num_batches_tracked == 10


def test_stage_objectives_are_the_parts_of_the_joint_one():
    network, batch = tiny_joint().train(), tiny_batch()
    with torch.no_grad():
        ffsr = train.ffsr_objective(network.ffsr, batch)
        restored = train.Batch(**{**vars(batch), "image": network.ffsr(batch.image)})
        rife = train.rife_objective(network.rife, restored)
        joint = train.joint_objective(network, batch)
        output = network(batch.image).rife
        released = train.released_objective(network, batch)
    torch.testing.assert_close(joint, ffsr + rife)
    gates = losses.resolution_loss(output.weight_low, output.weight_high, batch.resolution)
    expected = rife + 0.1 * ffsr - 0.09 * gates.sum(dim=1).mean()
    torch.testing.assert_close(released, expected)


# Evaluation and images


def test_market_protocol_by_hand():
    # Query 0 (pid 1, camera 0): its own camera's image, the nearest, is skipped; then pid 2,
    # 1, 2, 1: matches at ranks 2 and 4. Query 1 has no match and is not counted.
    # Query 2 (pid 2, camera 0) finds its matches at ranks 1 and 5: pid 1 of camera 0 is kept.
    features = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])
    distances = evaluation.euclidean_distances(np.array([[-1.0], [0.0], [0.5]]), features)
    np.testing.assert_array_equal(distances[0], [1, 2, 3, 4, 5])
    result = evaluation.evaluate_market(
        np.array([[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [2, 1, 3, 5, 4]]),
        np.array([1, 9, 2]),
        np.array([1, 2, 1, 2, 1]),
        np.array([0, 0, 0]),
        np.array([0, 1, 1, 1, 1]),
    )
    assert result["rank1"] == 0.5
    assert result["rank5"] == result["rank10"] == result["rank20"] == 1.0
    assert result["mAP"] == pytest.approx(((1 / 2 + 2 / 4) / 2 + (1 + 2 / 5) / 2) / 2)
    assert result["mINP"] == pytest.approx((2 / 4 + 2 / 5) / 2)


def test_market_protocol_refuses_queries_without_matches():
    with pytest.raises(ValueError, match="no query has a match"):
        evaluation.evaluate_market(
            np.zeros((1, 1)), np.array([1]), np.array([1]), np.array([0]), np.array([0])
        )


def test_images_are_resized_bilinearly_and_normalised(tmp_path):
    pixels = np.zeros((2, 1, 3), np.uint8)
    pixels[1] = [255, 100, 0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (image,) = images.load_images([tmp_path / "a.png"], height=4, width=2)
    # Half-pixel centres: rows lie at -0.25 (clamped), 0.25, 0.75 and 1.25 (clamped) of the source.
    red = torch.tensor([0.0, 64.0, 191.0, 255.0]) / 255
    expected = ((red - 0.485) / 0.229)[:, None].expand(4, 2)
    torch.testing.assert_close(image[0], expected, rtol=0, atol=1e-5)
    assert image.dtype == torch.float32
    assert image[2].unique().tolist() == pytest.approx([-0.406 / 0.225])
