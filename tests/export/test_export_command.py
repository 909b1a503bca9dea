"""The command `rireid export`, and StableHLO."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from exported import model_of, running
from networks import network_of

import rireid_jax.cli.commands.export as command
from rireid_jax import Extractor
from rireid_jax.cli.rireid import run_command
from rireid_jax.data.loader import load_image
from rireid_jax.errors import UserError
from rireid_jax.export import INPUTS, checking
from rireid_jax.models.network import Network, infer
from rireid_jax.weights import read_state_dict


@pytest.fixture(scope="module")
def extractor():
    network = network_of("resnet50")
    network = Network(network_of("srcnn").super_resolution, network.extractor)
    variables = model_of(network).variables
    return Extractor(network, variables, (32, 16), 8, normalised=True, width_max=20, stage="joint")


@pytest.fixture
def exported(extractor, monkeypatch, tmp_path):
    """Runs the command into a folder, on the extractor."""
    monkeypatch.setattr(command, "open_model", lambda arguments: extractor)

    def run(kind, name, *more):
        out = tmp_path / name
        run_command("export", ["--model", "m", "--format", kind, "--out", str(out), *more])
        return out

    return run


def test_a_file_has_the_features_of_the_extractor(exported, extractor, capsys):
    assert command.INPUTS == INPUTS  # written twice, because --help needs no JAX
    path = exported("onnx", "a.onnx")
    assert capsys.readouterr().out.startswith(f"{path}: ")
    file = onnx.load(path)
    about = {entry.key: entry.value for entry in file.metadata_props}
    assert about["rireid.fingerprint"] == extractor.fingerprint
    assert (about["rireid.stage"], about["rireid.width_max"]) == ("joint", "20")
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, width, 3), np.uint8) for width in (9, 16, 30)]
    batch = np.stack([load_image(image, (32, 16))[0] for image in images])
    features = running(path.read_bytes())({"image": batch})["features"]
    np.testing.assert_allclose(features, extractor.extract(images), atol=1e-5)


def test_stablehlo_is_read_back(exported, extractor):
    from jax import export

    path = exported("stablehlo", "a.stablehlo", "--input", "float")
    read = export.deserialize(bytearray(path.read_bytes()))
    assert read.platforms == ("cpu", "cuda", "tpu")
    image = np.random.default_rng(0).standard_normal((2, 3, 32, 16), np.float32)
    answers = jax.device_get(read.call(image))
    outputs = infer(
        extractor.network, extractor.variables, jnp.asarray(image.transpose(0, 2, 3, 1))
    )
    feature = outputs.feature / np.linalg.norm(outputs.feature, axis=1, keepdims=True)
    np.testing.assert_allclose(answers["features"], feature, atol=1e-6)
    np.testing.assert_allclose(
        answers["restored"].transpose(0, 2, 3, 1), outputs.restored, atol=1e-5
    )


def test_weights_for_pytorch(exported, extractor):
    state = read_state_dict(exported("torch", "a.safetensors"))
    kernel = extractor.variables["params"]["extractor"]["stem"]["conv"]["kernel"]
    np.testing.assert_array_equal(state["conv1.weight"], kernel.transpose(3, 2, 0, 1))


def test_mistakes_write_nothing(exported, monkeypatch, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    for arguments, message in (
        (("onnx", "a.pth"), r"a.pth, expected a name that ends with .onnx for --format onnx"),
        (("stablehlo", "a.onnx"), "ends with .stablehlo or .bin for --format stablehlo"),
        (("torch", "a.pt", "--input", "uint8"), "--input: found with --format torch"),
        (("onnx", "none/a.onnx"), "none/a.onnx, expected a file in a folder to write to"),
        (("onnx", "folder.onnx"), "folder.onnx, expected a file in a folder to write to"),
    ):
        with pytest.raises(UserError, match=message):
            exported(*arguments)
    monkeypatch.setattr(checking, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="nothing was written"):
        exported("onnx", "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]
