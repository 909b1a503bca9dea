"""What holds for every network that a config can name, and what is particular to one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from abstract import draw, shapes
from networks import IDENTITIES, NETWORKS, network_of

from rireid_jax.components import EXTRACTORS
from rireid_jax.errors import UserError
from rireid_jax.models.complexity import image_like
from rireid_jax.models.densenet121 import DenseNet
from rireid_jax.models.ffsr import FFSR
from rireid_jax.models.network import Network, infer
from rireid_jax.models.pixels import DEVIATION, MEAN, denormalise, normalise
from rireid_jax.models.rife import Gate, fuse
from rireid_jax.models.vdsr import VDSR
from rireid_jax.paper.systems.sing import LuminanceSRCNN

GATED_PARTS = {"rife": 4, "rife_released": 5, "two_resnet50_weighted": 1}


def variable_shapes(network):
    return shapes(network, 32, 32)[0]


def test_every_name_is_another_network():
    networks = [network_of(name) for name in NETWORKS]
    assert all(networks.count(network) == 1 for network in networks)
    image = jnp.ones((1, 4, 4, 3))
    outputs = Network(None, None).apply({}, image)
    np.testing.assert_array_equal(outputs.restored, image)
    assert outputs.feature is outputs.logits is outputs.gates is None


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_never_less_than_float32(name):
    network = network_of(name, dtype="bfloat16", feature_dim=8)
    image = image_like(64, 32)
    variables = variable_shapes(network)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    outputs = jax.eval_shape(lambda v, x: vars(infer(network, v, x)), variables, image)
    assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype(jnp.float32)}
    assert outputs["restored"].shape == image.shape
    if name in EXTRACTORS:
        feature = 128 if name == "rife_released" else 8  # its neck has the width of its map
        assert outputs["feature"].shape == (1, feature)
        assert outputs["logits"].shape == (1, IDENTITIES)
        assert outputs["gates"].shape == (1, GATED_PARTS.get(name, 0), 2)


# CSR-GAN's are trained by a method of its own: test_csr_gan.py.
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "csr_gan"])
def test_every_batch_norm_is_synchronised(name):
    network = network_of(name, axis_name="devices")

    def train(variables, image):
        return network.apply(variables, image, ("extractor",), mutable=["batch_stats"])

    variables = variable_shapes(network)
    jaxpr = jax.make_jaxpr(train, axis_env=[("devices", 8)])(variables, image_like(32, 32))
    # A mean and a variance are each taken over the devices.
    assert str(jaxpr).count("psum") == len(jax.tree.leaves(variables.get("batch_stats", {})))


@pytest.mark.parametrize(
    ("name", "last"), [("resnet50", "stage4"), ("densenet121", "block4"), ("rife", "dsb4")]
)
def test_last_stride_keeps_a_finer_map(name, last):
    found = []
    for last_stride in (2, 1):
        extractor = network_of(name, last_stride=last_stride).extractor
        variables, image = shapes(extractor, 64, 32, False)
        apply = partial(
            extractor.apply, train=False, capture_intermediates=True, mutable=["intermediates"]
        )
        _, state = jax.eval_shape(apply, variables, image)
        maps = state["intermediates"][last]["__call__"]
        found.append(jax.tree.leaves(maps)[0].shape[1:3])
    assert found == [(2, 1), (4, 2)]


def test_densenet_says_what_is_too_small():
    network = DenseNet(num_classes=2, feature_dim=4, block_sizes=(1, 1, 1, 1), width=0.125)
    with pytest.raises(
        UserError, match="a map of 2x1 to halve, expected at least 32 pixels a side"
    ):
        shapes(network, 32, 16, False)


# What one takes over from another


def assert_same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.fixture(scope="module")
def starts():
    """The extractors by name, each with random parameters at a seed of its own."""
    networks = {name: network_of(name) for name in EXTRACTORS}
    return {
        name: (network.extractor, draw(variable_shapes(network), seed)["params"]["extractor"])
        for seed, (name, network) in enumerate(networks.items())
    }


def test_an_extractor_takes_over_its_own_kind(starts):
    for extractor, given in starts.values():
        assert_same(extractor.adopt(jax.tree.map(np.zeros_like, given), given), given)


def test_two_streams_take_over_a_plain_network_each(starts):
    _, given = starts["resnet50"]
    trunk = {name: part for name, part in given.items() if name != "head"}
    extractor, own = starts["two_resnet50_weighted"]
    layers = dict.fromkeys(("feature_low", "feature_high"), given["head"]["feature"])
    head = {**own["head"], **layers, "classifier": given["head"]["classifier"]}
    assert_same(extractor.adopt(own, given), {"low": trunk, "high": trunk, "head": head})
    narrow = {**given, "head": {"classifier": given["head"]["classifier"]}}  # another neck
    assert_same(extractor.adopt(own, narrow)["head"], own["head"])
    extractor, own = starts["rife"]
    adopted = extractor.adopt(own, given)
    assert_same(adopted.pop("stem"), given["stem"])
    assert_same(adopted.pop("head"), given["head"])  # of the same form
    for t in range(1, 5):
        stage, kept = given[f"stage{t}"], own[f"dsb{t}"]
        assert_same(adopted[f"dsb{t}"], {**kept, "low": stage, "high": stage})


def test_what_has_no_counterpart_stays(starts):
    (extractor, own), (_, given) = starts["se_resnet50"], starts["resnet50"]
    adopted = extractor.adopt(own, given)
    assert_same(adopted["head"], given["head"])
    block = adopted["stage3"]["block0"]
    assert_same(block.pop("se"), own["stage3"]["block0"]["se"])
    assert_same(block, given["stage3"]["block0"])
    extractor, own = starts["densenet121"]  # whose head is of another form
    assert_same(extractor.adopt(own, given), {**own, "stem": given["stem"]})


# Parts by hand


@pytest.mark.parametrize("module", [FFSR, VDSR])
def test_residual_networks_start_from_the_bilinear_image(module):
    image = jax.random.normal(jax.random.key(0), (2, 8, 12, 3))
    restored, variables = module(0.125).init_with_output(jax.random.key(1), image)
    np.testing.assert_array_equal(restored, image)
    # What the last layer says is added.
    variables["params"]["out"]["bias"] = jnp.array([1.0, 2.0, 3.0])
    added = module(0.125).apply(variables, image) - image
    np.testing.assert_allclose(added, jnp.broadcast_to(jnp.array([1.0, 2, 3]), added.shape), 1e-5)


def test_luminance_is_restored_and_colours_stay():
    rgb = np.array([[0.2, 0.4, 0.6], [0.5, 0.5, 0.5], [0.9, 0.1, 0.1]])
    image = jnp.asarray((rgb - MEAN) / DEVIATION, jnp.float32)[None, :, None]
    network = LuminanceSRCNN(0.125)
    params = jax.tree.map(jnp.zeros_like, network.init(jax.random.key(1), image)["params"])
    luminance = rgb @ [0.2568, 0.5041, 0.0979] + 16 / 255
    for value, expected in (
        (0.5, np.clip(rgb + 1.1644 * (0.5 - luminance)[:, None], 0, 1)),
        (9.0, np.ones_like(rgb)),
        (-9.0, np.zeros_like(rgb)),
    ):
        params["reconstruct"]["bias"] = jnp.array([value])
        restored = network.apply({"params": params}, image)[0, :, 0]
        np.testing.assert_allclose(restored * DEVIATION + MEAN, expected, atol=1e-5)


def test_eq6_by_hand():
    # 0.25 * 4 + 0.5 * 10 = 6; the gates are not normalised.
    low, high = jnp.full((2, 1, 2, 1), 4.0), jnp.full((2, 1, 2, 1), 10.0)
    fused = fuse(low, high, jnp.array([[0.25, 0.5], [1.0, 1.0]]))
    np.testing.assert_array_equal(fused[:, 0, :, 0], [[6.0, 6.0], [14.0, 14.0]])


def test_gate_by_hand():
    # FC 2 of (2, 1) -> (2 - 1 + 1, -2) -> ReLU (2, 0); FC 1 -> 2 * 0.5 - 1 = 0 -> sigmoid 1/2.
    x = jnp.array([[2.0, 1.0]])
    params = {
        "fc1": {"kernel": jnp.array([[1.0, -1], [-1, 0]]), "bias": jnp.array([1.0, 0])},
        "fc2": {"kernel": jnp.array([[0.5], [7.0]]), "bias": jnp.array([-1.0])},
    }
    np.testing.assert_allclose(Gate(2).apply({"params": params}, x), [0.5], rtol=1e-6)
    params["fc2"]["bias"] = jnp.array([-1 + np.log(3)])  # sigmoid(ln 3) = 3/4
    np.testing.assert_allclose(Gate(2).apply({"params": params}, x), [0.75], rtol=1e-6)


def test_normalisation_by_hand():
    # ImageNet's: (0 - 0.485) / 0.229, (255/255 - 0.456) / 0.224, (51/255 - 0.406) / 0.225.
    image = jnp.array([[[[0, 255, 51]]]], jnp.uint8)
    expected = [-0.485 / 0.229, 0.544 / 0.224, -0.206 / 0.225]
    np.testing.assert_allclose(normalise(image)[0, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(denormalise(normalise(image))[0, 0, 0], [0, 1, 0.2], atol=1e-6)
    np.testing.assert_array_equal(denormalise(jnp.full((1, 1, 1, 3), 9.0)), np.ones((1, 1, 1, 3)))
