"""CSR-GAN's networks: their sizes, their levels, and what is left of them in inference."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rireid_jax.config import base_config
from rireid_jax.models.complexity import count_macs, count_parameters, image_like
from rireid_jax.models.network import create_network, infer, variable_shapes
from rireid_jax.models.pixels import denormalise, normalise
from rireid_jax.paper.systems.csr_gan_networks import (
    CSRGAN,
    Discriminator,
    Discriminators,
    Generator,
    pixel_shuffle,
    shrink,
    to_normalised,
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


def test_pixel_shuffle_by_hand():
    # Channels 0 to 3 of one pixel are a square, row by row; 4 to 7 that of the second output channel.
    x = jnp.arange(8.0)[None, None, None]
    expected = np.stack([np.arange(4).reshape(2, 2), np.arange(4, 8).reshape(2, 2)], -1)
    np.testing.assert_array_equal(pixel_shuffle(x)[0], expected)


def test_units_by_hand():
    # Black, white and the mean: -1, 1, and 2 * mean - 1.
    image = normalise(jnp.array([[[[0, 0, 0], [255, 255, 255]]]], jnp.uint8))
    np.testing.assert_allclose(to_signed(image)[0, 0, :, 0], [-1, 1], atol=1e-6)
    mean = to_signed(jnp.zeros((1, 1, 1, 3)))[0, 0, 0]
    np.testing.assert_allclose(mean, 2 * np.array([0.485, 0.456, 0.406]) - 1, rtol=1e-6)
    np.testing.assert_allclose(to_normalised(to_signed(image)), image, atol=1e-5)
    np.testing.assert_allclose(denormalise(to_normalised(jnp.zeros((1, 1, 1, 3)))), 0.5, rtol=1e-6)


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


def test_shrinking_keeps_the_mean_and_a_ramp():
    flat = jnp.full((1, 16, 8, 3), 0.25)
    np.testing.assert_allclose(shrink(flat, 8), jnp.full((1, 2, 1, 3), 0.25), rtol=1e-6)
    ramp = jnp.broadcast_to(jnp.arange(32.0)[None, :, None, None], (1, 32, 8, 3))
    inside = shrink(ramp, 2)[0, 4:-4, 0, 0]  # centres of pairs, far enough from the border
    np.testing.assert_allclose(inside, np.arange(8, 24, 2) + 0.5, rtol=1e-5)


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


def test_outputs_are_never_less_than_float32():
    generator = Generator(1, 0.125, jnp.bfloat16)
    variables = variable_shapes(generator, (32, 16))
    out = jax.eval_shape(generator.apply, variables, image_like(32, 16))
    assert (out.shape, out.dtype) == ((1, 64, 32, 3), jnp.float32)
    module = Discriminators(0.0625, jnp.bfloat16)
    out, adversaries = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), LEVELS))
    assert (out.shape, out.dtype) == ((2, 3), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, adversaries))} == {
        jnp.dtype("float32")
    }


def test_every_batch_norm_is_synchronised():
    module = CSRGAN(**NARROW, axis_name="devices")
    variables = variable_shapes(module, (32, 16))
    adversaries = Discriminators(0.0625, axis_name="devices")
    others = jax.eval_shape(lambda: adversaries.init(jax.random.key(0), LEVELS))

    def train(variables, others):
        image = jnp.zeros((1, 32, 16, 3))
        levels = module.apply(variables, image, method=CSRGAN.levels, mutable=["batch_stats"])
        return levels, adversaries.apply(others, LEVELS, mutable=["batch_stats"])

    jaxpr = jax.make_jaxpr(train, axis_env=[("devices", 8)])(variables, others)
    stats = [tree["batch_stats"] for tree in (variables, others)]
    assert str(jaxpr).count("psum") == len(jax.tree.leaves(stats))
