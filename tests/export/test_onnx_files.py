"""ONNX files of every network: their answers, their nodes, what they say of themselves, and when there is none."""

import io
import sys
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from exported import file_of, model_of, nodes, running
from networks import NETWORKS, network_of

from rireid_jax import Extractor, export
from rireid_jax.components import EXTRACTORS, SUPER_RESOLUTION
from rireid_jax.errors import UserError
from rireid_jax.export import onnx_file
from rireid_jax.export.checking import differences
from rireid_jax.export.graph import affine
from rireid_jax.models import interfaces
from rireid_jax.models.layers import BatchNorm, Conv
from rireid_jax.models.network import Network
from rireid_jax.weights import from_state_dict

BATCHES = (1, 7, 64)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_answers_as_in_jax(name):
    model = model_of(name, (64, 32) if name == "densenet121" else (32, 16))
    file, run = file_of(model, "uint8")
    onnx.checker.check_model(file, full_check=True)
    (opset,) = file.opset_import
    assert opset.version == 17
    errors = differences(model, "uint8", run, BATCHES)
    expected = {"features"} if name in EXTRACTORS else {"restored"}
    if name in ("rife", "rife_released", "two_resnet50_weighted"):
        expected |= {"gates"}
    assert {*errors} == expected
    assert max(errors.values()) < 1e-5
    inputs = [value.name for value in file.graph.input]
    assert inputs == ["image", "native_width"] if name == "csr_gan" else ["image"]


def test_a_whole_network_that_sees_widths_and_normalises():
    network = network_of("rife", gate_input="width", dtype="bfloat16")
    network = Network(network_of("ffsr").super_resolution, network.extractor)
    model = model_of(network, normalised=True)
    file, run = file_of(model, "float")
    errors = differences(model, "float", run, (1, 3))
    assert max(errors.values()) < 1e-5  # of the same weights in float32
    inputs = {value.name: value.type.tensor_type for value in file.graph.input}
    assert [dim.dim_param or dim.dim_value for dim in inputs["image"].shape.dim] == ["N", 3, 32, 16]
    image = np.zeros((2, 3, 32, 16), np.float32)
    narrow, wide = (
        run({"image": image, "native_width": np.full(2, width, np.int32)}) for width in (4, 16)
    )
    assert {name: rows.shape for name, rows in wide.items()} == {
        "features": (2, 256),
        "gates": (2, 4, 2),
        "restored": (2, 3, 32, 16),
    }
    np.testing.assert_allclose(np.linalg.norm(wide["features"], axis=1), 1, rtol=1e-6)
    assert np.abs(wide["gates"] - narrow["gates"]).max() > 0.01


# CSR-GAN's reference chooses in Python, and that of the authors' RIFE is a whole network.
@pytest.mark.torch
@pytest.mark.parametrize("name", sorted({*NETWORKS} - {"csr_gan", "rife_released"}))
def test_answers_and_nodes_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    from parity.pairs import WIDTH, numpy_state, randomise_norms, reference_of

    reference = reference_of(name).eval()
    randomise_norms(reference)
    network = network_of(name, width=WIDTH)
    variables, _ = from_state_dict(numpy_state(reference), network)
    size = (64, 32) if name == "densenet121" else (32, 16)
    file, run = file_of(export.Model(network, variables, size, False, size[1]), "float")
    if isinstance(reference, torch.nn.ModuleDict):
        (reference,) = reference.values()
    image = torch.randn(3, 3, *size)
    answers = run({"image": image.numpy()})
    with torch.no_grad():
        expected = reference(image)
    restores = name in SUPER_RESOLUTION
    found = answers["restored" if restores else "features"]
    expected = (expected if restores else expected.feature).numpy()
    # The published matrices of luminance and back have four digits.
    tolerance = (2e-4 if name == "srcnn_luminance" else 1e-5) * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(reference, (image,), content, opset_version=17, dynamo=False)
    own = nodes(onnx.load_from_string(content.getvalue()))
    assert len(nodes(file)) <= 1.2 * len(own), (nodes(file), own)


