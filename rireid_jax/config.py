"""Configuration: the table of datasets, the stages of training, and what makes a config valid.

`base_config(dataset)` holds every field that the project reads, with its unit and its source. A file in
`configs/` chooses which stages to run; everything can be overridden on the command line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ml_collections import ConfigDict

from rireid_jax.errors import UserError

KERNELS = ("bicubic", "bilinear", "lanczos")
# The last two are of the authors' code: as published, and with its index bug mended.
MASKS = ("none", "gaussian", "segmentation", "released", "released_fixed")
SUPER_RESOLUTION = ("bilinear", "ffsr", "ffsr_released")
OPTIMIZERS = ("sgd", "adam")
EXTRACTORS = ("none", "resnet50", "rife", "rife_released")


@dataclass(frozen=True)
class Dataset:
    """What the system knows of a data set before it is built.

    Attributes:
      protocol: of evaluation, as `evaluation.rank` names it.
      image_size: the network's input, (height, width) in pixels.
      raw: what `config.data.raw_dir` must hold, in words; empty if nothing is needed.
      recipe: how the multi-resolution data are made from the raw files; becomes `config.data.recipe`.
      small: the two-core setting (narrow networks, minutes) instead of the paper's.
    """

    protocol: str
    image_size: tuple[int, int]
    raw: str
    recipe: Mapping[str, Any]
    small: bool = False


DATASETS: Mapping[str, Dataset] = {
    "pedestrians": Dataset(
        protocol="market",
        image_size=(64, 32),
        raw="",
        recipe=dict(
            train_identities=240,  # identities drawn for training
            test_identities=150,  # identities drawn for query and gallery; none is in training
            cameras=4,  # each identity is seen by all of them
            train_shots=2,  # training images of an identity by one camera
            query_shots=2,  # query images of an identity by one camera
            gallery_shots=2,  # gallery images of an identity by one camera
            height=64,  # pixels of the high-resolution image
            width=32,  # pixels; also width_max of r = width / width_max
            min_width=6,  # pixels; the low-resolution width is uniform in [min_width, width)
            kernel="bicubic",  # down-sampling kernel (PIL, antialiased)
            seed=0,  # of everything random in the build
        ),
        small=True,
    ),
    "vr_market1501": Dataset(
        protocol="market",
        image_size=(256, 128),  # paper section 5.2
        raw="the folder Market-1501-v15.09.15 with bounding_box_train, query and bounding_box_test",
        recipe=dict(
            min_width=8,  # pixels; the width is uniform in [min_width, max_width), paper section 5.1
            max_width=32,  # pixels, exclusive; also width_max of r = width / width_max
            kernel="bicubic",  # down-sampling kernel (PIL, antialiased); the paper is silent
            seed=0,  # of everything random in the build
        ),
    ),
    "folder": Dataset(
        protocol="market",
        image_size=(256, 128),
        raw="a folder per identity, file names as in Market-1501, or a CSV file path,id[,camera[,split]]",
        recipe=dict(
            degrade=False,  # True: down-sample every image as in the VR benchmarks
            min_width=8,  # pixels, where degrade; the width is uniform in [min_width, max_width)
            max_width=32,  # pixels, exclusive, where degrade
            kernel="bicubic",  # down-sampling kernel (PIL, antialiased)
            test_fraction=0.5,  # of the identities, where the data come without a split
            seed=0,  # of everything random in the build
        ),
    ),
}


def base_config(dataset: str = "pedestrians") -> ConfigDict:
    """The config of all stages on one data set: the paper's setting, or the two-core one.

    Args:
      dataset: a key of `DATASETS`.

    Returns:
      A ConfigDict in which every field has its default.

    Raises:
      UserError: the data set is unknown.
    """
    if dataset not in DATASETS:
        raise UserError(f"dataset: found {dataset!r}, expected one of {', '.join(DATASETS)}")
    spec = DATASETS[dataset]
    config = ConfigDict()
    config.dataset = dataset
    config.seed = 0  # of initial parameters, order and augmentation
    config.run = ()  # names of the stages to run, in order; the last that is no baseline gives the results
    config.baseline = ""  # name of the stage whose figures are printed beside
    config.parallel = "pmap"  # or "shard_map": how the step is spread over devices
    # Of activations; "bfloat16" keeps parameters, statistics, heads and losses in float32.
    config.dtype = "float32"
    config.batch_size = 32  # images a step over all devices and processes, paper section 5.2

    config.data = ConfigDict()
    config.data.dir = "data"  # where built data sets go
    config.data.raw_dir = ""  # where the original files lie
    config.data.max_bad_images = 0  # unreadable raw images a build goes past before it gives up
    config.data.workers = 0 if spec.small else 8  # decoding processes; 0: the main process decodes
    config.data.image_size = spec.image_size  # network input, (height, width) pixels
    config.data.flip = 0.5  # probability of a horizontal flip
    config.data.crop = 0.5  # probability of enlarging by 1.125 and cropping back
    config.data.recipe = ConfigDict(dict(spec.recipe))

    config.natural_images = ConfigDict()  # FFSR is pre-trained on them; the paper: ImageNet
    config.natural_images.raw_dir = ""  # a folder of images, read recursively; "" draws dead leaves
    config.natural_images.count = 1500 if spec.small else 20_000  # images; from a folder at most
    config.natural_images.size = spec.image_size  # (height, width) pixels of a stored crop
    config.natural_images.min_ratio = (
        0.125  # the ratio is uniform in [min_ratio, 1], each time anew
    )
    config.natural_images.seed = 0

    config.model = ConfigDict()
    config.model.ffsr_width = 0.25 if spec.small else 1.0  # times the paper's hidden widths
    config.model.width = 0.25 if spec.small else 1.0  # times ResNet50's widths
    config.model.stage_sizes = (1, 1, 1, 1) if spec.small else (3, 4, 6, 3)  # bottlenecks a stage
    config.model.last_stride = 2  # of the last stage; 1 keeps a map twice as fine
    config.model.feature_dim = 256  # of f, paper section 5.2
    config.model.gate_dim = 64  # hidden width of a stream's weight head, paper section 5.2

    config.loss = ConfigDict()
    config.loss.beta = 0.1  # weight of the resolution losses in Eq. 9, paper section 5.2
    config.loss.mask_sigma = (1 / 3, 1 / 3)  # gaussian mask: fractions of height and width; ours
    config.loss.resolution_width = 0  # pixels of r = 1 in Eq. 7; 0: the data set's greatest width

    config.init = ConfigDict()
    config.init.backbone = ""  # PyTorch file of a ResNet50, for the extractors that start afresh

    config.optim = ConfigDict()
    config.optim.momentum = 0.9  # the paper names plain SGD; these are the authors' code's
    config.optim.decay_factor = 0.1  # of the learning rate, paper section 5.2

    config.eval = ConfigDict()
    config.eval.batch_size = 128 if spec.small else 256  # images a step over all devices
    config.eval.every_epochs = 0  # evaluate during a stage too; 0: only at its end
    config.eval.repeats = 10  # random galleries of the single_shot and cuhk03 protocols
    config.eval.bins = (0.0, 1 / 3, 2 / 3, 1.0)  # edges of the query resolution bins, in r

    config.checkpoint = ConfigDict()
    config.checkpoint.every_steps = 200 if spec.small else 1000  # also at every stage's end
    config.checkpoint.keep = 2  # latest checkpoints kept of a stage; its best is kept beside
    config.log_every = 20 if spec.small else 50  # steps

    config.stages = _stages(small=spec.small)
    return config


def _stages(small: bool) -> ConfigDict:
    """The three stages of section 5.2 (the first has two parts), what stands for their ImageNet weights
    in the two-core setting, the released stage, and the baseline's.

    The baseline gets what RIFE gets in stages 2 and 3 together: the same start, as many epochs, at the same
    learning rates, so that a difference between them is not a difference in budget.
    """
    # Where the paper starts ResNet50 from ImageNet, the two-core setting trains a small one for a minute.
    backbone = "backbone" if small else ""
    rate = 0.05 if small else 0.01
    # From scratch, and in a minute, Adam restores a decibel better than SGD does.
    sr_optimizer, sr_rate = ("adam", 0.003) if small else ("sgd", 0.01)
    stages = ConfigDict()
    stages.backbone = _stage(
        extractor="resnet50",
        train=("extractor",),
        alpha=1.0,
        epochs=10,
        learning_rate=0.08,
        decay_epochs=(),
    )
    stages.ffsr_pretrain = _stage(
        dataset="natural_images",
        super_resolution="ffsr",
        train=("super_resolution",),
        sr_weight=1.0,
        optimizer=sr_optimizer,
        weight_decay=0.0,
        epochs=8 if small else 60,
        learning_rate=sr_rate,
        decay_epochs=(4,) if small else (30,),
    )
    stages.ffsr = _stage(
        super_resolution="ffsr",
        init_super_resolution="ffsr_pretrain",
        train=("super_resolution",),
        sr_weight=1.0,
        mask="gaussian",
        optimizer=sr_optimizer,
        weight_decay=0.0,
        epochs=8 if small else 60,
        learning_rate=sr_rate,
        decay_epochs=(5,) if small else (30,),
    )
    stages.rife = _stage(
        extractor="rife",
        init_extractor=backbone,
        train=("extractor",),
        alpha=1.0,
        epochs=8 if small else 60,
        learning_rate=rate,
        decay_epochs=() if small else (30,),
    )
    stages.joint = _stage(
        super_resolution="ffsr",
        init_super_resolution="ffsr",
        extractor="rife",
        init_extractor="rife",
        train=("super_resolution", "extractor"),
        # At the two-core setting's high learning rate, identity alone would undo what FFSR has learned.
        sr_weight=10.0 if small else 1.0,
        super_resolution_rate=0.1 if small else 1.0,
        alpha=1.0,
        mask="gaussian",
        epochs=16 if small else 60,
        learning_rate=rate if small else rate / 10,
        decay_epochs=(10,) if small else (30,),
    )
    # What the authors' code does instead of the three stages.
    released = 36 if small else 60
    stages.released = _stage(
        super_resolution="ffsr_released",
        extractor="rife_released",
        train=("super_resolution", "extractor"),
        sr_weight=0.1,
        alpha=1.0,
        mask="released",
        optimizer="adam",
        epochs=released,
        learning_rate=3e-4,
        decay_epochs=(released // 3, released * 2 // 3),
    )
    stages.baseline = _stage(
        extractor="resnet50",
        init_extractor=backbone,
        train=("extractor",),
        alpha=1.0,
        epochs=stages.rife.epochs + stages.joint.epochs,
        learning_rate=rate,
        decay_epochs=(18,) if small else (30, 90),
    )
    return stages


def stages_to(config: ConfigDict, *finals: str) -> tuple[str, ...]:
    """The stages to run for the given ones: each after those that it starts from."""
    order: list[str] = []

    def add(stage: str) -> None:
        for source in config.stages[stage].init.values():
            if source:
                add(source)
        if stage not in order:
            order.append(stage)

    for final in finals:
        add(final)
    return tuple(order)


def _stage(
    *,
    dataset: str = "",
    super_resolution: str = "bilinear",
    extractor: str = "none",
    init_super_resolution: str = "",
    init_extractor: str = "",
    train: tuple[str, ...],
    sr_weight: float = 0.0,
    alpha: float = 0.0,
    mask: str = "none",
    optimizer: str = "sgd",
    weight_decay: float = 5e-4,
    super_resolution_rate: float = 1.0,
    epochs: int,
    learning_rate: float,
    decay_epochs: tuple[int, ...],
) -> ConfigDict:
    """One stage: which network, what trains, what it minimises, what it starts from."""
    return ConfigDict(
        dict(
            dataset=dataset,  # "": the config's; "natural_images": FFSR's pre-training data
            super_resolution=super_resolution,  # one of SUPER_RESOLUTION
            extractor=extractor,  # one of EXTRACTORS
            init=dict(  # the stage whose result a module starts from; "": random
                super_resolution=init_super_resolution,
                extractor=init_extractor,
            ),
            train=train,  # modules that learn; the others stay as they start
            sr_weight=sr_weight,  # of Eq. 5 in Eq. 4
            alpha=alpha,  # of Eq. 9 in Eq. 4
            mask=mask,  # M of Eq. 5, one of MASKS
            optimizer=optimizer,  # one of OPTIMIZERS
            # L2, added to the gradient as PyTorch does; 5e-4 is the authors' code's. On FFSR alone it would
            # outweigh the gradient of the mean squared error, which is small.
            weight_decay=weight_decay,
            super_resolution_rate=super_resolution_rate,  # that module's learning rate, relative
            epochs=epochs,
            learning_rate=learning_rate,
            decay_epochs=decay_epochs,  # the learning rate drops when these epochs are complete
        )
    )


def final_stage(config: ConfigDict) -> str:
    """The stage that a run's results are about: the last that is not the baseline."""
    return [stage for stage in config.run if stage != config.baseline][-1]


