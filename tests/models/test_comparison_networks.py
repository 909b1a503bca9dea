"""The networks of Tables 1, 2 and 3 that are not the paper's: sizes, and how their parts are joined."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from abstract import draw, maps, parameters, shapes, size

from rireid_jax.config import base_config
from rireid_jax.config.stages import EXTRACTORS, SUPER_RESOLUTION
from rireid_jax.errors import UserError
from rireid_jax.models.complexity import image_like
from rireid_jax.models.densenet import DenseNet, Transition, dense_block_sizes
from rireid_jax.models.network import create_network, infer
from rireid_jax.models.pixels import DEVIATION, MEAN
from rireid_jax.models.resnet import ResNet, SqueezeExcitation
from rireid_jax.models.rife import Gate, adopt
from rireid_jax.models.superres import SRCNN, VDSR, LuminanceSRCNN
from rireid_jax.models.two_resnet import TwoResNet
from rireid_jax.training import losses

NARROW = dict(stage_sizes=(1, 1, 1, 1), width=0.0625)
NEW_RESTORERS = ("srcnn", "srcnn_luminance", "vdsr")
NEW_EXTRACTORS = ("se_resnet50", "densenet121", "two_resnet50", "two_resnet50_weighted")


def narrow_network(name, dtype="float32", axis_name=None):
    """A network by the name that it has in configs, as small as it gets."""
    config = base_config("pedestrians")
    config.dtype = dtype
    config.model.width = config.model.ffsr_width = 0.0625
    config.model.feature_dim, config.model.gate_dim = 8, 4
    part = "super_resolution" if name in SUPER_RESOLUTION else "extractor"
    config.stages.rife.extractor = "none"
    config.stages.rife[part] = name
    return create_network(config, "rife", num_classes=5, axis_name=axis_name)


def start(name, seed=0):
    """Random variables of a network by its name."""
    network = narrow_network(name)
    image = image_like(32, 32)
    return draw(jax.eval_shape(lambda x: network.init(jax.random.key(0), x), image), seed)


# Compiling takes longer than anything else here.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


# Sizes


def test_srcnn_and_vdsr_have_the_cost_of_their_layers():
    pixels = 384 * 128
    kernels = [(9, 3, 64), (1, 64, 32), (5, 32, 3)]
    by_hand = sum(k * k * a * b for k, a, b in kernels)
    # Dong et al. count 8,032 weights on luminance: 9*9*64 + 64*32 + 5*5*32.
    weights = 8_032 + 2 * (81 * 64 + 25 * 32) + 64 + 32 + 3
    assert size(SRCNN(), 384, 128) == (weights, pixels * by_hand)
    assert pixels * by_hand == 983_040_000

    # 9-5-5 on luminance: 57,184 weights, as Dong et al. (2016) count.
    weights = 81 * 64 + 25 * 64 * 32 + 25 * 32
    assert weights == 57_184
    assert size(LuminanceSRCNN(), 384, 128) == (weights + 64 + 32 + 1, pixels * weights)

    kernels = [(3, 64), *[(64, 64)] * 18, (64, 3)]
    by_hand = sum(9 * a * b for a, b in kernels)
    assert size(VDSR(), 384, 128) == (by_hand + 19 * 64 + 3, pixels * by_hand)
    assert pixels * by_hand == 32_784_777_216  # Table 1: 32.79 G


@pytest.mark.parametrize(("network", "hidden"), [(SRCNN, ["extract", "map"]), (VDSR, ["conv7"])])
def test_width_of_the_restorers(network, hidden):
    variables, _ = shapes(network(0.25), 16, 8)
    found = [variables["params"][name]["kernel"].shape[-1] for name in hidden]
    assert found == ([16, 8] if network is SRCNN else [16])


def test_densenet121_has_torchvisions_size():
    # torchvision: 7,978,856 parameters and 2,834,161,664 MACs at 224x224, of which the classifier has
    # 1024 * 1000 + 1000 and 1024 * 1000. Ours has FC 256 and FC N there.
    head = 1024 * 256 + 256 * 751
    expected = 7_978_856 - 1_025_000 + head + 256 + 751, 2_834_161_664 - 1_024_000 + head
    assert size(DenseNet(751), 224, 224, False) == expected


def test_se_resnet50_has_timms_size():
    # timm's seresnet50: 28,088,024 parameters; torchvision's ResNet50: 4,089,184,256 MACs at 224x224.
    network = ResNet(751, squeeze_excitation=True)
    head = 2048 * 256 + 256 * 751
    blocks = [(256, 3), (512, 4), (1024, 6), (2048, 3)]
    se = sum(count * 2 * channels * (channels // 16) for channels, count in blocks)
    weights = 28_088_024 - (2048 * 1000 + 1000) + head + 256 + 751
    assert size(network, 224, 224, False) == (weights, 4_089_184_256 - 2048 * 1000 + head + se)
    assert se == 2_514_944


def test_two_resnets_have_twice_the_size():
    shallow = dict(stage_sizes=(1, 1, 1, 1))
    classifier, gates = 256 * 751 + 751, 2 * (2048 * 64 + 64 + 64 + 1)
    both = 2 * (parameters(ResNet(751, **shallow), False) - classifier) + classifier
    assert parameters(TwoResNet(751, **shallow), False) == both
    assert parameters(TwoResNet(751, weighted=True, **shallow), False) == both + gates


def test_dense_blocks_go_with_stages():
    assert dense_block_sizes((3, 4, 6, 3)) == (6, 12, 24, 16)
    assert dense_block_sizes((1, 1, 1, 1)) == (2, 3, 4, 5)


def test_maps_of_a_densenet():
    # Stem 16; growth 8: 16 + 2 * 8 = 32, halved 16; + 8 = 24, 12; + 3 * 8 = 36, 18; + 8 = 26.
    network = partial(DenseNet, 3, feature_dim=7, block_sizes=(2, 1, 3, 1), width=0.25)
    found = maps(network(), 64, 32)
    assert found["stem"] == (1, 16, 8, 16)
    assert [found[f"block{t}"][3] for t in (1, 2, 3, 4)] == [32, 24, 36, 26]
    assert [found[f"transition{t}"] for t in (1, 2, 3)] == [
        (1, 8, 4, 16),
        (1, 4, 2, 12),
        (1, 2, 1, 18),
    ]
    assert maps(network(last_stride=1), 64, 32)["block4"] == (1, 4, 2, 26)


# Parts


def test_vdsr_starts_from_the_bilinear_image():
    image = jax.random.normal(jax.random.key(0), (2, 9, 7, 3))
    network = VDSR(0.125)
    restored, variables = network.init_with_output(jax.random.key(1), image)
    np.testing.assert_array_equal(restored, image)
    variables["params"]["out"]["bias"] = jnp.array([1.0, 2.0, 3.0])
    added = network.apply(variables, image) - image
    np.testing.assert_allclose(added, jnp.broadcast_to(jnp.array([1.0, 2, 3]), added.shape), 1e-5)


def test_srcnn_has_no_residual():
    image = jax.random.normal(jax.random.key(0), (2, 9, 7, 3))
    params = jax.tree.map(jnp.zeros_like, SRCNN(0.125).init(jax.random.key(1), image)["params"])
    params["reconstruct"]["bias"] = jnp.array([1.0, 2.0, 3.0])
    restored = SRCNN(0.125).apply({"params": params}, image)
    np.testing.assert_array_equal(restored, jnp.broadcast_to(jnp.array([1.0, 2, 3]), image.shape))


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


def test_squeeze_excitation_by_hand():
    # Channel means 1 and 3. FC 1: 3 - 1 + 1 = 3, ReLU; FC 2: 3 * 1 - 3 = 0, 3 * (-7) + 21 + ln 3.
    x = jnp.array([[[[0.0, 2.0], [2.0, 4.0]]]])
    params = {
        "fc1": {"kernel": jnp.array([[[[-1.0], [1.0]]]]), "bias": jnp.array([1.0])},
        "fc2": {"kernel": jnp.array([[[[1.0, -7.0]]]]), "bias": jnp.array([-3.0, 21 + np.log(3)])},
    }
    found = SqueezeExcitation().apply({"params": params}, x)
    np.testing.assert_allclose(found, x * jnp.array([0.5, 0.75]), rtol=1e-6)
    params["fc1"]["bias"] = jnp.array([-9.0])  # shut: FC 2's bias alone
    params["fc2"]["bias"] = jnp.array([0.0, -np.log(3)])
    found = SqueezeExcitation().apply({"params": params}, x)
    np.testing.assert_allclose(found, x * jnp.array([0.5, 0.25]), rtol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_transition_by_hand(stride):
    # Means of four pixels, and the third row and column left out. Running statistics normalise by 1 / sqrt(1 + 1e-5).
    x = jnp.arange(9.0).reshape(1, 3, 3, 1) * jnp.array([1.0, -1.0])
    module = Transition(stride)
    variables = module.init(jax.random.key(0), x, False)
    variables["params"]["conv"]["kernel"] = jnp.array([[[[2.0], [3.0]]]])
    y = module.apply(variables, x, False)
    # The second channel is not above zero.
    expected = 2 * x[..., :1] if stride == 1 else jnp.full((1, 1, 1, 1), 2 * (0 + 1 + 3 + 4) / 4)
    np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.fixture(scope="module")
def two():
    """Two ResNets with learned weights, an image, and each stream's feature and last map."""
    network = TwoResNet(3, feature_dim=6, weighted=True, gate_dim=4, **NARROW)
    image = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    variables = draw(shapes(network, 32, 32, False)[0])
    one = ResNet(3, feature_dim=6, **NARROW)
    apply_ = partial(one.apply, capture_intermediates=True, mutable=["intermediates"])
    apply = jit(lambda variables: apply_(variables, image, False))
    features, last = {}, {}
    for stream in ("low", "high"):
        head = variables["params"]["head"]
        head = {"feature": head[f"feature_{stream}"], "classifier": head["classifier"]}
        own = {
            "params": {**variables["params"][stream], "head": head},
            "batch_stats": variables["batch_stats"][stream],
        }
        (features[stream], *_), state = apply(own)
        last[stream] = state["intermediates"]["stage4"]["__call__"][0]
    return variables, image, features, last


