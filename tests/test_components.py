"""One file outside the package adds components of every kind, and nothing else is edited."""

import json
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import jax
import numpy as np
import pytest

from rireid_jax import Extractor, components
from rireid_jax.cli.rireid import run_command
from rireid_jax.config import base_config
from rireid_jax.config.imports import import_modules
from rireid_jax.doctor import doctor
from rireid_jax.errors import UserError
from rireid_jax.models.network import create_network
from rireid_jax.runs.run import run
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.training.initial import initial_variables
from rireid_jax.weights import from_state_dict, read_state_dict

REGISTRIES = [
    value for value in vars(components).values() if isinstance(value, components.Registry)
]
EPOCHS = 3


@pytest.fixture
def own_components(monkeypatch):
    """Registers what `own_components.py` brings, for one test: others expect the project's alone."""
    assert len(REGISTRIES) == 9
    for registry in REGISTRIES:
        assert len(registry)  # has imported its own package
        monkeypatch.setattr(registry, "_components", dict(registry._components))
    import_modules(("own_components",))
    yield
    del sys.modules["own_components"]


def own_config(folder):
    config = base_config("flags")
    config.imports = ("own_components",)
    config.data.dir, config.data.validation = str(folder / "data"), 0.0
    config.model.update(sharpener_kernel=5, feature_dim=6)
    config.run, config.baseline = ("joint",), ""
    config.batch_size, config.log_every, config.eval.batch_size = 16, 1, 8
    stage = config.stages.joint
    stage.update(super_resolution="sharpener", extractor="tiles", epochs=EPOCHS)
    for module in stage.init:
        stage.init[module] = ""
    stage.losses.length.update(weight=0.5, wanted=2.0)
    stage.schedule.name = "halving"
    stage.optimizer.extractor.rate = 0.02
    stage.optimizer.super_resolution.name = "signs"
    stage.losses.restoration.mask.name = "upper_half"
    return config


def assert_moved_by_signs(kernel, config, steps):
    """Each step was as long as the rate, which halves."""
    begun = initial_variables(config, "joint", "", num_classes=8)
    rate = config.stages.joint.optimizer.super_resolution.rate
    unit = rate * 0.5 ** (steps - 1)
    moved = (kernel - begun["params"]["super_resolution"]["conv"]["kernel"]) / unit
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-2)
    assert np.abs(moved).max() == pytest.approx(2**steps - 1, abs=1e-2)


def test_a_file_of_ones_own_adds_a_component_of_every_kind(own_components, tmp_path, capsys):
    config, workdir = own_config(tmp_path), tmp_path / "run"
    run(config, str(workdir), "train")

    # Sixteen images make one step an epoch: the own loss, schedule and data set are in them.
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.02, 0.01, 0.005])
    restoration = config.stages.joint.losses.restoration.weight
    for row in rows:
        weighed = restoration * row["ffsr_loss"] + row["identity_loss"] + 0.5 * row["length_loss"]
        assert row["loss"] == pytest.approx(weighed, rel=1e-5)
    results = json.loads((workdir / "results.json").read_text())
    assert (results["dataset"], results["protocol"]) == ("flags", "six")
    assert (results["num_query"], results["num_gallery"]) == (6, 6)  # two people are not there
    assert 0 <= results["rank1"] <= 1
    assert results["restoration"]["psnr"] != results["restoration"]["psnr_bilinear"]
    with Checkpoints(str(workdir), "joint") as checkpoints:
        _, trained = checkpoints.load_latest()
    sharpener = trained["params"]["super_resolution"]["conv"]["kernel"]
    assert_moved_by_signs(sharpener, config, EPOCHS)
    run_command("wave", ["--times", "2"])
    assert capsys.readouterr().out.endswith("flagflag\n")
    doctor(config, [])
    assert "flags, recipe 'default'" in capsys.readouterr().out

    # A work directory imports what its config names.
    del sys.modules["own_components"]
    extractor = Extractor.from_workdir(workdir)
    assert "own_components" in sys.modules
    images = [np.random.default_rng(0).integers(0, 256, (20, 9, 3), np.uint8)]
    assert extractor.extract(images).shape == (1, 6)

    path = tmp_path / f"own.{'pth' if find_spec('torch') else 'safetensors'}"
    extractor.to_torch(path)
    state = read_state_dict(path)
    assert {name.partition(".")[0] for name in state} == {
        *("sharpener", "tiles", "feature", "classifier")
    }
    assert state["sharpener.conv.weight"].shape == (3, 3, 5, 5)  # [out, in, height, width]
    variables, report = from_state_dict(state, create_network(config, "joint", num_classes=8))
    assert report.unexpected == ()
    jax.tree.map(np.testing.assert_array_equal, variables["params"], trained["params"])


def test_what_a_registry_refuses(own_components):
    with pytest.raises(UserError, match=r"extractor: found 'tile', expected one of .*tiles"):
        components.EXTRACTORS["tile"]
    with pytest.raises(ValueError, match=r"extractor .tiles. is registered by .*own_components"):
        components.EXTRACTORS.register("tiles")(dict)
    with pytest.raises(
        UserError, match=r"config\.imports: found no module 'own_component', expected"
    ):
        import_modules(("own_component",))


def test_a_config_file_may_hold_its_components(own_components, monkeypatch):
    """It is imported as the config and, by its own name, for `config.imports`."""
    path = Path(sys.modules["own_components"].__file__)
    monkeypatch.chdir(path.parent)
    spec = spec_from_file_location("config_config", path.name)
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "config_config", module)
    spec.loader.exec_module(module)
    assert components.EXTRACTORS["tiles"].__module__ == "config_config"
