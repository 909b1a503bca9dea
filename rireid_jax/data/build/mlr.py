"""MLR-VIPeR, MLR-CUHK03, MLR-Market1501: one camera's images down-sampled by 1/2, 1/3 or 1/4.

Section 5.1 of the paper, after SING (Jiao et al., AAAI 2018). Low-resolution images are queries, the other
camera's high-resolution images the gallery; what else there is to decide is in the recipe.
"""

import abc
from collections.abc import Callable, Mapping
from operator import attrgetter

from rireid_jax.data.build.benchmark import BenchmarkBuilder, DividedBuilder
from rireid_jax.data.build.crops import multiple_low_resolution
from rireid_jax.data.build.shards import Item
from rireid_jax.data.keyed_random import keyed_order, keyed_rng
from rireid_jax.data.raw.base import RawImage
from rireid_jax.data.raw.cuhk03 import CUHK03
from rireid_jax.data.raw.market1501 import DISTRACTOR, Market1501
from rireid_jax.data.raw.viper import VIPeR
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError

Roles = dict[str, list[RawImage]]


class MLRBuilder(BenchmarkBuilder):
    """A benchmark in which `low_camera` is low, by `ratios`; a class says who has which role."""

    def list_items(self) -> dict[str, list[Item]]:
        low = self._low_images()
        ratios = self._draw_ratios(low)
        splits: dict[str, list[Item]] = {}
        for split, images in self.roles({image.name for image in low}).items():
            keep = split == "train" and not self.recipe["low_in_training"]
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
        return max(self.in_threads(self.raw.width, (image.origin for image in self.images)))

    def make(self, item: Item) -> Record:
        data = self.raw.read(item.origin)
        return multiple_low_resolution(item, data, self.width_max, self.recipe)

    @abc.abstractmethod
    def roles(self, low: set[str]) -> Roles:
        """The images of "train", "query" and "gallery", given the names of the low ones."""

    def low_key(self, image: RawImage) -> str:
        """What an identity's low camera is drawn for."""
        return str(image.pid)

    def _low_images(self) -> list[RawImage]:
        camera, seed = self.recipe["low_camera"], self.recipe["seed"]
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
        """n of the ratio 1/n of every low image, by name; it does not depend on the split."""
        recipe = self.recipe
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


class MLRDividedBuilder(DividedBuilder, MLRBuilder):
    """Divided identities: all low images of test identities are queries, all others the gallery."""

    def roles(self, low: set[str]) -> Roles:
        train, test = self.division()
        roles: Roles = {"train": [], "query": [], "gallery": []}
        for image in self.images:
            tested = "query" if image.name in low else "gallery"
            if image.pid in test:
                roles[tested].append(image)
            elif image.pid in train:
                roles["train"].append(image)
        return roles


class MLRVIPeRBuilder(MLRDividedBuilder):
    """VIPeR, one image of each of 632 people by each of two cameras."""

    name = "mlr_viper"
    raw_class = VIPeR


class MLRCUHK03Builder(MLRDividedBuilder):
    """CUHK03, some five images of each of 1,467 people by each of two cameras."""

    name = "mlr_cuhk03"
    raw_class = CUHK03


class MLRMarket1501Builder(MLRBuilder):
    """Market-1501, whose training and test identities are its own; `queries` says which are queries."""

    name = "mlr_market1501"
    raw_class = Market1501

    def low_key(self, image: RawImage) -> str:
        if self.recipe["same_camera_in_all_folders"]:
            return str(image.pid)
        return f"{image.role} {image.pid}"

    def roles(self, low: set[str]) -> Roles:
        roles: Roles = {"train": [], "query": [], "gallery": []}
        queries = self.recipe["queries"]
        for image in self.images:
            is_low = image.name in low
            if image.role == "train" or queries == "folders":
                roles[image.role].append(image)
            elif not is_low:
                # Without the low camera, the query folder's images are as good as the gallery's.
                if image.role == "gallery" or queries == "camera":
                    roles["gallery"].append(image)
            elif image.pid != DISTRACTOR and (image.role == "query" or queries == "camera"):
                roles["query"].append(image)
        return roles