def test_equal_weights_are_the_mean_of_two_resnets(two):
    variables, image, features, _ = two
    network = TwoResNet(3, feature_dim=6, **NARROW)
    fused, logits, gates = jit(lambda v: network.apply(v, image, False))(variables)
    expected = (features["low"] + features["high"]) / 2
    np.testing.assert_allclose(fused, expected, rtol=1e-5, atol=1e-6)
    assert gates.shape == (2, 0, 2)
    classifier = variables["params"]["head"]["classifier"]
    by_hand = expected @ classifier["kernel"] + classifier["bias"]
    np.testing.assert_allclose(logits, by_hand, rtol=1e-4, atol=1e-5)


def test_learned_weights_are_predicted_from_the_last_maps(two):
    variables, image, features, last = two
    network = TwoResNet(3, feature_dim=6, weighted=True, gate_dim=4, **NARROW)
    fused, _, gates = jit(lambda v: network.apply(v, image, False))(variables)
    assert gates.shape == (2, 1, 2)
    head = variables["params"]["head"]
    weighted = 0.0
    for column, stream in enumerate(("low", "high")):
        weight = Gate(4).apply({"params": head[f"gate_{stream}"]}, last[stream])
        np.testing.assert_allclose(gates[:, 0, column], weight, rtol=1e-5)
        weighted += weight[:, None] * features[stream]
    np.testing.assert_allclose(fused, weighted, rtol=1e-5, atol=1e-6)
    # Eq. 7 and 9 take them as they take RIFE's.
    resolution = losses.resolution_loss(gates, jnp.array([0.25, 1.0]))
    low, high = np.asarray(gates[:, 0]).T
    by_hand = (low - [0.75, 0]) ** 2 + (high - [0.25, 1]) ** 2
    loss = losses.rife_loss(jnp.zeros(2), resolution, 0.1)
    np.testing.assert_allclose(loss, 0.1 * by_hand, rtol=1e-5)


