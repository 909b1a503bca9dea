"""CSR-GAN's networks: their sizes, their levels, and what is left of them in inference.

Their values are compared with PyTorch's in tests/parity/test_csr_gan.py: units, shrinking and sub-pixels too.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rireid_jax.config import base_config
from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.network import create_network, infer, variable_shapes
from rireid_jax.paper.systems.csr_gan_networks import (
    CSRGAN,
    Discriminator,
    Discriminators,
    Generator,
    shrink,
    to_signed,
)

# Compiling takes longer than anything else here.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
NARROW = dict(blocks=1, width=0.0625)
LEVELS = [jnp.zeros((2, side, side, 3)) for side in (4, 8, 16)]


def size(module, height, width):
    """Parameters and multiply-accumulates."""
    variables = variable_shapes(module, (height, width))
    macs = count_macs(module.apply, variables, image_like(height, width))
    return count_parameters(variables["params"]), macs


def conv_weights(*kernels):
    return sum(k * k * before * after for k, before, after in kernels)


def test_generators_have_the_size_of_their_layers():
    blocks = [(3, 64, 64)] * 33  # two in each of 16 blocks, and one after
    kernels = [(3, 3, 64), *blocks, (3, 64, 256)]
    biases, norms = 64 + 256 + 3, 33 * 2 * 64
    weights = conv_weights(*kernels, (1, 64, 3)) + biases + norms
    # The last layer is at twice the size, all others at the input's.
    macs = 12 * 8 * conv_weights(*kernels) + 24 * 16 * 64 * 3
    assert size(Generator(), 12, 8) == (weights, macs) == (1_370_435, macs)

    three, all_macs = size(CSRGAN(), 96, 64)
    assert three == 3 * weights
    # At 12x8, 24x16 and 48x32; shrinking images takes matrix products too.
    assert 0 < all_macs - macs * (1 + 4 + 16) < 0.001 * all_macs


def test_discriminator_has_the_size_of_its_layers():
    halved = [(4, 64 * 2**i, 128 * 2**i) for i in range(5)]
    rest = [(1, 2048, 1024), (1, 1024, 512), (1, 512, 128), (3, 128, 128), (3, 128, 512)]
    norms = 2 * sum(kernel[2] for kernel in (*halved, *rest))
    weights = conv_weights((4, 3, 64), *halved, *rest) + norms + 64
    cells = 6 * 2 * 512  # what 384x128 comes to
    found = variable_shapes(Discriminator(), (384, 128))["params"]
    assert count_parameters(found) == weights + cells + 1


def test_levels_are_the_original_halved_again_and_again():
    module = CSRGAN(**NARROW)
    shapes = variable_shapes(module, (32, 16))
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.1), shapes)
    for factor in (8, 4, 2):  # what a generator makes of an image says which one it was
        out = variables["params"][f"generator{factor}"]["out"]
        out["kernel"] = jnp.zeros_like(out["kernel"])
        out["bias"] = jnp.arctanh(jnp.full(3, factor / 10))
    image = jax.random.normal(jax.random.key(0), (2, 32, 16, 3))
    learn = partial(module.apply, method=CSRGAN.levels, mutable=["batch_stats"])
    levels, _ = jit(learn)(variables, image)
    assert [real.shape[1:3] for _, real in levels] == [(8, 4), (16, 8), (32, 16)]
    whole = to_signed(image)
    half = shrink(whole, 2)
    for (generated, real), expected, value in zip(
        levels, (shrink(half, 2), half, whole), (0.8, 0.4, 0.2), strict=True
    ):
        np.testing.assert_allclose(real, expected, atol=1e-6)
        np.testing.assert_allclose(generated, jnp.full_like(real, value), atol=1e-5)


def test_discriminators_are_parameters_without_a_part_in_inference():
    config = base_config()
    config.model.width = config.model.generator_width = 0.0625
    config.model.generator_blocks = 1
    stage = config.stages.joint
    stage.update(super_resolution="csr_gan", extractor="resnet50")
    plain = create_network(config, "joint", 5)
    stage.losses.csr_gan.update(weight=1.0, discriminator_width=0.0625)
    learning = create_network(config, "joint", 5)
    modules = {"super_resolution", "discriminator", "extractor"}
    variables = variable_shapes(learning, (32, 16))
    assert set(variables["params"]) == set(variables["batch_stats"]) == modules
    own = variable_shapes(plain, (32, 16))
    for kind in own:
        del variables[kind]["discriminator"]
    assert own == variables
    image, widths = jnp.ones((2, 32, 16, 3)), jnp.array([3, 9], jnp.int32)
    programs = {
        str(jax.make_jaxpr(lambda v, n=network: vars(infer(n, v, image, widths)))(own))
        for network in (learning, plain)
    }
    assert len(programs) == 1


def test_outputs_are_float32_and_discriminators_synchronised():
    """Those of generators: tests/models/test_every_network.py and tests/training/test_csr_gan_losses.py."""
    module = Discriminators(0.0625, jnp.bfloat16, "devices")
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), LEVELS))

    def train(variables):
        return module.apply(variables, LEVELS, mutable=["batch_stats"])

    jaxpr, (out, _) = jax.make_jaxpr(train, axis_env=[("devices", 8)], return_shape=True)(variables)
    assert (out.shape, out.dtype) == ((2, 3), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert str(jaxpr).count("psum") == len(jax.tree.leaves(variables["batch_stats"]))
    generator = Generator(1, 0.125, jnp.bfloat16)
    out = jax.eval_shape(generator.apply, variable_shapes(generator, (32, 16)), image_like(32, 16))
    assert (out.shape, out.dtype) == ((1, 64, 32, 3), jnp.float32)
