"""CSR-GAN's networks: their sizes, how images enter the cascade, and what its levels are."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from abstract import draw, shapes, size

from rireid_jax.config import base_config
from rireid_jax.models.complexity import count_parameters
from rireid_jax.models.csr_gan import (
    CSRGAN,
    Discriminator,
    Discriminators,
    Generator,
    pixel_shuffle,
    shrink,
    to_normalised,
    to_signed,
)
from rireid_jax.models.network import create_network, infer, initialise
from rireid_jax.models.pixels import denormalise, normalise

# Compiling takes longer than anything else here.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
NARROW = dict(blocks=1, width=0.0625)
LEVELS = [jnp.zeros((2, side, side, 3)) for side in (4, 8, 16)]


def conv_weights(*kernels):
    return sum(k * k * before * after for k, before, after in kernels)


def test_generator_has_the_size_of_its_layers():
    blocks = [(3, 64, 64)] * 33  # two in each of 16 blocks, and one after
    kernels = [(3, 3, 64), *blocks, (3, 64, 256)]
    biases, norms = 64 + 256 + 3, 33 * 2 * 64
    weights = conv_weights(*kernels, (1, 64, 3)) + biases + norms
    # The last layer is at twice the size, all others at the input's.
    macs = 12 * 8 * conv_weights(*kernels) + 24 * 16 * 64 * 3
    assert size(Generator(), 12, 8, False) == (weights, macs)
    assert weights == 1_370_435


def test_the_cascade_has_three_generators_at_a_quarter_of_the_cost_each():
    one = size(Generator(), 12, 8, False)
    weights, macs = size(CSRGAN(), 96, 64)
    assert weights == 3 * one[0]
    # At 12x8, 24x16 and 48x32; making images smaller is matrix products too.
    assert 0 < macs - one[1] * (1 + 4 + 16) < 0.001 * macs


def test_discriminator_has_the_size_of_its_layers():
    halved = [(4, 64 * 2**i, 128 * 2**i) for i in range(5)]
    rest = [(1, 2048, 1024), (1, 1024, 512), (1, 512, 128), (3, 128, 128), (3, 128, 512)]
    norms = 2 * sum(kernel[2] for kernel in (*halved, *rest))
    weights = conv_weights((4, 3, 64), *halved, *rest) + norms + 64
    # 384x128 comes to 6x2 cells of 512.
    cells = 6 * 2 * 512
    assert count_parameters(shapes(Discriminator(), 384, 128)[0]["params"]) == weights + cells + 1


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


@pytest.fixture(scope="module")
def cascade():
    """A network whose generators all but shut off what they see and say which of them was the last."""
    module = CSRGAN(**NARROW)
    variables = draw(shapes(module, 32, 16)[0])
    params = variables["params"]
    for factor in (8, 4, 2):
        out = params[f"generator{factor}"]["out"]
        out["kernel"] = jnp.zeros_like(out["kernel"])
        out["bias"] = jnp.arctanh(jnp.full(3, factor / 10))
    return module, variables


def test_the_last_generator_gives_what_comes_out(cascade):
    module, variables = cascade
    widths = jnp.array([1, 2, 4, 8, 9, 16], jnp.int32)  # of 16
    image = jax.random.normal(jax.random.key(0), (6, 32, 16, 3))
    restored = to_signed(jit(module.apply)(variables, image, widths))
    # Up to a half some generator is the last, and that is always the one to full size.
    np.testing.assert_allclose(restored[:4], 0.2, atol=1e-5)
    np.testing.assert_allclose(restored[4:], to_signed(image)[4:], atol=1e-5)


@pytest.mark.parametrize(("factor", "passes"), [(8, [2]), (4, [2, 4]), (2, [2, 4, 8])])
def test_an_image_passes_the_generators_that_it_needs(factor, passes):
    """Seen by what moves where a generator changes: native widths of 2, 4, 8 and 16 out of 16."""
    module = CSRGAN(**NARROW)
    variables = draw(shapes(module, 32, 16)[0])
    image = jax.random.normal(jax.random.key(0), (4, 32, 16, 3))
    widths = jnp.array([2, 4, 8, 16], jnp.int32)
    apply = jit(module.apply)
    before = apply(variables, image, widths)
    out = variables["params"][f"generator{factor}"]["out"]
    out["bias"] = out["bias"] + 1
    after = apply(variables, image, widths)
    moved = np.abs(np.asarray(after - before)).max((1, 2, 3)) > 1e-4
    assert [int(w) for w, m in zip(widths, moved, strict=True) if m] == passes


def test_unknown_widths_are_the_narrowest():
    module = CSRGAN(**NARROW)
    variables = draw(shapes(module, 32, 16)[0])
    image = jax.random.normal(jax.random.key(0), (2, 32, 16, 3))
    narrowest = jit(module.apply)(variables, image, jnp.ones(2, jnp.int32))
    np.testing.assert_array_equal(jit(module.apply)(variables, image), narrowest)


def test_levels_are_the_original_halved_again_and_again(cascade):
    module, variables = cascade
    image = jax.random.normal(jax.random.key(0), (2, 32, 16, 3))
    levels, _ = module.apply(variables, image, method=CSRGAN.levels, mutable=["batch_stats"])
    assert [real.shape[1:3] for _, real in levels] == [(8, 4), (16, 8), (32, 16)]
    whole = to_signed(image)
    half = shrink(whole, 2)
    for (generated, real), expected, value in zip(
        levels, (shrink(half, 2), half, whole), (0.8, 0.4, 0.2), strict=True
    ):
        np.testing.assert_array_equal(real, expected)
        np.testing.assert_allclose(generated, jnp.full_like(real, value), atol=1e-5)


def test_shrinking_keeps_the_mean_and_a_ramp():
    flat = jnp.full((1, 16, 8, 3), 0.25)
    np.testing.assert_allclose(shrink(flat, 8), jnp.full((1, 2, 1, 3), 0.25), rtol=1e-6)
    ramp = jnp.broadcast_to(jnp.arange(32.0)[None, :, None, None], (1, 32, 8, 3))
    inside = shrink(ramp, 2)[0, 4:-4, 0, 0]  # centres of pairs, far enough from the border
    np.testing.assert_allclose(inside, np.arange(8, 24, 2) + 0.5, rtol=1e-5)


def narrow(**changes):
    config = base_config("pedestrians")
    config.dtype = changes.pop("dtype", "float32")
    config.model.width = config.model.generator_width = config.model.discriminator_width = 0.0625
    config.model.generator_blocks = 1
    config.stages.joint.update(super_resolution="csr_gan", extractor="resnet50", **changes)
    return config


def test_discriminators_are_parameters_without_a_part_in_inference():
    train = ("super_resolution", "discriminator", "extractor")
    learning = create_network(narrow(train=train), "joint", 5)
    plain = create_network(narrow(train=("extractor",)), "joint", 5)
    assert plain.discriminator is None
    variables = initialise(learning, 0, (32, 16))
    assert set(variables["params"]) == set(variables["batch_stats"]) == set(train)
    own = {
        kind: {name: tree for name, tree in modules.items() if name != "discriminator"}
        for kind, modules in variables.items()
    }
    jax.tree.map(np.testing.assert_array_equal, own, initialise(plain, 0, (32, 16)))
    image, widths = jnp.ones((2, 32, 16, 3)), jnp.array([3, 9], jnp.int32)
    found, expected = (
        jit(lambda v, network=network: vars(infer(network, v, image, widths)))(given)
        for network, given in ((learning, variables), (plain, own))
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_outputs_are_never_less_than_float32():
    generator = Generator(1, 0.125, jnp.bfloat16)
    variables, image = shapes(generator, 32, 16, False)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    out = jax.eval_shape(lambda v, x: generator.apply(v, x, False), variables, image)
    assert (out.shape, out.dtype) == ((1, 64, 32, 3), jnp.float32)
    module = Discriminators(0.0625, jnp.bfloat16)
    out, variables = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), LEVELS))
    assert (out.shape, out.dtype) == ((2, 3), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_every_batch_norm_is_synchronised():
    module = CSRGAN(**NARROW, axis_name="devices")
    variables, image = shapes(module, 32, 16)

    def train(variables, image):
        return module.apply(variables, image, method=CSRGAN.levels, mutable=["batch_stats"])

    def discriminate(variables):
        return adversaries.apply(variables, LEVELS, mutable=["batch_stats"])

    jaxpr = jax.make_jaxpr(train, axis_env=[("devices", 8)])(variables, image)
    assert str(jaxpr).count("psum") == len(jax.tree.leaves(variables["batch_stats"]))
    adversaries = Discriminators(0.0625, axis_name="devices")
    variables = jax.eval_shape(lambda: adversaries.init(jax.random.key(0), LEVELS))
    jaxpr = jax.make_jaxpr(discriminate, axis_env=[("devices", 8)])(variables)
    assert str(jaxpr).count("psum") == len(jax.tree.leaves(variables["batch_stats"]))