# What they start from


@pytest.mark.parametrize("name", NEW_RESTORERS)
def test_no_dead_parameter_in_the_restorers(name):
    network, params = narrow_network(name), start(name)["params"]
    image = jax.random.normal(jax.random.key(0), (2, 12, 8, 3))
    loss = jit(jax.grad(lambda p: jnp.square(network.apply({"params": p}, image).restored).mean()))
    grads = jax.tree.leaves_with_path(loss(params))
    assert [jax.tree_util.keystr(path) for path, g in grads if not g.any()] == []


@pytest.fixture(scope="module")
def starts():
    """Random variables of the extractors by name, at a seed of its own each."""
    names = ("resnet50", *NEW_EXTRACTORS)
    return {name: start(name, seed) for seed, name in enumerate(names)}


def assert_same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("name", NEW_EXTRACTORS)
def test_an_extractor_takes_over_its_own_kind(name, starts):
    given = starts[name]["batch_stats"]["extractor"]
    own = jax.tree.map(np.zeros_like, given)
    assert_same(adopt(own, given), given)


def test_two_resnets_take_over_a_plain_one_and_keep_their_heads(starts):
    for kind in ("params", "batch_stats"):
        own, given = (starts[n][kind]["extractor"] for n in ("two_resnet50_weighted", "resnet50"))
        adopted = adopt(own, given)
        for stream in ("low", "high"):
            assert_same(adopted[stream], {k: v for k, v in given.items() if k != "head"})
        if kind == "params":
            assert_same(adopted["head"], own["head"])


