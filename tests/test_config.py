"""The defaults that the paper fixes, and what makes a config valid."""

import runpy
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from rireid_jax.config import DATASETS, base_config, final_stage, validate
from rireid_jax.errors import UserError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


def valid_config(dataset: str = "pedestrians") -> ConfigDict:
    config = base_config(dataset)
    config.run = ("rife", "baseline")
    config.baseline = "baseline"
    return config


def problem(config: ConfigDict) -> str:
    with pytest.raises(UserError) as raised:
        validate(config)
    return str(raised.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_config_is_valid_for_every_data_set(path, dataset):
    config = runpy.run_path(str(path))["get_config"](dataset)
    validate(config)
    assert config.dataset == dataset
    assert final_stage(config) in config.run
    assert final_stage(config) != config.baseline


def test_setting_of_the_paper():
    """Section 5.2 of the paper."""
    config = base_config("vr_market1501")
    assert config.batch_size == 32
    assert config.data.image_size == (256, 128)
    assert config.data.recipe.min_width == 8
    assert config.data.recipe.max_width == 32
    assert config.model.width == config.model.ffsr_width == 1
    assert config.model.stage_sizes == (3, 4, 6, 3)
    assert config.model.feature_dim == 256
    assert config.loss.beta == 0.1
    rates = {"ffsr_pretrain": 0.01, "ffsr": 0.01, "rife": 0.01, "joint": 0.001}
    for name, rate in rates.items():
        stage = config.stages[name]
        assert (stage.epochs, stage.decay_epochs) == (60, (30,))
        assert stage.learning_rate == pytest.approx(rate)
        assert stage.optimizer == "sgd"
    assert config.optim.decay_factor == 0.1
    assert config.stages.joint.init.to_dict() == {"super_resolution": "ffsr", "extractor": "rife"}
    assert config.stages.joint.mask == "gaussian"


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_baseline_has_the_budget_of_rife_and_joint(dataset):
    stages = base_config(dataset).stages
    assert stages.baseline.epochs == stages.rife.epochs + stages.joint.epochs
    assert stages.baseline.learning_rate == stages.rife.learning_rate
    assert stages.baseline.extractor == "resnet50"
    assert stages.baseline.super_resolution == "bilinear"


def test_unknown_data_set():
    with pytest.raises(UserError, match="dataset: found 'cifar', expected one of pedestrians, "):
        base_config("cifar")


def test_final_stage_is_the_last_that_is_no_baseline():
    config = base_config()
    config.run = ("rife", "joint", "baseline")
    config.baseline = "baseline"
    assert final_stage(config) == "joint"
    config.run = ("baseline",)
    config.baseline = ""
    assert final_stage(config) == "baseline"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("parallel", "pjit"),
        ("dtype", "float16"),
        ("batch_size", 0),
        ("seed", -1),
        ("log_every", 0),
        ("data.image_size", (64,)),
        ("data.image_size", (64, 30)),
        ("data.image_size", (64, -32)),
        ("data.image_size", (64.0, 32.0)),
        ("data.image_size", ("64", "32")),
        ("data.flip", 1.5),
        ("data.crop", -0.1),
        ("data.degrade_targets", 1.5),
        ("data.erase", -0.5),
        ("data.images_per_identity", -1),
        ("data.images_per_identity", 5),  # the batch is of 32
        ("data.workers", -1),
        ("data.max_bad_images", -1),
        ("data.recipe.kernel", "nearest"),
        ("data.recipe.min_width", 0),
        ("data.recipe.min_width", 32),
        ("data.recipe.cameras", 0),
        ("natural_images.size", (30, 32)),
        ("natural_images.count", 0),
        ("natural_images.min_ratio", 0.0),
        ("natural_images.min_ratio", 1.1),
        ("model.width", 0.0),
        ("model.stage_sizes", (1, 1, 1)),
        ("model.stage_sizes", (1, 1, 1, 0)),
        ("model.stage_sizes", (1, 1, 1, 1.0)),
        ("model.last_stride", 3),
        ("model.neck", "bn"),
        ("loss.beta", -0.1),
        ("loss.beta", float("nan")),
        ("loss.label_smoothing", 1.0),
        ("loss.triplet_weight", -1.0),
        ("loss.triplet_margin", -0.3),
        ("loss.mask_sigma", (0.3,)),
        ("loss.mask_sigma", (0.3, 0.0)),
        ("optim.momentum", 1.0),
        ("optim.decay_factor", 2.0),
        ("stages.rife.weight_decay", -1e-4),
        ("eval.bins", (0.5,)),
        ("eval.bins", (0.5, 0.5)),
        ("eval.bins", ("a", "b")),
        ("eval.batch_size", -8),
        ("eval.every_epochs", -1),
        ("checkpoint.keep", 0),
        ("checkpoint.every_steps", 0),
        ("run", ()),
        ("run", ("nosuch",)),
        ("run", ("rife", "rife", "baseline")),
        ("run", ("baseline",)),
        ("baseline", "joint"),
        ("stages.rife.epochs", 0),
        ("stages.rife.learning_rate", 0.0),
        ("stages.rife.learning_rate", float("nan")),
        ("stages.rife.warmup_epochs", -1),
        ("stages.rife.decay_epochs", (5, 3)),
        ("stages.rife.decay_epochs", (2.5,)),
        ("stages.rife.mask", "circle"),
        ("stages.rife.extractor", "vgg"),
        ("stages.rife.super_resolution", "srgan"),
        ("stages.rife.optimizer", "lamb"),
        ("stages.rife.dataset", "imagenet"),
        ("stages.rife.init.extractor", "nosuch"),
        ("stages.rife.train", ()),
        ("stages.rife.train", ("classifier",)),
        ("stages.rife.train", ("super_resolution",)),  # it enlarges bilinearly
        ("stages.ffsr.train", ("extractor",)),  # it has none
        ("stages.rife.sr_weight", -1.0),
        ("stages.rife.alpha", -1.0),
        ("stages.ffsr.train", ("super_resolution", "discriminator")),  # CSR-GAN's alone
        ("model.generator_blocks", 0),
        ("model.discriminator_width", 0.0),
        ("loss.unique_weight", -0.1),
        ("optim.adversarial_rate", 0.0),
    ],
)
def test_wrong_values_are_named(field, value):
    config = valid_config()
    with config.ignore_type():
        config.update_from_flattened_dict({field: value})
    message = problem(config)
    assert message.startswith(f"config.{field}: found {value!r}, expected ")
    assert "\n" not in message


