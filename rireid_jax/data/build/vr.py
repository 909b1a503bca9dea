"""VR-Market1501 and VR-MSMT17: every image at a random low resolution (section 5.1 of the paper)."""

from rireid_jax.data.build.benchmark import BenchmarkBuilder
from rireid_jax.data.build.crops import varying_resolution
from rireid_jax.data.build.shards import Item
from rireid_jax.data.raw.market1501 import Market1501
from rireid_jax.data.raw.msmt17 import MSMT17
from rireid_jax.data.records import Record


class VRBuilder(BenchmarkBuilder):
    """A benchmark that comes divided, all of it down-sampled."""

    def list_items(self) -> dict[str, list[Item]]:
        splits: dict[str, list[Item]] = {"train": [], "query": [], "gallery": []}
        for image in self.images:
            item = Item(image.name, image.pid, image.camid, image.origin)
            splits["train" if image.role == "val" else image.role].append(item)
        return splits

    def greatest_width(self) -> int:
        return self.recipe["max_width"]

    def make(self, item: Item) -> Record:
        return varying_resolution(item, self.raw.read(item.origin), self.recipe)


class VRMarket1501Builder(VRBuilder):
    """Market-1501 down-sampled; junk (-1) is left out, distractors (0) stay in the gallery."""

    name = "vr_market1501"
    raw_class = Market1501


class VRMSMT17Builder(VRBuilder):
    """MSMT17 down-sampled; `val_in_training` says whether list_val is trained on."""

    name = "vr_msmt17"
    raw_class = MSMT17

    def list_items(self) -> dict[str, list[Item]]:
        splits = super().list_items()
        if not self.recipe["val_in_training"]:
            val = {image.name for image in self.images if image.role == "val"}
            splits["train"] = [item for item in splits["train"] if item.name not in val]
        return splits
