"""Drawn pedestrians at varying resolution: needs no files."""

from PIL import Image

from rireid_jax.data.build.builder import RecordBuilder
from rireid_jax.data.build.shards import Item
from rireid_jax.data.degradation import downsample, draw_width
from rireid_jax.data.pedestrians import render
from rireid_jax.data.records import Record, encode_png


class PedestriansBuilder(RecordBuilder):
    """Every image down-sampled to a random width, as in the paper's VR sets (section 5.1).

    Identities 1 to ``train_identities`` are for training, the next ``test_identities`` for query
    and gallery; all cameras see all of them. Names are as in Market-1501, with ``s`` for the shot.
    """

    name = "pedestrians"
    draws = True

    def list_items(self) -> dict[str, list[Item]]:
        recipe = self.recipe
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
        return self.recipe["width"]

    def make(self, item: Item) -> Record:
        recipe = self.recipe
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
