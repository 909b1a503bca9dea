"""MLR-Market1501, made from Market-1501 (Zheng et al., ICCV 2015)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rireid_jax.components import ANYTHING, DATASETS, Field, one_of
from rireid_jax.data.dataset import Count, RawImage
from rireid_jax.data.kinds.low_camera import ONE_CAMERA_LOW, VPFA, LowCamera, Roles
from rireid_jax.data.kinds.trials import SCORING
from rireid_jax.data.layouts.market1501 import DISTRACTOR, Market1501


@DATASETS.register("mlr_market1501")
class MLRMarket1501(LowCamera):
    """Training and test identities are Market-1501's own; `queries` says which images are queries."""

    name = "mlr_market1501"
    layout = Market1501
    image_size = (256, 128)
    distractor = DISTRACTOR
    raw = "the folder Market-1501-v15.09.15 with bounding_box_train, query and bounding_box_test"
    recipe: ClassVar[Mapping[str, Field]] = {
        **ONE_CAMERA_LOW,
        "queries": Field(
            "camera",
            "`camera`: every test image by the low camera; `query_camera`: those in the folder query; "
            "`folders`: query and gallery as Market-1501 has them. With the first two the gallery has no low "
            "image",
            one_of("camera", "query_camera", "folders"),
        ),
        "same_camera_in_all_folders": Field(
            True,
            "with `low_camera=identity`, whether an identity's low camera is the same among queries and "
            "gallery; if not, the gallery has low images too",
            ANYTHING,
        ),
        **SCORING,
        "protocol": Field("market", SCORING["protocol"].about, SCORING["protocol"].check),
    }
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "prpr": dict(
            kernel="opencv_linear", rounding="floor", ratio_draw="independent", jpeg_quality=95
        ),
        "mdiff": dict(low_camera="2", queries="query_camera"),
        "vpfa": dict(
            **VPFA,
            ratio_per="image",
            kernel="lanczos",
            queries="folders",
            same_camera_in_all_folders=False,
        ),
    }
    example = "/data/Market-1501-v15.09.15"
    page = """\
## MLR-Market1501 (`mlr_market1501`)

Made from Market-1501: Zheng, Shen, Tian, Wang, Wang and Tian, *Scalable Person Re-identification: A Benchmark*, ICCV
2015. Distributed by its first author from his project page, which asks for a citation; other terms are not stated
where we looked. Not in the paper; we know it from CAD-Net on. It is the least defined of all, since Market-1501 has
six cameras and "one camera low" does not say what happens to the other five.

<!-- layout -->

The default takes SING's sentence at its word: all test images of one camera are low and are the queries, the gallery
has none of them.

<!-- recipe -->

- `mlr_market1501/prpr`: the public code called PRPR lowers the first camera, rounds down, scales by OpenCV without
  antialiasing and saves JPEG at the low size. OpenCV's default quality is 95; the ratios were drawn without a seed.
- `mlr_market1501/mdiff`: the public code called MDIFF takes the queries of the third camera alone, and a gallery
  without that camera. How the images were lowered is not in the code, so kernel, ratios and storage are our defaults.
- `mlr_market1501/vpfa`: the script of VPFA draws a low camera for each identity in each folder anew and keeps
  Market's queries and gallery, so that **low and high images are in both**, and many queries are not low at all.

<!-- commands -->
"""

    @classmethod
    def idle_fields(cls, recipe: Mapping[str, Any]) -> set[str]:
        one = recipe["low_camera"] != "identity"
        return super().idle_fields(recipe) | ({"same_camera_in_all_folders"} if one else set())

    def low_key(self, image: RawImage) -> str:
        if self.values["same_camera_in_all_folders"]:
            return str(image.pid)
        return f"{image.role} {image.pid}"

    def roles(self, low: set[str]) -> Roles:
        roles: Roles = {"train": [], "query": [], "gallery": []}
        queries = self.values["queries"]
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

    def published_splits(self) -> Mapping[str, Count]:
        if self.values["queries"] == "folders":
            return self.published
        return {"train": self.published["train"]}
