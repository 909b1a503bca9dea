"""Drawn pedestrians at varying resolution: needs no files."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from PIL import Image

from rireid_jax.components import AT_LEAST_ZERO, DATASETS, POSITIVE, Field
from rireid_jax.data.dataset import Dataset, Item
from rireid_jax.data.degradation import downsample, draw_width
from rireid_jax.data.kinds.varying import KERNEL, width_problems
from rireid_jax.data.pedestrians import render
from rireid_jax.data.records import Record, encode_png


@DATASETS.register("pedestrians")
class Pedestrians(Dataset):
    """Every image down-sampled to a random width, as in the paper's VR sets (section 5.1).

    Identities 1 to `train_identities` are for training, the next `test_identities` for query and gallery;
    all cameras see all of them. Names are as in Market-1501, with `s` for the shot.
    """

    name = "pedestrians"
    image_size = (64, 32)
    default_size = "small"
    draws = True
    recipe: ClassVar[Mapping[str, Field]] = {
        "train_identities": Field(560, "drawn for training; enough for a run of minutes", POSITIVE),
        "test_identities": Field(
            375,
            "drawn for query and gallery, which gives 3,000 queries; none is in training",
            POSITIVE,
        ),
        "cameras": Field(
            4, "each with its background, light and scale; every identity is seen by all", POSITIVE
        ),
        "train_shots": Field(2, "training images of an identity by one camera", POSITIVE),
        "query_shots": Field(2, "queries of an identity by one camera", POSITIVE),
        "gallery_shots": Field(2, "gallery images of an identity by one camera", POSITIVE),
        "height": Field(64, "pixels of the high-resolution image", POSITIVE),
        "width": Field(32, "pixels of the high-resolution image; r = width / this", POSITIVE),
        "min_width": Field(
            4,
            "pixels; the low width is uniform in [`min_width`, `width`). 4 is an eighth, as 8 of 64 in VR-Market1501",
            POSITIVE,
        ),
        "kernel": KERNEL,
        "seed": Field(
            0,
            "of all that is random in the build and in galleries; training has another one",
            AT_LEAST_ZERO,
        ),
    }
    page = """\
## Pedestrians (`pedestrians`)

Drawn by this project, the default of every config, and no benchmark: it shows that the whole system works on a
machine without data, and [embedded.md](embedded.md) says what else it shows. No download, no terms, nothing
published.

<!-- recipe -->

```sh
python -m rireid_jax.main --config configs/joint.py
```
"""

    @classmethod
    def problems(cls, recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from width_problems(recipe, "width")

    def made_from(self) -> str:
        return "drawings by this program; an example, not a benchmark"

    def list_items(self) -> dict[str, list[Item]]:
        recipe = self.values
        train = range(1, recipe["train_identities"] + 1)
        test = range(train.stop, train.stop + recipe["test_identities"])
        query_shots, gallery_shots = recipe["query_shots"], recipe["gallery_shots"]
        roles = {
            "train": (train, range(recipe["train_shots"])),
            "query": (test, range(query_shots)),
            "gallery": (test, range(query_shots, query_shots + gallery_shots)),
        }
        return {
            split: [
                Item(
                    name=f"{split}/{pid:04d}_c{camera + 1}_s{shot + 1}.png",
                    pid=pid,
                    camid=camera,
                    origin=(pid, camera, shot),
                )
                for pid in pids
                for camera in range(recipe["cameras"])
                for shot in shots
            ]
            for split, (pids, shots) in roles.items()
        }

    def greatest_width(self) -> int:
        return self.values["width"]

    def make(self, item: Item) -> Record:
        recipe = self.values
        assert isinstance(item.origin, tuple)
        identity, camera, shot = item.origin
        size = (recipe["height"], recipe["width"])
        target, mask = render(recipe["seed"], identity, camera, shot, size=size)
        width = draw_width(recipe["seed"], item.name, recipe["min_width"], recipe["width"])
        image = downsample(Image.fromarray(target), width, recipe["kernel"])
        return Record(
            image=encode_png(image),
            target=encode_png(target),
            mask=encode_png(mask),
            pid=item.pid,
            camid=item.camid,
            resolution=width / self.width_max,
            name=item.name,
        )
