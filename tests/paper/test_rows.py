"""configs/ablation.py: the rows of Tables 1 to 3 as configs."""

import pytest
from measured import get_config
from ml_collections import ConfigDict

from rireid_jax.config import dataset_names, final_stage, validate
from rireid_jax.errors import UserError
from rireid_jax.paper.published import RESULTS
from rireid_jax.paper.rows import CLASSICAL, ROWS, seeds_of
from rireid_jax.paper.tables import TABLES

NETWORKS = [name for name in ROWS if name not in CLASSICAL]


def learned_epochs(config: ConfigDict, module: str) -> dict[str, int]:
    """By stage, the epochs for which a module of the row's final network has learned on the data set."""
    epochs: dict[str, int] = {}
    stage = final_stage(config)
    while stage:
        spec = config.stages[stage]
        if module in spec.train and not spec.dataset:
            epochs[stage] = spec.epochs
        stage = spec.init[module]
    return epochs


def extractor_rate(config: ConfigDict, stage: str) -> float:
    return config.stages[stage].optimizer.extractor.rate


@pytest.mark.parametrize("dataset", dataset_names())
def test_every_row_is_valid_on_every_data_set(dataset):
    for row in NETWORKS:
        config = get_config(f"{row},{dataset}")
        validate(config)
        assert config.dataset == dataset
        assert final_stage(config) == ROWS[row].stage


def test_presets_and_other_names():
    config = get_config("srcnn,mlr_viper/vpfa")
    assert config.data.recipe.jpeg_quality == 75
    assert get_config("mlr_viper/vpfa").data.recipe == config.data.recipe
    assert get_config("bilinear").to_dict() == get_config("resnet50").to_dict()


@pytest.mark.parametrize("dataset", ["pedestrians", "vr_msmt17", "vr_msmt17,small"])
def test_all_rows_have_one_budget(dataset):
    for row in NETWORKS:
        config = get_config(f"{row},{dataset}")
        epochs = learned_epochs(config, "extractor")
        start = {"backbone", "densenet121_start"} & set(epochs)
        assert len(start) == (config.size == "small")
        budget = config.stages.rife.epochs + config.stages.joint.epochs
        assert sum(epochs.values()) - sum(epochs[stage] for stage in start) == budget, row
        rates = {extractor_rate(config, stage) for stage in set(epochs) - start}
        assert rates <= {extractor_rate(config, stage) for stage in ("rife", "joint")}


def test_all_extractors_start_alike():
    config = get_config()
    own, backbone = config.stages.densenet121_start.to_dict(), config.stages.backbone.to_dict()
    assert own | {"extractor": "resnet50"} == backbone
    for row in NETWORKS:
        start = next(iter(learned_epochs(get_config(row), "extractor")), "")
        while config.stages[start].init.extractor:
            start = config.stages[start].init.extractor
        assert start == ("densenet121_start" if row == "densenet121" else "backbone")


def test_restorers_have_one_budget_and_differ_in_network_and_mask_alone():
    stages = get_config().stages
    for pretrained in ("srcnn_pretrain", "vdsr_pretrain", "sing_pretrain"):
        own = stages[pretrained].to_dict() | {"super_resolution": "ffsr"}
        assert own == stages.ffsr_pretrain.to_dict()
    ffsr = stages.ffsr.to_dict()
    masks = {}
    for name in ("srcnn", "vdsr", "ae", "ffsr_segmentation", "sing_restorer"):
        own = stages[name].to_dict()
        masks[name] = own["losses"]["restoration"]["mask"]["name"]
        own["losses"]["restoration"]["mask"] = ffsr["losses"]["restoration"]["mask"]
        same = ("super_resolution", "init")
        assert own | {key: ffsr[key] for key in same} == ffsr
    assert masks.pop("ffsr_segmentation") == "segmentation"
    assert set(masks.values()) == {"none"}
    assert ffsr["losses"]["restoration"]["mask"]["name"] == "gaussian"


