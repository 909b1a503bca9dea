"""Parameters and multiply-accumulates (MACs) of the networks, as published or counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from abstract import shapes, size

from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.densenet121 import DenseNet, dense_block_sizes
from rireid_jax.models.ffsr import FFSR
from rireid_jax.models.resnet50 import ResNet
from rireid_jax.models.rife import RIFE
from rireid_jax.models.srcnn import SRCNN
from rireid_jax.models.two_resnet50 import TwoResNet
from rireid_jax.models.vdsr import VDSR
from rireid_jax.paper.systems.sing import LuminanceSRCNN

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
    assert kernels == {name: (k, k, i, o) for name, (i, o, k, _) in FFSR_LAYERS.items()}
    macs = sum(i * o * k**2 * (384 * 128 // part) for i, o, k, part in FFSR_LAYERS.values())
    weights = sum(i * o * k**2 + o for i, o, k, _ in FFSR_LAYERS.values())
    assert size(FFSR(), 384, 128) == (weights, macs) == (841_475, 3_713_531_904)


def test_srcnn_and_vdsr_have_the_cost_of_their_layers():
    pixels = 384 * 128
    # Dong et al. (2014) count 8,032 weights on luminance: 9*9*64 + 64*32 + 5*5*32.
    weights = 8_032 + 2 * (81 * 64 + 25 * 32)
    assert size(SRCNN(), 384, 128) == (weights + 64 + 32 + 3, 983_040_000)
    assert pixels * weights == 983_040_000
    # Dong et al. (2016) count 57,184 for 9-5-5 on luminance.
    assert size(LuminanceSRCNN(), 384, 128) == (57_184 + 64 + 32 + 1, pixels * 57_184)
    # Table 1: 32.79 G.
    weights = 9 * (3 * 64 + 18 * 64 * 64 + 64 * 3)
    assert size(VDSR(), 384, 128) == (weights + 19 * 64 + 3, 32_784_777_216)
    assert pixels * weights == 32_784_777_216


HEAD, BIASES = 2048 * 256 + 256 * 751, 256 + 751
TRUNK = 25_557_032 - (
    2048 * 1000 + 1000
)  # parameters of torchvision's ResNet50, less its classifier
TRUNK_MACS = 4_089_184_256 - 2048 * 1000  # likewise at 224x224


def test_extractors_have_torchvisions_and_timms_sizes():
    assert size(ResNet(751), 224, 224, False) == (TRUNK + HEAD + BIASES, TRUNK_MACS + HEAD)
    # At 256x128 and with a last stride of 1, as re-identification papers count it.
    assert round((size(ResNet(751, last_stride=1), 256, 128, False)[1] - HEAD) / 1e9, 2) == 4.05

    # timm's seresnet50 has 28,088,024 parameters.
    blocks = [(256, 3), (512, 4), (1024, 6), (2048, 3)]
    se = sum(count * 2 * channels * (channels // 16) for channels, count in blocks)
    weights = 28_088_024 - (2048 * 1000 + 1000) + HEAD + BIASES
    network = ResNet(751, squeeze_excitation=True)
    assert size(network, 224, 224, False) == (weights, TRUNK_MACS + HEAD + se)

    # torchvision's DenseNet121 has 7,978,856 parameters and 2,834,161,664 MACs.
    head = 1024 * 256 + 256 * 751
    expected = 7_978_856 - 1_025_000 + head + BIASES, 2_834_161_664 - 1_024_000 + head
    assert size(DenseNet(751), 224, 224, False) == expected
    assert dense_block_sizes((3, 4, 6, 3)) == DenseNet(751).block_sizes


def test_streams_are_whole_resnets():
    stem = 7 * 7 * 3 * 64 + 2 * 64
    gates = sum(channels * 64 + 64 + 64 + 1 for channels in (256, 512, 1024, 2048))
    assert gates * 2 == 492_552
    expected = stem + 2 * (TRUNK - stem) + 2 * gates + HEAD + BIASES
    assert count_parameters(shapes(RIFE(751), 64, 32, False)[0]["params"]) == expected == 48_216_631
    both = 2 * (TRUNK + 2048 * 256 + 256) + 256 * 751 + 751
    for weighted, extra in ((False, 0), (True, 2 * (2048 * 64 + 64 + 64 + 1))):
        variables, _ = shapes(TwoResNet(751, weighted=weighted), 64, 32, False)
        assert count_parameters(variables["params"]) == both + extra


def convolution(x, kernel, groups):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "VALID", dimension_numbers=dimensions, feature_group_count=groups
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_macs_of_a_convolution(groups):
    # The output is 2 x 4 x 3 pixels of 6 channels; each sums 3 x 3 x 4 products, or half of them in two groups.
    kernel = jnp.ones((3, 3, 4 // groups, 6))
    found = count_macs(lambda x, k: convolution(x, k, groups), jnp.ones((2, 9, 7, 4)), kernel)
    assert found == 2 * 4 * 3 * 6 * (3 * 3 * 4 // groups)


def test_macs_of_products_in_nested_functions_and_no_others():
    @jax.jit
    def inner(x, w):
        return jax.nn.relu(x @ w)  # a custom derivative in a jit

    @jax.jit
    def outer(x, w):
        return jax.checkpoint(inner)(inner(x, w) + 1, w).sum() * jnp.tanh(x).mean()

    assert count_macs(outer, jnp.ones((2, 8)), jnp.ones((8, 8))) == 2 * (2 * 8 * 8)
    many = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((4, 3, 5), (4, 5, 7))]
    assert count_macs(jax.vmap(jnp.matmul), *many) == 4 * 3 * 5 * 7


def test_parameters_and_image():
    tree = {"a": np.zeros((2, 3)), "b": {"c": jax.ShapeDtypeStruct((5,), jnp.float32)}}
    assert count_parameters(tree) == 6 + 5
    assert image_like(6, 4).shape == (1, 6, 4, 3)
