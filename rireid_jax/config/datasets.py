"""The table of data sets: how each is made from its raw files, and under which protocol it is scored.

The paper leaves much of the making open, and later work filled it in differently under the same names. So
every choice is a field of the recipe, the default is written beside it, and the recipes of others are presets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_collections import ConfigDict

from rireid_jax.errors import UserError

Recipe = Mapping[str, Any]

# Pillow's kernels are antialiased, OpenCV's linear one is not.
KERNELS = ("bicubic", "bilinear", "lanczos", "opencv_linear")
# What a field of a recipe may hold, where it is a word.
RECIPE_CHOICES: Mapping[str, tuple[str, ...]] = {
    "boxes": ("detected", "labeled"),
    "gallery": ("other", "all"),
    "kernel": KERNELS,
    "protocol": ("single_shot", "cuhk03", "market"),
    "queries": ("camera", "query_camera", "folders"),
    "query": ("low", "high"),
    "ratio_draw": ("even", "independent"),
    "ratio_per": ("image", "identity"),
    "resolution": ("width", "ratio"),
    "rounding": ("round", "floor"),
}


@dataclass(frozen=True)
class Dataset:
    """What the system knows of a data set before it is built.

    Attributes:
      protocol: of evaluation, as `evaluation.rank` names it, where the recipe does not say.
      image_size: the network's input, (height, width) in pixels.
      raw: what `config.data.raw_dir` must hold, in words; empty if nothing is needed.
      recipe: how the multi-resolution data are made from the raw files; becomes `config.data.recipe`.
      presets: recipes found in later work, by name: what they change.
      splits: how many random or official divisions of the identities are usual; 0: one fixed division.
      degrade: probability of degrading a training image that is its own original, on the fly.
      small: the two-core setting (narrow networks, minutes) instead of the paper's.
    """

    protocol: str
    image_size: tuple[int, int]
    raw: str
    recipe: Recipe
    presets: Mapping[str, Recipe] = field(default_factory=dict)
    splits: int = 0
    degrade: float = 0.0
    small: bool = False


# One camera's images are low, the other camera's high: what SING's protocol leaves open, and most later
# papers with it.
_ONE_CAMERA_LOW = dict(
    low_camera="0",  # which is low: a 0-based camera, or "identity": one drawn for each identity
    ratios=(2, 3, 4),  # a low image has 1/n of its width, paper section 5.1
    ratio_per="image",  # a ratio is drawn for every "image", or for every "identity"
    ratio_draw="even",  # "even": every ratio as often as any other; "independent": at random
    low_in_training=True,  # False: training images stay as they are
    resolution="width",  # r is the "width" / the greatest in the data set (paper), or the "ratio" 1/n
    kernel="bicubic",  # of RECIPE_CHOICES; the paper is silent
    rounding="round",  # of width and height in pixels, "round" or "floor"
    jpeg_quality=0,  # 0: stored without loss; else as JPEG of this quality, with its artefacts
    seed=0,  # of everything random in the build, and of random galleries
)
_SINGLE_SHOT = dict(
    protocol="single_shot",  # "single_shot", "cuhk03" or "market", as `evaluation.rank` has them
    repeats=10,  # random galleries of the single_shot and cuhk03 protocols
)
_VPFA = dict(low_camera="identity", rounding="floor", ratio_draw="independent")
_VARYING = dict(
    kernel="bicubic",  # down-sampling kernel, of RECIPE_CHOICES; the paper is silent
    rounding="round",  # of the height in pixels, "round" or "floor"
    seed=0,  # of everything random in the build
)

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
    "caviar": Dataset(
        protocol="single_shot",
        image_size=(384, 128),
        raw="the folder CAVIAR4REID with images such as 0001001.jpg",
        recipe=dict(
            low_camera="narrower",  # 0-based camera, or "narrower": the one whose images are on average
            query="low",  # camera of the queries: "low" or "high"
            queries_per_identity=0,  # images drawn of each; 0: all
            gallery="other",  # images by the "other" camera, or "all" test images but the queries
            train_identities=25,  # of the 50 that both cameras see; the rest are for testing
            **_SINGLE_SHOT,
            split_source="random",  # who divides the identities: "random", or a JSON file
            split=0,  # which division
            seed=0,  # of everything random in the build, and of random galleries
        ),
        presets={
            "di_reid": dict(protocol="cuhk03", repeats=100),
            "vpfa": dict(
                low_camera="1",
                query="high",
                queries_per_identity=1,
                gallery="all",
                protocol="market",
            ),
        },
        splits=10,
        degrade=0.5,  # its low images have no original, so pairs come from the high ones
    ),
    "mlr_viper": Dataset(
        protocol="single_shot",
        image_size=(384, 128),
        raw="the folder VIPeR with cam_a and cam_b",
        recipe=dict(
            **_ONE_CAMERA_LOW,
            train_identities=316,  # the rest are for testing, paper section 5.1
            **_SINGLE_SHOT,
            split_source="random",  # who divides the identities: "random", or a JSON file
            split=0,  # which division
        ),
        presets={
            "di_reid": dict(protocol="cuhk03", repeats=100),
            "vpfa": dict(**_VPFA, ratio_per="identity", jpeg_quality=75, protocol="market"),
        },
        splits=10,
    ),
    "mlr_cuhk03": Dataset(
        protocol="single_shot",
        image_size=(384, 128),
        raw="the folder cuhk03_release with cuhk-03.mat, or with the images that torchreid extracts from it",
        recipe=dict(
            **_ONE_CAMERA_LOW,
            boxes="detected",  # "detected" or "labeled", the two sets of crops in the download
            train_identities=1367,  # where split_source is "random"; paper section 5.1
            **_SINGLE_SHOT,
            split_source="official",  # the download's 20 divisions; or "random", or a JSON file
            split=0,  # which division
        ),
        presets={
            "di_reid": dict(protocol="cuhk03", repeats=100),
            "vpfa": dict(
                **_VPFA, kernel="bilinear", low_in_training=False, repeats=1, split_source="random"
            ),
        },
        splits=20,
    ),
    "vr_market1501": Dataset(
        protocol="market",
        image_size=(256, 128),  # paper section 5.2
        raw="the folder Market-1501-v15.09.15 with bounding_box_train, query and bounding_box_test",
        recipe=dict(
            min_width=8,  # pixels; the width is uniform in [min_width, max_width), paper section 5.1
            max_width=32,  # pixels, exclusive; also width_max of r = width / width_max
            **_VARYING,
        ),
    ),
    "vr_msmt17": Dataset(
        protocol="market",
        image_size=(384, 128),  # paper section 5.2
        raw="the folder MSMT17_V1 or MSMT17_V2 with list_train.txt and its like",
        recipe=dict(
            min_width=32,  # pixels; the width is uniform in [min_width, max_width), paper section 5.1
            max_width=128,  # pixels, exclusive, or the image's own if less; also width_max of r
            val_in_training=True,  # train on list_val too: the paper's 32,621 images
            **_VARYING,
        ),
    ),
    "mlr_market1501": Dataset(
        protocol="market",
        image_size=(256, 128),
        raw="the folder Market-1501-v15.09.15 with bounding_box_train, query and bounding_box_test",
        recipe=dict(
            **_ONE_CAMERA_LOW,
            # What is a query: "camera": every test image by the low camera, and the gallery has none of it;
            # "query_camera": only those in the folder query; "folders": as Market-1501 has them.
            queries="camera",
            # With low_camera="identity": False draws it anew in every folder, so that the gallery has low
            # images and the query high ones.
            same_camera_in_all_folders=True,
            protocol="market",  # "single_shot", "cuhk03" or "market", as `evaluation.rank` has them
            repeats=10,  # random galleries of the single_shot and cuhk03 protocols
        ),
        presets={
            "prpr": dict(
                kernel="opencv_linear", rounding="floor", ratio_draw="independent", jpeg_quality=95
            ),
            "mdiff": dict(low_camera="2", queries="query_camera"),
            "vpfa": dict(
                **_VPFA,
                ratio_per="image",
                kernel="lanczos",
                queries="folders",
                same_camera_in_all_folders=False,
            ),
        },
    ),
    "folder": Dataset(
        protocol="market",
        image_size=(256, 128),
        raw="a folder per identity, file names as in Market-1501, or a CSV file path,id[,camera[,split]]",
        recipe=dict(
            degrade=False,  # True: down-sample every image as in the VR benchmarks
            min_width=8,  # pixels, where degrade; the width is uniform in [min_width, max_width)
            max_width=32,  # pixels, exclusive, where degrade
            test_fraction=0.5,  # of the identities, where the data come without a split
            **_VARYING,
        ),
    ),
}


def split_name(name: str) -> tuple[str, str]:
    """The data set and the preset in ``DATASET[/PRESET]``.

    Raises:
      UserError: there is no such data set, or it has no such preset.
    """
    dataset, _, preset = name.partition("/")
    if dataset not in DATASETS:
        raise UserError(f"dataset: found {dataset!r}, expected one of {', '.join(DATASETS)}")
    presets = DATASETS[dataset].presets
    if "/" in name and preset not in presets:
        known = " or ".join(f"{dataset}/{other}" for other in presets)
        raise UserError(f"dataset: found {name!r}, expected {known or dataset}")
    return dataset, preset


def recipe_of(name: str) -> dict[str, Any]:
    """The whole recipe of ``DATASET[/PRESET]``."""
    dataset, preset = split_name(name)
    spec = DATASETS[dataset]
    return {**spec.recipe, **(spec.presets[preset] if preset else {})}


def effective_recipe(dataset: str, recipe: Recipe) -> dict[str, Any]:
    """A recipe without the fields that change nothing while the others are as they are."""
    idle = set()
    if recipe.get("split_source", "random") != "random":
        idle.add("train_identities")
    if recipe.get("protocol") == "market":
        idle.add("repeats")
    if recipe.get("low_camera") != "identity":
        idle.add("same_camera_in_all_folders")
    if dataset == "folder" and not recipe["degrade"]:
        idle |= {"min_width", "max_width", "kernel", "rounding"}
    return {name: value for name, value in recipe.items() if name not in idle}


def recipe_title(dataset: str, recipe: Recipe) -> str:
    """What a recipe is called: "default", the name of a preset, or "custom".

    The division of the identities is no part of that.
    """
    division = {name: recipe[name] for name in ("split", "split_source") if name in recipe}
    for preset in ("", *DATASETS[dataset].presets):
        named = recipe_of(f"{dataset}/{preset}" if preset else dataset) | division
        if effective_recipe(dataset, recipe) == effective_recipe(dataset, named):
            return preset or "default"
    return "custom"


def evaluation_protocol(config: ConfigDict) -> dict[str, Any]:
    """How the data set's results are scored: the arguments `protocol`, `repeats`, `seed` of `evaluation.rank`.

    They belong to the benchmark, so the seed is the recipe's, not the training's.
    """
    recipe = config.data.recipe
    return {
        "protocol": recipe.get("protocol", DATASETS[config.dataset].protocol),
        "repeats": recipe.get("repeats", 1),
        "seed": recipe.seed,
    }
