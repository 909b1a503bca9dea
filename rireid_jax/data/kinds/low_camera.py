"""Benchmarks in which one camera's images are down-sampled by 1/2, 1/3 or 1/4.

Section 5.1 of the paper, after SING (Jiao et al., AAAI 2018). Low-resolution images are queries and the other
cameras' high-resolution images are the gallery. The recipe decides what else there is to decide.
"""

import abc
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from rireid_jax.components import ANYTHING, AT_LEAST_ZERO, Check, Field, one_of
from rireid_jax.data.dataset import Item, RawImage
from rireid_jax.data.degradation import KERNELS
from rireid_jax.data.keyed_random import keyed_order, keyed_rng
from rireid_jax.data.kinds.benchmark import Benchmark
from rireid_jax.data.kinds.crops import multiple_low_resolution
from rireid_jax.data.kinds.trials import TrialBenchmark
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError

Roles = dict[str, list[RawImage]]


def low_camera_check(word: str) -> Check:
    """The number of a camera, or a word that stands for a rule."""
    return Check(
        lambda value: value == word or value.isdecimal(),
        f"the number of a camera, from 0 on, or {word!r}",
    )


# SING's protocol, and most later papers with it, leave all of this open.
ONE_CAMERA_LOW: Mapping[str, Field] = {
    "low_camera": Field(
        "0",
        "camera, from 0 on, whose images become low, or `identity`: one drawn for each identity. The paper "
        "lowers one camera and does not say which",
        low_camera_check("identity"),
    ),
    "ratios": Field(
        (2, 3, 4),
        "n: a low image has 1/n of its width and height; paper, section 5.1",
        Check(
            lambda value: len(value) > 0 and all(type(n) is int and n > 0 for n in value),
            "whole numbers n of at least 1, of the ratios 1/n",
        ),
    ),
    "ratio_per": Field(
        "image",
        "n is drawn for every `image`, or for every `identity`; the paper speaks of images",
        one_of("image", "identity"),
    ),
    "ratio_draw": Field(
        "even",
        '`even`: every n as often as any other (the paper: "evenly selected"); `independent`: by chance',
        one_of("even", "independent"),
    ),
    "low_in_training": Field(
        True,
        "`False` leaves training images high; as in the paper, the low camera is low throughout",
        ANYTHING,
    ),
    "resolution": Field(
        "width",
        "r is the `width` / the greatest width of the data set (section 4), or the `ratio` 1/n",
        one_of("width", "ratio"),
    ),
    "kernel": Field(
        "bicubic",
        "of down-sampling. Not published; bicubic is usual in super-resolution. All but `opencv_linear` are "
        "antialiased",
        one_of(*KERNELS),
    ),
    "rounding": Field(
        "round",
        "of width and height in pixels: `round`, or `floor`, as `int(w / n)` does",
        one_of("round", "floor"),
    ),
    "jpeg_quality": Field(
        0,
        "0 stores PNG, without loss; else JPEG, with its artefacts",
        Check(lambda value: 0 <= value <= 100, "a number in [0, 100]"),
    ),
    "seed": Field(0, "of all that is random in the build and in galleries", AT_LEAST_ZERO),
}
# What the scripts of VPFA (arXiv 2510.00936) have in common.
VPFA: Mapping[str, Any] = dict(low_camera="identity", rounding="floor", ratio_draw="independent")


class LowCamera(Benchmark):
    """A benchmark in which `low_camera` is low, by `ratios`; a class says who has which role."""

    def list_items(self) -> dict[str, list[Item]]:
        low = self._low_images()
        ratios = self._draw_ratios(low)
        splits: dict[str, list[Item]] = {}
        for split, images in self.roles({image.name for image in low}).items():
            keep = split == "train" and not self.values["low_in_training"]
            splits[split] = [
                Item(
                    image.name,
                    image.pid,
                    image.camid,
                    image.origin,
                    ratio=1 if keep else ratios.get(image.name, 1),
                )
                for image in images
            ]
        return splits

    def greatest_width(self) -> int:
        return max(self.in_threads(self.download.width, (image.origin for image in self.images)))

    def make(self, item: Item) -> Record:
        data = self.read(item.origin)
        return multiple_low_resolution(item, data, self.width_max, self.values)

    @abc.abstractmethod
    def roles(self, low: set[str]) -> Roles:
        """The images of "train", "query" and "gallery", given the names of the low ones."""

    def low_key(self, image: RawImage) -> str:
        """What an identity's low camera is drawn for."""
        return str(image.pid)

    def _low_images(self) -> list[RawImage]:
        camera, seed = self.values["low_camera"], self.values["seed"]
        if camera != "identity":
            low = [image for image in self.images if image.camid == int(camera)]
            if not low:
                cameras = sorted({image.camid for image in self.images})
                raise UserError(
                    f"config.data.recipe.low_camera: found {camera!r}, expected one of the cameras "
                    f"{', '.join(map(str, cameras))} in {self.raw_dir}, or 'identity'"
                )
            return low
        cameras_of: dict[str, set[int]] = {}
        for image in self.images:
            cameras_of.setdefault(self.low_key(image), set()).add(image.camid)
        drawn = {
            key: keyed_rng(seed, "low_camera", key).choice(sorted(cameras))
            for key, cameras in cameras_of.items()
        }
        return [image for image in self.images if image.camid == drawn[self.low_key(image)]]

    def _draw_ratios(self, low: list[RawImage]) -> Mapping[str, int]:
        """n of the ratio 1/n of every low image, by name; it does not depend on the trial."""
        recipe = self.values
        ratios, seed = recipe["ratios"], recipe["seed"]
        key: Callable[[RawImage], str]
        key = attrgetter("name") if recipe["ratio_per"] == "image" else self.low_key
        keys = {key(image) for image in low}
        if recipe["ratio_draw"] == "even":
            order = keyed_order(seed, "ratio", keys)
            drawn = {name: ratios[n % len(ratios)] for n, name in enumerate(order)}
        else:
            drawn = {
                name: ratios[keyed_rng(seed, "ratio", name).integers(len(ratios))] for name in keys
            }
        return {image.name: drawn[key(image)] for image in low}


class LowCameraTrials(TrialBenchmark, LowCamera):
    """With trials: all low images of test identities are queries, all their others the gallery."""

    def roles(self, low: set[str]) -> Roles:
        train, test = self.trial()
        roles: Roles = {"train": [], "query": [], "gallery": []}
        for image in self.images:
            tested = "query" if image.name in low else "gallery"
            if image.pid in test:
                roles[tested].append(image)
            elif image.pid in train:
                roles["train"].append(image)
        return roles
