"""One new component of each kind, as a user would add them: `config.imports = ("own_components",)`."""

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

from rireid_jax.components import (
    AT_LEAST_ZERO,
    COMMANDS,
    DATASETS,
    EXTRACTORS,
    LOSSES,
    MASKS,
    OPTIMIZERS,
    POSITIVE,
    PROTOCOLS,
    SCHEDULES,
    SUPER_RESOLUTION,
    Field,
)
from rireid_jax.data.dataset import Dataset, Item
from rireid_jax.data.degradation import downsample
from rireid_jax.data.records import Record, encode_png
from rireid_jax.evaluation.ranking import rank_matches
from rireid_jax.models.interfaces import Extractor, SuperResolution
from rireid_jax.models.layers import Conv
from rireid_jax.models.resnet50 import Head, head_names
from rireid_jax.models.torch_names import layer, plain_layers
from rireid_jax.training.terms import Term, Value


@SUPER_RESOLUTION.register("sharpener")
class Sharpener(SuperResolution):
    """One convolution that adds to its input."""

    OPTIONS: ClassVar = {"sharpener_kernel": Field(3, "side of its kernel, pixels", POSITIVE)}

    kernel: int

    @classmethod
    def create(cls, context):
        return cls(context.model.sharpener_kernel)

    @nn.nowrap
    def torch_names(self):
        return plain_layers("sharpener", ("conv",))

    @nn.compact
    def __call__(self, image):
        return image + Conv(3, self.kernel, 1, self.kernel // 2, name="conv")(image)


@EXTRACTORS.register("tiles")
class Tiles(Extractor):
    """What a convolution makes of tiles of 8 by 8 pixels."""

    num_classes: int
    feature_dim: int

    @classmethod
    def create(cls, context):
        return cls(context.num_classes, context.model.feature_dim)

    @nn.nowrap
    def torch_names(self):
        return [*layer("conv", "tiles", ("tiles",)), *head_names("", "fc")]

    @nn.compact
    def __call__(self, image, train):
        x = nn.relu(Conv(12, 8, 8, name="tiles")(image))
        head = Head(self.num_classes, feature_dim=self.feature_dim, name="head")
        return *head(x, train), jnp.zeros((len(image), 0, 2))


@LOSSES.register("length")
@dataclass(frozen=True)
class Length(Term):
    """Keeps features near a length."""

    OPTIONS: ClassVar = {"wanted": Field(1.0, "Euclidean norm of f", POSITIVE)}
    needs: ClassVar = ("feature",)

    wanted: float

    def __call__(self, inputs):
        each = jnp.square(jnp.square(inputs.outputs.feature).sum(-1) - self.wanted**2)
        return Value(each, {"length_loss": each.mean()})


@SCHEDULES.register("halving")
class Halving:
    """Half of the rate after every epoch."""

    OPTIONS: ClassVar = {}

    @staticmethod
    def create(options, rate, steps_per_epoch, epochs):
        return lambda step: rate * 0.5 ** (step // steps_per_epoch)


@MASKS.register("upper_half")
class UpperHalf:
    """The upper half of the image."""

    OPTIONS: ClassVar = {}

    @staticmethod
    def create(options):
        def mask(batch):
            rows = jnp.arange(batch["image"].shape[1]) < batch["image"].shape[1] // 2
            return jnp.broadcast_to(rows[None, :, None], (1, *batch["image"].shape[1:3])) * 1.0

        return mask


@OPTIMIZERS.register("signs")
class Signs:
    """Steps of the same length for every parameter."""

    OPTIONS: ClassVar = {}

    @staticmethod
    def create(options, schedule):
        return optax.sign_sgd(schedule)


@PROTOCOLS.register("six")
class Six:
    """Ranks the first six images of the gallery."""

    draws = False

    @staticmethod
    def rank(query, gallery):
        return rank_matches(query, gallery[np.arange(6)])


@COMMANDS.register("wave")
class Wave:
    """A command of `rireid`."""

    SUMMARY = "wave a flag"
    EXAMPLE = "rireid wave --times 3"

    @staticmethod
    def add_arguments(parser):
        parser.add_argument("--times", type=int, default=1)

    @staticmethod
    def run(arguments):
        print("flag" * arguments.times)


@DATASETS.register("flags")
class Flags(Dataset):
    """People in two colours, seen by two cameras, the second of which is narrow."""

    name = "flags"
    image_size = (32, 16)
    small = True
    draws = True
    protocol = "six"
    recipe: ClassVar = {
        "people": Field(8, "identities to train on, and as many to test on", POSITIVE),
        "seed": Field(0, "of the colours", AT_LEAST_ZERO),
    }

    def list_items(self):
        people = self.values["people"]
        splits = {"train": range(1, people + 1), "query": range(people + 1, 2 * people + 1)}
        splits["gallery"] = splits["query"]
        return {
            split: [
                Item(f"{split}/{pid}_{camid}.png", pid, camid, (pid, camid))
                for pid in pids
                for camid in {"query": (1,), "gallery": (0,)}.get(split, (0, 1))
            ]
            for split, pids in splits.items()
        }

    def greatest_width(self):
        return 16

    def make(self, item):
        pid, camid = item.origin
        rng = np.random.default_rng([self.values["seed"], pid])
        target = Image.fromarray(np.repeat(rng.integers(0, 256, (2, 16, 3), np.uint8), 16, 0))
        width = 8 if camid else 16
        image = encode_png(downsample(target, width, "bicubic"))
        return Record(image, encode_png(target), b"", pid, camid, width / 16, item.name)