def test_an_extractor_without_the_neck_that_is_asked_for():
    config = valid_config()
    config.stages.baseline.extractor = "two_resnet50"
    validate(config)
    config.model.neck = "batch_norm"
    message = problem(config)
    assert message.startswith("config.stages.baseline.extractor: found 'two_resnet50', expected ")
    config.run, config.baseline = ("rife",), ""
    validate(config)


def csr_gan_config() -> ConfigDict:
    config = valid_config()
    config.stages.baseline.update(
        super_resolution="csr_gan",
        train=("super_resolution", "discriminator", "extractor"),
        sr_weight=1.0,
    )
    return config


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("data.image_size", (64, 36), "two multiples of 8"),
        ("stages.baseline.extractor", "rife", "one of resnet50, se_resnet50"),
        ("stages.baseline.train", ("discriminator", "extractor"), "the super-resolution that"),
    ],
)
def test_what_csr_gan_needs(field, value, expected):
    config = csr_gan_config()
    validate(config)
    config.update_from_flattened_dict({field: value})
    assert problem(config).startswith(f"config.{field}: found {value!r}, expected {expected}")


def test_discriminators_learn_from_a_loss_of_restoration():
    config = csr_gan_config()
    config.stages.baseline.sr_weight = 0.0
    assert problem(config).startswith("config.stages.baseline.train: found ")


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_tricks_are_off_by_default(dataset):
    config = base_config(dataset)
    assert (config.model.neck, config.data.images_per_identity) == ("fc", 0)
    assert config.data.erase == config.data.degrade_targets == 0
    assert config.loss.label_smoothing == config.loss.triplet_weight == 0
    running = [name for name in config.stages if not name.startswith("strong")]
    assert all(config.stages[name].warmup_epochs == 0 for name in running)


@pytest.mark.parametrize("dataset", DATASETS)
def test_strong_and_strong_joint_differ_in_their_networks_alone(dataset):
    stages = base_config(dataset).stages.to_dict()
    strong, joint = stages["strong"], stages["strong_joint"]
    assert strong["init"]["extractor"] == joint["init"]["extractor"]
    assert {name for name in strong if strong[name] != joint[name]} == {
        *("super_resolution", "extractor", "init", "train", "sr_weight", "mask"),
        *(["super_resolution_rate"] if joint["super_resolution_rate"] != 1 else []),
    }


def test_test_fraction():
    config = valid_config("folder")
    config.data.recipe.test_fraction = 1.0
    assert problem(config).startswith("config.data.recipe.test_fraction: found 1.0, expected ")


def test_several_wrong_values_are_named_together():
    config = valid_config()
    config.batch_size = 0
    config.stages.rife.epochs = -1
    message = problem(config)
    assert "config.batch_size: found 0" in message
    assert "; config.stages.rife.epochs: found -1" in message


def test_unknown_missing_and_mistyped_fields():
    config = valid_config()
    config.optim.momentun = 0.5
    del config.loss["beta"]
    with config.ignore_type():
        config.seed = "0"
        config.stages.rife = 3
    message = problem(config)
    assert (
        "config.optim.momentun: found an unknown field, expected one of adversarial_rate,"
        in message
    )
    assert "config.loss.beta: found no such field" in message
    assert "config.seed: found '0', expected a value of type int" in message
    assert "config.stages.rife: found 3, expected a value of type ConfigDict" in message


@pytest.mark.parametrize("section", ["dataset", "data", "stages", "model"])
def test_missing_sections(section):
    config = valid_config()
    del config[section]
    assert f"config.{section}: found no such field, expected" in problem(config)


def test_a_whole_number_is_a_number():
    config = valid_config()
    with config.ignore_type():
        config.loss.beta = 1
    validate(config)


def test_a_stage_of_ones_own():
    config = valid_config()
    stage = config.stages.joint.copy_and_resolve_references()
    stage.train = ("extractor",)
    config.stages.frozen_ffsr = stage
    config.run = ("ffsr_pretrain", "ffsr", "rife", "frozen_ffsr", "baseline")
    validate(config)
    assert final_stage(config) == "frozen_ffsr"


def test_recipe_of_another_data_set():
    config = valid_config()
    config.dataset = "folder"
    message = problem(config)
    assert message.startswith("config.dataset: found 'folder' with a recipe of cameras, ")
    assert message.endswith("as in --config configs/joint.py:folder")