def test_with_and_without_joint_learning():
    """Table 1: both from the same stage; without, super-resolution stays as it was trained alone."""
    stages = get_config().stages
    apart, joint = stages.ffsr_apart, stages.ffsr_joint
    assert apart.init == joint.init
    assert apart.train == stages.ffsr_extractor.train == ("extractor",)
    assert joint.train == ("super_resolution", "extractor")
    assert joint.losses.restoration.weight > 0
    assert apart.losses.restoration.weight == 0
    assert stages.ffsr_segmentation_joint.losses.restoration.mask.name == "segmentation"
    sing = stages.sing
    assert sing.super_resolution == "srcnn_luminance"
    assert sing.losses.restoration.mask.name == "none"
    assert sing.train == joint.train
    assert sing.losses.restoration.weight > 0
    low_only = [name for name, spec in stages.items() if spec.losses.restoration.low_only]
    assert low_only == ["sing"]


def test_csr_gan_learns_alone_and_then_against_discriminators():
    for config in (get_config("csr_gan"), get_config("csr_gan,vr_msmt17")):
        stages = config.stages
        assert config.run[-3:] == ("csr_gan_pretrain", "csr_gan_extractor", "csr_gan")
        assert {stages[name].super_resolution for name in config.run[-3:]} == {"csr_gan"}
        assert stages.csr_gan_pretrain.train == ("super_resolution",)
        assert stages.csr_gan_extractor.train == ("extractor",)
        assert set(stages.csr_gan.train) == {"super_resolution", "discriminator", "extractor"}
        alone, against = stages.csr_gan_pretrain, stages.csr_gan
        assert alone.losses.csr_gan_pixels.weight == against.losses.csr_gan.weight == 1
        assert alone.losses.restoration.weight == against.losses.restoration.weight == 0
        adam = alone.optimizer.super_resolution
        assert adam.name == "adam"
        assert against.optimizer.super_resolution == against.optimizer.discriminator == adam
    # Of the authors' code.
    width = against.losses.csr_gan.discriminator_width
    assert (config.model.generator_blocks, config.model.generator_width, width) == (16, 1, 1)
    assert (adam.rate, against.losses.csr_gan.adversarial) == (1e-4, 1e-3)


def test_table_2_is_on_bilinear_images():
    for line in TABLES["table2"].lines:
        config = get_config(line.row)
        assert {config.stages[stage].super_resolution for stage in config.run} == {"bilinear"}


def test_rows_differ_and_all_are_the_whole():
    everything = get_config().run
    assert set(everything) == {stage for row in NETWORKS for stage in get_config(row).run}
    assert final_stage(get_config()) == ROWS["ffsr_rife"].stage
    finals = [ROWS[row].stage for row in NETWORKS]
    assert len(set(finals)) == len(finals)
    for row in NETWORKS:  # no row passes through another's last stage
        assert [stage for stage in get_config(row).run if stage in finals] == [ROWS[row].stage]


def test_seeds():
    assert seeds_of("rife", (2, 0)) == (2, 0)
    assert seeds_of("vdsr", (2, 0)) == (2,)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nosuch", "found 'nosuch' after the colon, expected ROW, DATASET or ROW,DATASET"),
        ("judea", "not trained in stages, expected --mode report --rows=judea"),
        ("rife,nosuch", "dataset: found 'nosuch'"),
    ],
)
def test_mistakes(argument, message):
    with pytest.raises(UserError, match=message):
        get_config(argument)


def test_every_line_has_what_the_paper_prints():
    printed = {"table1": 7, "table2": 4, "table3": 11}
    assert {name: len(table.lines) for name, table in TABLES.items()} == printed
    for table in TABLES.values():
        for line in table.lines:
            assert any(line.published == r.method and table.source in r.sources for r in RESULTS)
            assert line.row in ROWS
    assert {line.row for table in TABLES.values() for line in table.lines} == set(ROWS)
