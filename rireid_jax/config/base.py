"""The fields of the config outside the stages, each with its default, unit and source."""

from collections.abc import Mapping

from ml_collections import ConfigDict

from rireid_jax.components import (
    ANYTHING,
    AT_LEAST_ZERO,
    BELOW_ONE,
    DATASETS,
    EXTRACTORS,
    IMAGE_SIZE,
    POSITIVE,
    PROBABILITY,
    SUPER_RESOLUTION,
    Check,
    Field,
    Fields,
    all_options,
    increasing,
    one_of,
)
from rireid_jax.config.datasets import (
    SIZES,
    parse_dataset,
    published_training_images,
    recipe_of,
)
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
_SMALL_WIDTH = 32  # pixels
_RAW_DIR_OF_ANYTHING = Field(
    "",
    'folder of images, searched recursively; "": synthetic dead-leaves images are drawn instead',
    path=True,
)
_DATA: Fields = {
    "dir": Field(
        "data",
        "folder that holds the built data sets",
        Check(lambda value: value != "", "a folder, such as 'data'"),
        path=True,
    ),
    "raw_dir": Field("", "folder that holds the original files of the data set", path=True),
    "max_bad_images": Field(
        0, "number of unreadable raw images that a build skips before it fails", AT_LEAST_ZERO
    ),
    "allow_unmatched_queries": Field(
        False,
        "whether a build goes on where queries have no gallery image of their identity by another camera; they do not "
        "count in the results, and their number is told",
    ),
    "allow_shared_identities": Field(
        False,
        "whether a build of one's own images goes on where identities are both in training and in test; their number "
        "is told, and results are better than they should be",
    ),
    "workers": Field(
        8, "number of decoding processes; 0: decode in the main process", AT_LEAST_ZERO, small=0
    ),
    "image_size": Field(
        (256, 128), "size of the network input, (height, width) in pixels", IMAGE_SIZE
    ),
    "trials": Field(
        (),
        "trials to train and score; (): the data set has a single partition of its identities",
        _TRIALS,
    ),
    "validation": Field(
        0.0,
        "share of the training identities that are held out to choose settings and the best checkpoint on, by the "
        "recipe's seed; at least two identities if above 0. The paper trains on all",
        BELOW_ONE,
        small=0.1,
    ),
    "build_threads": Field(
        0,
        "number of decoding threads or drawing processes of a build; 0: one per core",
        AT_LEAST_ZERO,
    ),
    "beam": Field(
        "",
        'Apache Beam options, such as "--runner=FlinkRunner", to build with; "": build without Beam',
    ),
}
# Of `evaluation.k_reciprocal`; defaults of Zhong et al., CVPR 2017, section 4.
K_RECIPROCAL: Mapping[str, Field] = {
    "k1": Field(20, "neighbours whose reciprocity counts", POSITIVE),
    "k2": Field(6, "neighbours whose encodings are averaged; 1: not averaged", POSITIVE),
    "lambda_value": Field(
        0.3,
        "share of the original distance in the final one; 1 leaves the order as it is",
        PROBABILITY,
    ),
}
_EVAL: Fields = {
    "batch_size": Field(256, "images per step over all devices", POSITIVE, small=128),
    "every_epochs": Field(
        0, "epochs between evaluations in a stage; 0: evaluate only at its end", AT_LEAST_ZERO
    ),
    "split": Field(
        "query",
        "what a run is scored on. query: the queries, with the gallery, in results.json. validation: the identities "
        "that data.validation holds out, in validation.json, so that settings are chosen without the queries",
        one_of("query", "validation"),
    ),
    "normalise": Field(
        False,
        "whether features are divided by their L2 norm before their Euclidean distance is taken, which ranks as the "
        "cosine does; the paper compares them as they are (section 5.2)",
        small=True,
    ),
    "views": Field(
        "one",
        "what a feature is the mean of. one: the image. flip: it and its mirror image. flip_crops: these, and each "
        "shifted by half a native pixel towards the four corners, ten views in all; benchmarks/views.md measures them",
        one_of("one", "flip", "flip_crops"),
    ),
    "rerank": Field(
        "",
        'how ranks are improved by the neighbours of all images; "": not. Rates with it are in addition to those '
        "without ('reranked' in the results)",
        one_of("", "k_reciprocal"),
    ),
    "k_reciprocal": K_RECIPROCAL,
    "bins": Field(
        (0.0, 1 / 3, 2 / 3, 1.0),
        "bin edges of the query resolution r (1 = highest) in the results by resolution",
        Check(
            lambda value: len(value) >= 2 and value[0] >= 0 and increasing(value),
            "at least two increasing edges from 0 on",
        ),
    ),
}
_CHECKPOINT: Fields = {
    "every_steps": Field(
        1000,
        "steps between checkpoints; a stage also saves one at its end",
        POSITIVE,
        small=200,
    ),
    "keep": Field(
        2, "number of latest checkpoints to keep per stage, in addition to its best", POSITIVE
    ),
}


