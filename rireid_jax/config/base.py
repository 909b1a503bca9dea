"""Every field of the config but those of a stage, with its default, its unit and its source."""

from ml_collections import ConfigDict

from rireid_jax.components import (
    ANYTHING,
    AT_LEAST_ZERO,
    DATASETS,
    EXTRACTORS,
    IMAGE_SIZE,
    POSITIVE,
    SUPER_RESOLUTION,
    Check,
    Field,
    Fields,
    all_options,
    increasing,
    one_of,
)
from rireid_jax.config.datasets import parse_dataset, recipe_of
from rireid_jax.config.fields import defaults
from rireid_jax.config.stages import all_stages

_PROFILE = Check(
    lambda value: value == () or (len(value) == 2 and 0 < value[0] <= value[1]),
    "() or the numbers of two steps, (first, last)",
)
_TRIALS = Check(
    lambda value: len(set(value)) == len(value) and all(type(n) is int and n >= 0 for n in value),
    "different numbers of partitions of the identities, such as (0, 1)",
)
_RAW_DIR_OF_ANYTHING = Field(
    "", 'folder of images, searched with its subfolders; "" draws dead leaves'
)
_DATA: Fields = {
    "dir": Field("data", "folder of built data sets"),
    "raw_dir": Field("", "folder of the original files"),
    "max_bad_images": Field(
        0, "unreadable raw images that a build leaves out before it gives up", AT_LEAST_ZERO
    ),
    "workers": Field(
        8, "decoding processes; 0: a thread of the main process decodes", AT_LEAST_ZERO, small=0
    ),
    "image_size": Field((256, 128), "network input, (height, width) pixels", IMAGE_SIZE),
    "trials": Field(
        (),
        "partitions of the identities to train and score; (): the data set has only one",
        _TRIALS,
    ),
    "build_threads": Field(
        0, "threads that decode while building; 0: as many as there are cores", AT_LEAST_ZERO
    ),
    "beam": Field(
        "",
        'options of an Apache Beam pipeline that builds, such as "--runner=FlinkRunner"; "": none',
    ),
}
_EVAL: Fields = {
    "batch_size": Field(256, "images a step over all devices", POSITIVE, small=128),
    "every_epochs": Field(
        0, "epochs between evaluations during a stage; 0: only at its end", AT_LEAST_ZERO
    ),
    "bins": Field(
        (0.0, 1 / 3, 2 / 3, 1.0),
        "edges of the bins of query resolution, in r",
        Check(
            lambda value: len(value) >= 2 and value[0] >= 0 and increasing(value),
            "at least two increasing edges from 0 on",
        ),
    ),
}
_CHECKPOINT: Fields = {
    "every_steps": Field(1000, "steps; also at the end of every stage", POSITIVE, small=200),
    "keep": Field(2, "latest checkpoints of a stage that are kept, next to its best", POSITIVE),
}


def base_fields() -> Fields:
    """All fields but `data.recipe` and `stages`, which depend on the data set and on the config file."""
    return {
        "dataset": Field("pedestrians", "name of a data set", ANYTHING),
        "seed": Field(0, "of initial parameters, order and augmentation", AT_LEAST_ZERO),
        "run": Field(
            (), "stages to run, in order; the last that is not the baseline gives the results"
        ),
        "baseline": Field("", "stage whose figures are printed next to the results"),
        "imports": Field(
            (),
            "modules to import for the components that they register",
            Check(
                lambda value: all(isinstance(name, str) and name for name in value),
                "names of Python modules",
            ),
        ),
        "parallel": Field(
            "pmap", "how the step is spread over devices", one_of("pmap", "shard_map")
        ),
        "dtype": Field(
            "float32",
            "of activations; bfloat16 keeps parameters, statistics, heads and losses in float32",
            one_of("float32", "bfloat16"),
        ),
        "batch_size": Field(
            32, "images a step over all devices and processes; paper section 5.2", POSITIVE
        ),
        "log_every": Field(50, "steps between log lines", POSITIVE, small=20),
        "profile": Field((), "first and last step of each stage to trace; (): none", _PROFILE),
        "data": _DATA,
        # A section for every data set without identities, which a stage may learn from next to the config's own.
        **{
            name: {"raw_dir": _RAW_DIR_OF_ANYTHING, **dataset.recipe}
            for name, dataset in DATASETS.items()
            if not dataset.has_identities
        },
        "model": {**all_options(SUPER_RESOLUTION), **all_options(EXTRACTORS)},
        "init": {
            "backbone": Field(
                "", "PyTorch file of ImageNet weights for the extractors that start from no stage"
            )
        },
        "eval": _EVAL,
        "checkpoint": _CHECKPOINT,
    }


def base_config(dataset: str = "pedestrians") -> ConfigDict:
    """The config of all stages on one data set: the paper's setting, or the two-core one.

    Args:
      dataset: a key of `DATASETS`, and after a slash one of its presets.

    Returns:
      A ConfigDict in which every field has its default.

    Raises:
      UserError: the data set is unknown, or the preset.
    """
    name = parse_dataset(dataset)[0]
    spec = DATASETS[name]
    config = defaults(base_fields(), spec.small)
    config.dataset = name
    config.data.image_size = spec.image_size
    for other in DATASETS:
        if not DATASETS[other].has_identities and "size" in config[other]:
            config[other].size = spec.image_size  # so that both fit one network
    config.data.trials = tuple(range(spec.trials))
    config.data.recipe = ConfigDict(recipe_of(dataset))
    config.stages = all_stages(spec.small, spec.degrade)
    return config
