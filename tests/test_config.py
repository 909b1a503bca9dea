"""The defaults that the paper fixes, and what makes a config valid."""

import importlib
import runpy
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from rireid_jax.components import LOSSES, Field, Slot
from rireid_jax.config import (
    STRONG,
    base_config,
    dataset_names,
    final_stage,
    stage_config,
    use_tricks,
    validate,
    with_defaults,
)
from rireid_jax.config.base import base_fields
from rireid_jax.config.renamed import RENAMED
from rireid_jax.config.stage_fields import stage_fields
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
@pytest.mark.parametrize("dataset", dataset_names())
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
    rates = {"ffsr_pretrain": 0.01, "ffsr": 0.01, "rife": 0.01, "joint": 0.001}
    for name, rate in rates.items():
        stage = config.stages[name]
        assert stage.epochs == 60
        assert (stage.schedule.name, stage.schedule.decay_epochs) == ("step", (30,))
        assert stage.schedule.decay_factor == 0.1
        for module in stage.train:
            assert stage.optimizer[module].name == "sgd"
            assert stage.optimizer[module].rate == pytest.approx(rate)
    joint = config.stages.joint
    assert joint.losses.resolution.weight == 0.1
    assert joint.losses.identity.weight == joint.losses.restoration.weight == 1
    assert joint.init.to_dict() == {"super_resolution": "ffsr", "extractor": "rife"}
    assert joint.losses.restoration.mask.name == "gaussian"


@pytest.mark.parametrize("dataset", dataset_names())
def test_the_baseline_has_the_budget_of_rife_and_joint(dataset):
    stages = base_config(dataset).stages
    assert stages.baseline.epochs == stages.rife.epochs + stages.joint.epochs
    ours, theirs = (stages[name].optimizer.extractor.to_dict() for name in ("baseline", "rife"))
    for factor in ("stream_factor", "gate_factor"):  # a plain network has neither streams nor gates
        del ours[factor], theirs[factor]
    assert ours == theirs
    assert stages.baseline.extractor == "resnet50"
    assert stages.baseline.super_resolution == "bilinear"


def test_unknown_data_set():
    with pytest.raises(UserError, match=r"dataset: found .cifar., expected one of caviar, "):
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
        ("stages.rife.augmentation.flip", 1.5),
        ("stages.rife.augmentation.crop", -0.1),
        ("stages.rife.augmentation.degrade_targets", 1.5),
        ("stages.rife.augmentation.erase", -0.5),
        ("stages.rife.augmentation.min_ratio", 0.0),
        ("stages.rife.images_per_identity", -1),
        ("stages.rife.images_per_identity", 5),  # the batch is of 32
        ("data.trials", (0,)),  # pedestrians have one partition
        ("profile", (3, 2)),
        ("profile", (1,)),
        ("data.workers", -1),
        ("data.max_bad_images", -1),
        ("data.recipe.kernel", "nearest"),
        ("data.recipe.min_width", 0),
        ("data.recipe.min_width", 32),
        ("data.recipe.cameras", 0),
        ("natural_images.size", (30, 32)),
        ("natural_images.count", 0),
        ("model.width", 0.0),
        ("model.stage_sizes", (1, 1, 1)),
        ("model.stage_sizes", (1, 1, 1, 0)),
        ("model.stage_sizes", (1, 1, 1, 1.0)),
        ("stages.rife.last_stride", 3),
        ("stages.rife.neck", "bn"),
        ("stages.rife.losses.resolution.weight", -0.1),
        ("stages.rife.losses.resolution.weight", float("nan")),
        ("stages.rife.losses.identity.smoothing", 1.0),
        ("stages.rife.losses.triplet.margin", -0.3),
        ("stages.ffsr.losses.restoration.mask.name", "circle"),
        ("stages.ffsr.losses.restoration.mask.sigma", (0.3,)),
        ("stages.ffsr.losses.restoration.mask.sigma", (0.3, 0.0)),
        ("stages.ffsr.losses.identity.weight", 1.0),  # it has no extractor
        ("stages.rife.optimizer.extractor.name", "lamb"),
        ("stages.rife.optimizer.extractor.momentum", 1.0),
        ("stages.rife.optimizer.extractor.rate", 0.0),
        ("stages.rife.optimizer.extractor.rate", float("nan")),
        ("stages.rife.optimizer.extractor.weight_decay", -1e-4),
        ("stages.rife.schedule.name", "linear"),
        ("stages.rife.schedule.decay_factor", 2.0),
        ("stages.rife.schedule.warmup_epochs", -1),
        ("stages.rife.schedule.decay_epochs", (5, 3)),
        ("stages.rife.schedule.decay_epochs", (2.5,)),
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
        ("stages.rife.extractor", "vgg"),
        ("stages.rife.super_resolution", "srgan"),
        ("stages.rife.dataset", "imagenet"),
        ("stages.rife.init.extractor", "nosuch"),
        ("stages.rife.train", ()),
        ("stages.rife.train", ("classifier",)),
        ("stages.rife.train", ("super_resolution",)),  # it enlarges bilinearly
        ("stages.ffsr.train", ("extractor",)),  # it has none
        ("stages.ffsr.train", ("super_resolution", "discriminator")),  # no term brings one
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
    config.stages.baseline.neck = "batch_norm"
    message = problem(config)
    assert message == (
        "config.stages.baseline.neck: found 'batch_norm', expected fc for two_resnet50"
    )