def base_fields() -> Fields:
    """Returns all fields except `data.recipe` and `stages`, which depend on the data set and on the config file."""
    return {
        "dataset": Field("pedestrians", "name of the data set to train and evaluate on", ANYTHING),
        "size": Field(
            "paper",
            "of networks, input and budget, given after the data set: 'paper' is that of section 5.2, 'small' is for "
            "two CPU cores and half an hour",
            one_of(*SIZES),
        ),
        "seed": Field(
            0, "random seed of initial parameters, data order and augmentation", AT_LEAST_ZERO
        ),
        "run": Field(
            (), "stages to run, in order; the results are those of the last one but the baseline"
        ),
        "baseline": Field("", 'stage whose figures are printed next to the results; "": none'),
        "others": Field((), "more stages of the run whose figures are given too"),
        "imports": Field(
            (),
            "Python modules to import, which register components of their own",
            Check(
                lambda value: all(isinstance(name, str) and name for name in value),
                "names of Python modules",
            ),
        ),
        "parallel": Field(
            "pmap", "how a training step is spread over devices", one_of("pmap", "shard_map")
        ),
        "dtype": Field(
            "float32",
            "dtype of activations; parameters, statistics, heads and losses stay in float32",
            one_of("float32", "bfloat16"),
        ),
        "batch_size": Field(
            32, "images per step over all devices and processes; paper section 5.2", POSITIVE
        ),
        "log_every": Field(50, "training steps between log lines", POSITIVE, small=20),
        "profile": Field(
            (), "(first, last) step of each stage to profile; (): no profile", _PROFILE
        ),
        "data": _DATA,
        # Every data set without identities has a section: a stage may learn from it instead of `config.dataset`.
        **{
            name: {"raw_dir": _RAW_DIR_OF_ANYTHING, **dataset.recipe}
            for name, dataset in DATASETS.items()
            if not dataset.has_identities
        },
        "model": {**all_options(SUPER_RESOLUTION), **all_options(EXTRACTORS)},
        "init": {
            "backbone": Field(
                "",
                "PyTorch file for extractors that start from no other stage: ImageNet weights, or what "
                "`Extractor.to_torch` has written",
                path=True,
            ),
            "workdir": Field(
                "",
                "work directory of an earlier run: stages that are the same there are taken, one that differs in its "
                "epochs, schedule or rates alone goes on from its last checkpoint, and on other data all begin with "
                "what they have learned there",
                path=True,
            ),
        },
        "eval": _EVAL,
        "checkpoint": _CHECKPOINT,
    }


def base_config(dataset: str = "pedestrians") -> ConfigDict:
    """Returns the config of all stages on one data set, at the paper's size or at the two-core size.

    Args:
      dataset: `DATASET[/PRESET][,SIZE]`, such as "mlr_viper", "mlr_viper/vpfa" or "mlr_viper,small".

    Returns:
      A ConfigDict in which every field has its default.

    Raises:
      UserError: the data set, the preset or the size is unknown.
    """
    name, _, size = parse_dataset(dataset)
    spec, small = DATASETS[name], size == "small"
    config = defaults(base_fields(), small)
    config.dataset, config.size = name, size
    config.data.image_size = small_image_size(spec.image_size) if small else spec.image_size
    for other in DATASETS:
        if not DATASETS[other].has_identities and "size" in config[other]:
            config[other].size = config.data.image_size  # so that images of both fit one network
    config.data.trials = tuple(range(spec.trials))
    config.data.recipe = ConfigDict(recipe_of(dataset))
    height, width = config.data.image_size
    epoch_pixels = published_training_images(dataset) * height * width
    config.stages = all_stages(small, spec.degrade, epoch_pixels)
    return config


def small_image_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """Returns the network input of the small size: at most 32 pixels wide, in the proportions of the paper's size.

    Args:
      image_size: (height, width) in pixels at the paper's size.

    Returns:
      (height, width) in pixels, multiples of 4: 64x32 for 256x128, and 96x32 for 384x128.
    """
    height, width = image_size
    if width <= _SMALL_WIDTH:
        return image_size
    return max(4, 4 * round(height * _SMALL_WIDTH / width / 4)), _SMALL_WIDTH