def test_se_resnet_takes_over_a_plain_one_but_its_own_layers(starts):
    own, given = (starts[n]["params"]["extractor"] for n in ("se_resnet50", "resnet50"))
    adopted = adopt(own, given)
    assert_same(adopted["head"], given["head"])
    block = adopted["stage3"]["block0"]
    assert_same(block.pop("se"), own["stage3"]["block0"]["se"])
    assert_same(block, given["stage3"]["block0"])


def test_densenet_takes_over_no_other_head(starts):
    own, given = (starts[n]["params"]["extractor"] for n in ("densenet121", "resnet50"))
    adopted = adopt(own, given)
    assert_same(adopted.pop("stem"), given["stem"])
    assert_same(adopted, {k: v for k, v in own.items() if k != "stem"})


# By name


def test_every_name_of_a_config_is_a_network():
    for names, module, nothing in (
        (SUPER_RESOLUTION, "super_resolution", "bilinear"),
        (EXTRACTORS, "extractor", "none"),
    ):
        networks = {getattr(narrow_network(name), module) for name in names}
        assert len(networks) == len(names)
        assert getattr(narrow_network(nothing), module) is None


@pytest.mark.parametrize("name", [*NEW_RESTORERS, *NEW_EXTRACTORS])
def test_outputs_are_never_less_than_float32(name):
    network = narrow_network(name, dtype="bfloat16")
    image = image_like(64, 32)
    variables = jax.eval_shape(lambda x: network.init(jax.random.key(0), x), image)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    outputs = jax.eval_shape(lambda v, x: vars(infer(network, v, x)), variables, image)
    assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype(jnp.float32)}
    assert outputs["restored"].shape == image.shape
    if name in EXTRACTORS:
        assert outputs["feature"].shape == (1, 8)
        assert outputs["logits"].shape == (1, 5)
        assert outputs["gates"].shape == (1, int(name == "two_resnet50_weighted"), 2)


@pytest.mark.parametrize("name", NEW_EXTRACTORS)
def test_every_batch_norm_is_synchronised(name, starts):
    network = narrow_network(name, axis_name="devices")

    def train(variables, image):
        return network.apply(variables, image, ("extractor",), mutable=["batch_stats"])

    variables = starts[name]
    jaxpr = jax.make_jaxpr(train, axis_env=[("devices", 8)])(variables, image_like(32, 32))
    # A mean and a variance are each taken over the devices.
    assert str(jaxpr).count("psum") == len(jax.tree.leaves(variables["batch_stats"]))


def test_densenet_says_what_is_too_small():
    network = DenseNet(num_classes=2, feature_dim=4, block_sizes=(1, 1, 1, 1), width=0.125)
    with pytest.raises(
        UserError, match="a map of 2x1 to halve, expected at least 32 pixels a side"
    ):
        jax.eval_shape(
            partial(network.init, train=False), jax.random.key(0), jnp.zeros((1, 32, 16, 3))
        )
