"""The networks' sizes, counted by hand, and how their parts are joined."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from abstract import macs, maps, parameters, shapes

from rireid_jax.models.ffsr import FFSR
from rireid_jax.models.network import Network
from rireid_jax.models.pixels import denormalise, normalise
from rireid_jax.models.resnet import ResNet, Stage
from rireid_jax.models.rife import RIFE, DualStreamBlock, Gate, fuse

# Every layer of FFSR: (input channels, output channels, kernel, the map's part of the image's pixels).
FFSR_LAYERS = {
    "down1": (3, 64, 2, 4),
    "enc1": (64, 64, 3, 4),
    "down2": (64, 256, 2, 16),
    "enc2": (256, 256, 3, 16),
    "squeeze": (256, 64, 1, 16),
    "mid": (64, 64, 3, 16),
    "expand": (64, 256, 1, 16),
    "up1": (256, 32, 2, 16),  # counted where it reads, as it writes 2 x 2 pixels for each it reads
    "dec1": (32, 64, 3, 4),
    "up2": (64 + 64, 32, 2, 4),
    "dec2": (32, 32, 3, 1),
    "out": (32, 3, 3, 1),
}


def test_ffsr_has_the_cost_of_table_1():
    variables, _ = shapes(FFSR(), 384, 128)
    kernels = {name: layer["kernel"].shape for name, layer in variables["params"].items()}
    assert kernels == {
        name: (kernel, kernel, inputs, outputs)
        for name, (inputs, outputs, kernel, _) in FFSR_LAYERS.items()
    }
    by_hand = sum(
        inputs * outputs * kernel**2 * (384 * 128 // part)
        for inputs, outputs, kernel, part in FFSR_LAYERS.values()
    )
    assert macs(FFSR(), 384, 128) == by_hand == 3_713_531_904
    weights = sum(i * o * k**2 + o for i, o, k, _ in FFSR_LAYERS.values())
    assert parameters(FFSR()) == weights == 841_475


def test_ffsr_starts_from_the_bilinear_image():
    image = jax.random.normal(jax.random.key(0), (2, 16, 8, 3))
    ffsr = FFSR(width=0.25)
    restored, variables = ffsr.init_with_output(jax.random.key(1), image)
    np.testing.assert_array_equal(restored, image)
    # What the last layer says is added.
    variables["params"]["out"]["bias"] = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        ffsr.apply(variables, image), image + jnp.array([1.0, 2.0, 3.0]), rtol=1e-6
    )


@pytest.mark.parametrize("skip", ["A", "B"])
def test_ffsr_skips_carry_the_image(skip):
    ffsr = FFSR(width=0.25)
    images = jax.random.normal(jax.random.key(0), (2, 16, 8, 3))
    params = ffsr.init(jax.random.key(1), images)["params"]
    params["out"]["kernel"] = jnp.ones_like(params["out"]["kernel"])
    for name in ("up1", "up2"):  # positive, so that no ReLU is shut
        params[name]["bias"] = jnp.full_like(params[name]["bias"], 10.0)
    if skip == "A":
        params["dec1"] = jax.tree.map(jnp.zeros_like, params["dec1"])
    else:  # the last 16 of the channels that up2 reads are skip A's
        params["up2"]["kernel"] = params["up2"]["kernel"].at[:, :, 16:].set(0)
        params["expand"] = jax.tree.map(jnp.zeros_like, params["expand"])
    residual = ffsr.apply({"params": params}, images) - images
    assert np.abs(residual[0] - residual[1]).mean() > 0.01


def test_ffsr_width():
    variables, _ = shapes(FFSR(width=0.25), 16, 8)
    found = {name: layer["kernel"].shape[-1] for name, layer in variables["params"].items()}
    assert found == {
        name: 3 if name == "out" else outputs // 4
        for name, (_, outputs, _, _) in FFSR_LAYERS.items()
    }


def test_ffsr_output_is_never_less_than_float32():
    for dtype in (jnp.float32, jnp.bfloat16):
        variables, image = shapes(FFSR(0.25, dtype), 16, 8)
        assert jax.eval_shape(FFSR(0.25, dtype).apply, variables, image).dtype == jnp.float32


def test_resnet50_has_torchvisions_size():
    # torchvision's ResNet50: 25,557,032 parameters and 4,089,184,256 MACs at 224x224, of which its classifier
    # has 2048 * 1000 + 1000 and 2048 * 1000. Ours has FC 256 and FC N there.
    head = 2048 * 256 + 256 * 751
    backbone = 25_557_032 - (2048 * 1000 + 1000)
    assert parameters(ResNet(751), False) == backbone + head + 256 + 751
    backbone = 4_089_184_256 - 2048 * 1000
    assert macs(ResNet(751), 224, 224, False) == backbone + head
    assert round(macs(ResNet(751), 256, 128, False) / 1e9, 2) == 2.67


def test_rife_has_two_of_every_stage_and_one_stem():
    stem = 7 * 7 * 3 * 64 + 2 * 64
    stages = 25_557_032 - (2048 * 1000 + 1000) - stem
    gates = sum(channels * 64 + 64 + 64 + 1 for channels in (256, 512, 1024, 2048))
    head = 2048 * 256 + 256 + 256 * 751 + 751
    assert parameters(RIFE(751), False) == stem + 2 * stages + 2 * gates + head == 48_216_631


def test_width_and_stage_sizes():
    network = ResNet(3, feature_dim=7, stage_sizes=(1, 2, 1, 3), width=0.25)
    variables, _ = shapes(network, 64, 32, False)
    params = variables["params"]
    assert [len(params[f"stage{t}"]) for t in (1, 2, 3, 4)] == [1, 2, 1, 3]
    found = maps(network, 64, 32)
    assert found["stem"] == (1, 16, 8, 16)
    assert found["stage1"] == (1, 16, 8, 64)
    assert found["stage2"] == (1, 8, 4, 128)
    assert found["stage3"] == (1, 4, 2, 256)
    assert found["stage4"] == (1, 2, 1, 512)
    assert params["head"]["feature"]["kernel"].shape == (512, 7)
    assert params["head"]["classifier"]["kernel"].shape == (7, 3)


@pytest.mark.parametrize(("network", "last"), [(ResNet, "stage4"), (RIFE, "dsb4")])
def test_last_stride_keeps_a_finer_map(network, last):
    network = partial(network, 3, stage_sizes=(1, 1, 1, 1), width=0.125)
    assert maps(network(last_stride=2), 64, 32)[last] == (1, 2, 1, 256)
    assert maps(network(last_stride=1), 64, 32)[last] == (1, 4, 2, 256)


@pytest.mark.parametrize(("network", "blocks"), [(ResNet, 0), (RIFE, 4)])
def test_outputs_of_the_extractors_are_never_less_than_float32(network, blocks):
    network = network(5, feature_dim=6, stage_sizes=(1, 1, 1, 1), width=0.125, dtype=jnp.bfloat16)
    variables, image = shapes(network, 32, 16, False)
    out = jax.eval_shape(lambda v, x: network.apply(v, x, False), variables, image)
    assert [part.shape for part in out] == [(1, 6), (1, 5), (1, blocks, 2)]
    assert {part.dtype for part in out} == {jnp.dtype(jnp.float32)}


def test_fuse_by_hand():
    # Eq. 6: 0.25 * 4 + 0.5 * 10 = 6; the weights are not normalised.
    low, high = np.full((2, 1, 2, 1), 4.0, np.float32), np.full((2, 1, 2, 1), 10.0, np.float32)
    gates = np.array([[0.25, 0.5], [1.0, 1.0]], np.float32)
    fused = fuse(*map(jnp.asarray, (low, high, gates)))
    np.testing.assert_array_equal(fused[0], np.full((1, 2, 1), 6.0))
    np.testing.assert_array_equal(fused[1], np.full((1, 2, 1), 14.0))


def test_gate_by_hand():
    # GAP (2, 1); FC 2 -> (2 - 1 + 1, -2) -> ReLU (2, 0); FC 1 -> 2 * 0.5 - 1 = 0 -> sigmoid 1/2.
    x = jnp.array([[[[1.0, 0.0], [3.0, 2.0]]]])
    params = {
        "fc1": {"kernel": jnp.array([[1.0, -1], [-1, 0]]), "bias": jnp.array([1.0, 0])},
        "fc2": {"kernel": jnp.array([[0.5], [7.0]]), "bias": jnp.array([-1.0])},
    }
    np.testing.assert_allclose(Gate(2).apply({"params": params}, x), [0.5], rtol=1e-6)
    params["fc2"]["bias"] = jnp.array([-1 + np.log(3)])  # sigmoid(ln 3) = 3/4
    np.testing.assert_allclose(Gate(2).apply({"params": params}, x), [0.75], rtol=1e-6)


def test_each_gate_weighs_its_own_stream():
    block = DualStreamBlock(partial(Stage, 2, 1, 1), gate_dim=3)
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 8))
    variables = block.init(jax.random.key(1), x, False)
    params = variables["params"]
    streams = {
        name: Stage(2, 1, 1).apply(
            {"params": params[name], "batch_stats": variables["batch_stats"][name]}, x, False
        )
        for name in ("low", "high")
    }
    _, gates = block.apply(variables, x, False)
    for column, name in enumerate(("low", "high")):
        alone = Gate(3).apply({"params": params[f"gate_{name}"]}, streams[name])
        np.testing.assert_allclose(gates[:, column], alone, rtol=1e-6)
    open_, shut = jnp.array([1000.0]), jnp.array([-1000.0])  # sigmoid is 1 and 0
    for chosen, other in (("low", "high"), ("high", "low")):
        gated = {**params}
        for name, bias in ((chosen, open_), (other, shut)):
            gate = params[f"gate_{name}"]
            gated[f"gate_{name}"] = {**gate, "fc2": {**gate["fc2"], "bias": bias}}
        fused, gates = block.apply({**variables, "params": gated}, x, False)
        np.testing.assert_allclose(fused, streams[chosen], rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(
            gates, [[float(chosen == "low"), float(chosen == "high")]] * 2
        )
    assert not np.allclose(streams["low"], streams["high"])


def test_normalisation_by_hand():
    # Of ImageNet: (0 - 0.485) / 0.229, (255/255 - 0.456) / 0.224, (51/255 - 0.406) / 0.225.
    image = jnp.array([[[[0, 255, 51]]]], jnp.uint8)
    expected = [-0.485 / 0.229, 0.544 / 0.224, -0.206 / 0.225]
    np.testing.assert_allclose(normalise(image)[0, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(denormalise(normalise(image))[0, 0, 0], [0, 1, 0.2], atol=1e-6)
    np.testing.assert_array_equal(denormalise(jnp.full((1, 1, 1, 3), 9.0)), np.ones((1, 1, 1, 3)))


def test_network_without_modules_is_the_bilinear_image():
    image = jnp.ones((1, 4, 4, 3))
    outputs = Network(None, None).apply({}, image)
    np.testing.assert_array_equal(outputs.restored, image)
    assert outputs.feature is outputs.logits is outputs.gates is None