def test_a_stage_minimises_something():
    config = valid_config()
    for term in config.stages.rife.losses.values():
        term.weight = 0.0
    assert problem(config).startswith("config.stages.rife.losses: found no term with a weight")


@pytest.mark.parametrize("dataset", dataset_names())
def test_the_tricks_are_off_by_default(dataset):
    config = base_config(dataset)
    for name, stage in config.stages.items():
        assert (stage.neck, stage.images_per_identity) == (
            "batch_norm" if name == "released" else "fc",
            0,
        )
        assert stage.augmentation.erase == stage.augmentation.degrade_targets == 0
        assert stage.losses.identity.smoothing == stage.losses.triplet.weight == 0
        assert stage.schedule.warmup_epochs == 0 or name.startswith("strong")


@pytest.mark.parametrize("dataset", dataset_names())
def test_strong_systems_differ_in_their_networks_alone(dataset):
    config = base_config(dataset)
    use_tricks(config)
    first, *others = (config.stages[stage].to_dict() for stage in STRONG)
    for stage, other in zip(list(STRONG)[1:], others, strict=True):
        assert (other["super_resolution"], other["extractor"]) == STRONG[stage]
        assert other["init"]["extractor"] == first["init"]["extractor"]
        assert {name for name in first if first[name] != other[name]} <= {
            *("super_resolution", "extractor", "init", "train", "losses"),
        }
        for term in LOSSES:
            assert term == "restoration" or first["losses"][term] == other["losses"][term]
        restores = other["super_resolution"] != "bilinear"
        assert ("super_resolution" in other["train"]) == restores
        assert (other["losses"]["restoration"]["weight"] > 0) == restores
        assert other["init"]["super_resolution"] == ("ffsr" if restores else "")


def test_systems_with_images_as_they_are_differ_from_those_with_copies_in_nothing_else():
    path = CONFIGS[0].parent / "strong_systems.py"
    config = runpy.run_path(str(path))["get_config"]("vr_market1501")
    for stage in ("ffsr", *STRONG):
        copies, plain = config.stages[stage].to_dict(), config.stages[f"{stage}_plain"].to_dict()
        assert (copies["augmentation"].pop("degrade"), plain["augmentation"].pop("degrade")) == (
            0.5,
            0.0,
        )
        assert copies["augmentation"].pop("degrade_targets") == 0.5
        assert plain["augmentation"].pop("degrade_targets") == 0.0
        if plain["init"]["super_resolution"] == "ffsr_plain":
            plain["init"]["super_resolution"] = "ffsr"
        assert plain == copies
    assert set(config.others) | {"strong_joint", "strong"} == {
        *STRONG,
        *(f"{stage}_plain" for stage in STRONG),
    }


def test_only_the_stages_of_strong_have_its_tricks():
    """One stage's settings leave the others as they are in configs/joint.py."""
    strong, joint = (
        runpy.run_path(str(CONFIGS[0].parent / name))["get_config"]()
        for name in ("strong.py", "joint.py")
    )
    for stage in ("backbone", "ffsr_pretrain", "rife", "joint", "baseline"):
        assert strong.stages[stage].to_dict() == joint.stages[stage].to_dict()


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
    config.eval.every_epoch = 1
    del config.checkpoint["keep"]
    with config.ignore_type():
        config.seed = "0"
        config.stages.rife = 3
    message = problem(config)
    assert (
        "config.eval.every_epoch: found an unknown field, expected config.eval.every_epochs"
        in message
    )
    assert "config.checkpoint.keep: found no such field" in message
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
        config.stages.rife.losses.identity.weight = 1
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


def test_every_field_says_what_it_is():
    def fields(section):
        for name, value in section.items():
            if isinstance(value, Field):
                yield name, value
            else:
                yield from fields(value.fields() if isinstance(value, Slot) else value)

    for name, field in (*fields(base_fields()), *fields(stage_fields())):
        assert field.about, name
        assert not field.check.problem(field.default) or name in ("train", "run"), name


def test_fields_that_a_config_lacks_have_their_defaults():
    """A work directory of the version before a field came can still be read."""
    config = valid_config()
    config.stages.rife.losses.resolution.weight = 0.7
    older = ConfigDict(config.to_dict())
    del older.checkpoint["keep"], older.stages.rife.losses["triplet"]
    assert with_defaults(older).to_dict() == config.to_dict()


def test_old_fields_are_refused_with_their_new_names():
    config = valid_config()
    config.stages.joint.sr_weight = 1.0
    config.loss = ConfigDict({"beta": 0.1})
    message = problem(config)
    assert (
        "config.loss: found an unknown field, expected its new name config.stages.STAGE.losses"
        in message
    )
    assert (
        "config.stages.joint.sr_weight: found an unknown field, expected its new name "
        "config.stages.joint.losses.restoration.weight" in message
    )


def test_new_names_exist():
    importlib.import_module("rireid_jax.paper.systems")  # registers the terms of its own
    for dataset in ("pedestrians", "mlr_viper"):
        known = base_config(dataset)
        for name in RENAMED.values():
            value = known
            for part in (
                name.partition(" (")[0]
                .replace("STAGE", "joint")
                .replace("MODULE", "extractor")
                .split(".")
            ):
                if part in ("recipe", "trial", "trial_source") and dataset == "pedestrians":
                    break
                value = value[part]


def test_a_stage_of_ones_own_differs_where_it_is_told_to():
    stage = stage_config(extractor="rife", losses={"identity": {"weight": 1.0}})
    assert stage.losses.identity.to_dict() == {"weight": 1.0, "smoothing": 0.0}
    assert stage.schedule.name == "step"