def validate(config: ConfigDict) -> None:
    """Checks the values of a config.

    Raises:
      UserError: one line that names every wrong field, what it holds and what was expected.
    """
    # The values of fields that are not there, or are of another type, cannot be looked at.
    problems = list(_structure_problems(config)) or list(_problems(config))
    if problems:
        raise UserError("; ".join(problems))


def _structure_problems(config: ConfigDict) -> Iterator[str]:
    """Unknown and missing fields, and types other than those of `base_config`."""
    if "dataset" not in config or config.dataset not in DATASETS:
        found = repr(config.get("dataset")) if "dataset" in config else "no such field"
        yield f"config.dataset: found {found}, expected one of {', '.join(DATASETS)}"
        return
    expected = base_config(config.dataset)
    recipe = config.get("data", {}).get("recipe", expected.data.recipe)
    if set(recipe) != set(expected.data.recipe):
        yield (
            f"config.dataset: found {config.dataset!r} with a recipe of {', '.join(recipe) or 'nothing'}, expected "
            f"{', '.join(expected.data.recipe)}; choose the data set behind the config file, as in "
            f"--config configs/joint.py:{config.dataset}"
        )
        return
    template = _stage(train=(), epochs=1, learning_rate=1.0, decay_epochs=())
    expected.stages = ConfigDict(dict.fromkeys(config.get("stages", {}), template))
    yield from _differences(config, expected, "config")