def test_a_batch_norm_is_part_of_its_convolution():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, image):
            return BatchNorm(epsilon=0.0, name="bn")(Conv(1, 1, name="conv")(image), False)

    class Whole(interfaces.Extractor):
        @nn.compact
        def __call__(self, image, train):
            y = Two(name="two")(image)
            return y.reshape(len(y), -1), None, None

    params = {"conv": {"kernel": np.full((1, 1, 3, 1), 2.0), "bias": np.array([1.0])}}
    params["bn"] = {"scale": np.array([3.0]), "bias": np.array([5.0])}
    stats = {"bn": {"mean": np.array([7.0]), "var": np.array([4.0])}}
    variables = {"params": {"extractor": {"two": params}}}
    variables["batch_stats"] = {"extractor": {"two": stats}}
    variables = jax.tree.map(np.float32, variables)
    file, run = file_of(export.Model(Network(None, Whole()), variables, (4, 4), False, 4), "float")
    assert nodes(file) == ["Conv", "Reshape"]
    weights = {array.name: onnx.numpy_helper.to_array(array) for array in file.graph.initializer}
    kernel, bias = (weights[name] for name in file.graph.node[0].input[1:])
    # 3 * (2x + 1 - 7) / sqrt(4) + 5 = 3x - 4
    np.testing.assert_array_equal(kernel, np.full((1, 3, 1, 1), 3.0))
    np.testing.assert_array_equal(bias, [-4.0])
    image = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    expected = 3 * image.sum(1).reshape(1, 16) - 4
    np.testing.assert_allclose(run({"image": image})["features"], expected, rtol=1e-6)


def test_the_file_says_how_to_feed_it():
    def said(model, input_kind):
        file, _ = file_of(model, input_kind)
        return {entry.key.removeprefix("rireid."): entry.value for entry in file.metadata_props}

    model = model_of("rife", normalised=True)
    about = said(model, "uint8")
    expected = {
        "image": "uint8 [N, H, W, 3]",
        "image_layout": "NHWC",
        "image_height": "32",
        "image_width": "16",
        "colour_order": "RGB",
        "mean": "0.485,0.456,0.406",
        "deviation": "0.229,0.224,0.225",
        "features_normalised": "true",
        "width_max": "16",
        "fingerprint": "0123456789abcdef",
        "stage": "joint",
        "super_resolution": "bilinear",
        "extractor": "rife",
        "native_width": "not needed",
    }
    assert expected.items() <= about.items()
    assert "BILINEAR" in about["resize"]
    assert "gates" in about
    assert "restored" not in about
    about = said(model_of("csr_gan"), "float")
    assert about["image"] == "float32 [N, 3, H, W]"
    assert about["native_width"].startswith("int32 [N], pixels")
    assert (about["super_resolution"], about["extractor"]) == ("csr_gan", "none")


def test_restored_pixels_are_those_of_the_extractor():
    model = model_of("ffsr")
    _, run = file_of(model, "uint8")
    image = np.random.default_rng(1).integers(0, 256, (2, 32, 16, 3), np.uint8)
    restored = Extractor(model.network, model.variables, model.image_size, batch_size=2).restore(
        list(image)
    )
    found = (run({"image": image})["restored"] * 255).round()
    assert np.abs(found - restored).max() <= 1  # a value between two may be rounded to either
    assert (found != restored).mean() < 0.01


class _Sorting(interfaces.Extractor):
    @nn.compact
    def __call__(self, image, train):
        return jnp.sort(image.mean((1, 2)), axis=-1), None, None


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Network(None, _Sorting()), r"_Sorting: found sort in .*extractor.*, expected what"),
        (Network(None, None), "found neither a super-resolution network nor an extractor"),
    ],
)
def test_what_cannot_be_written_is_named(network, message):
    with pytest.raises(UserError, match=message):
        export.to_onnx(export.Model(network, {"params": {}}, (8, 8), False, 8))


def test_a_file_that_differs_is_refused(monkeypatch):
    model = model_of("srcnn")
    assert running(export.to_onnx(model, "float"))
    right = onnx_file.simplified
    monkeypatch.setattr(
        onnx_file, "simplified", lambda outputs: right([affine(op, 1.001) for op in outputs])
    )
    with pytest.raises(UserError, match=r"srcnn: found restored that differ .* by 1.0e-03 of"):
        export.to_onnx(model, "float")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_one_line(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package}.*pip install 'rireid_jax\[export\]'"):
        export.to_onnx(model_of("srcnn"))