def _differences(found: ConfigDict, expected: ConfigDict, parent: str) -> Iterator[str]:
    for name in sorted({*found, *expected}):
        field = f"{parent}.{name}"
        if name not in expected:
            yield f"{field}: found an unknown field, expected one of {', '.join(expected)}"
        elif name not in found:
            yield f"{field}: found no such field, expected it as in base_config"
        elif isinstance(expected[name], ConfigDict) and isinstance(found[name], ConfigDict):
            yield from _differences(found[name], expected[name], field)
        elif type(found[name]) is not type(expected[name]):
            kind = type(expected[name]).__name__
            if (type(found[name]), kind) != (int, "float"):
                yield f"{field}: found {found[name]!r}, expected a value of type {kind}"


def _problems(config: ConfigDict) -> Iterator[str]:
    def check(field: str, ok: Any, expected: str) -> Iterator[str]:
        value: Any = config
        for part in field.split("."):
            value = value[part]
        try:
            good = ok(value)
        except TypeError:
            good = False
        if not good:
            yield f"config.{field}: found {value!r}, expected {expected}"

    def one_of(field: str, choices: Any) -> Iterator[str]:
        return check(field, lambda v: v in choices, f"one of {', '.join(map(repr, choices))}")

    def positive(field: str) -> Iterator[str]:
        return check(field, lambda v: v > 0, "a number above 0")

    def at_least_zero(field: str) -> Iterator[str]:
        return check(field, lambda v: v >= 0, "a number of at least 0")

    def probability(field: str) -> Iterator[str]:
        return check(field, lambda v: 0 <= v <= 1, "a number in [0, 1]")

    def size(field: str) -> Iterator[str]:
        return check(
            field,
            lambda v: len(v) == 2 and all(type(n) is int and n > 0 and n % 4 == 0 for n in v),
            "(height, width), two positive multiples of 4",
        )

    def increasing_epochs(field: str) -> Iterator[str]:
        return check(
            field,
            lambda v: all(type(n) is int and n >= 0 for n in v) and list(v) == sorted(v),
            "epochs in increasing order",
        )

    yield from one_of("parallel", ("pmap", "shard_map"))
    yield from one_of("dtype", ("float32", "bfloat16"))
    for field in (
        "batch_size",
        "log_every",
        "natural_images.count",
        "natural_images.min_ratio",
        "model.ffsr_width",
        "model.width",
        "model.feature_dim",
        "model.gate_dim",
        "eval.batch_size",
        "eval.repeats",
        "checkpoint.every_steps",
        "checkpoint.keep",
    ):
        yield from positive(field)
    for field in (
        "data.max_bad_images",
        "data.workers",
        "loss.beta",
        "loss.resolution_width",
        "eval.every_epochs",
        "seed",
    ):
        yield from at_least_zero(field)
    for field in ("data.flip", "data.crop", "natural_images.min_ratio", "optim.decay_factor"):
        yield from probability(field)
    yield from size("data.image_size")
    yield from size("natural_images.size")
    yield from check("optim.momentum", lambda v: 0 <= v < 1, "a number in [0, 1)")
    yield from one_of("model.last_stride", (1, 2))
    yield from check(
        "model.stage_sizes",
        lambda v: len(v) == 4 and all(type(n) is int and n > 0 for n in v),
        "four positive block counts",
    )
    yield from check(
        "loss.mask_sigma",
        lambda v: len(v) == 2 and all(s > 0 for s in v),
        "two positive fractions, of height and width",
    )
    yield from check(
        "eval.bins",
        lambda v: len(v) >= 2 and all(0 <= a < b for a, b in pairwise(v)),
        "at least two increasing edges from 0 on",
    )
    yield from _recipe_problems(config, check)
    stages = tuple(config.stages)
    yield from check(
        "run",
        lambda v: set(v) - {config.baseline} and set(v) <= set(stages) and len(set(v)) == len(v),
        f"different names out of {', '.join(stages)}, not the baseline's alone",
    )
    yield from check(
        "baseline", lambda v: v in ("", *config.run), "the name of a stage of config.run, or ''"
    )
    for name in stages:
        stage = f"stages.{name}"
        yield from one_of(f"{stage}.dataset", ("", "natural_images"))
        yield from one_of(f"{stage}.super_resolution", SUPER_RESOLUTION)
        yield from one_of(f"{stage}.extractor", EXTRACTORS)
        yield from one_of(f"{stage}.mask", MASKS)
        yield from one_of(f"{stage}.optimizer", OPTIMIZERS)
        yield from one_of(f"{stage}.init.super_resolution", ("", *stages))
        yield from one_of(f"{stage}.init.extractor", ("", *stages))
        modules = [
            module
            for module, nothing in (("super_resolution", "bilinear"), ("extractor", "none"))
            if config.stages[name][module] != nothing
        ]
        yield from check(
            f"{stage}.train",
            lambda v, modules=modules: len(v) > 0 and all(m in modules for m in v),
            f"some of the modules that the stage has: {', '.join(modules) or 'none'}",
        )
        yield from positive(f"{stage}.epochs")
        yield from positive(f"{stage}.learning_rate")
        yield from at_least_zero(f"{stage}.sr_weight")
        yield from at_least_zero(f"{stage}.alpha")
        yield from at_least_zero(f"{stage}.weight_decay")
        yield from positive(f"{stage}.super_resolution_rate")
        yield from increasing_epochs(f"{stage}.decay_epochs")


def _recipe_problems(config: ConfigDict, check: Any) -> Iterator[str]:
    recipe = config.data.recipe
    if "kernel" in recipe:
        yield from check("data.recipe.kernel", lambda v: v in KERNELS, f"one of {KERNELS}")
    for name, value in recipe.items():
        if type(value) is int and name != "seed":
            yield from check(f"data.recipe.{name}", lambda v: v > 0, "a number above 0")
    top = "max_width" if "max_width" in recipe else "width"
    if "min_width" in recipe and top in recipe:
        yield from check(
            "data.recipe.min_width", lambda v: v < recipe[top], f"less than {top} ({recipe[top]})"
        )
    if "test_fraction" in recipe:
        yield from check("data.recipe.test_fraction", lambda v: 0 < v < 1, "a number in (0, 1)")
