"""The API for users: a trained network as a function of images."""

import functools
import hashlib
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8
from ml_collections import ConfigDict
from PIL import Image

from rireid_jax.components import EXTRACTORS, IMAGE_SIZE
from rireid_jax.config import final_stage
from rireid_jax.data.loader import LoadedImage, load_image
from rireid_jax.errors import UserError
from rireid_jax.evaluation.embed import DeviceBatch, Engine, compared
from rireid_jax.evaluation.views import VIEWS
from rireid_jax.models.network import Network, Outputs, create_network
from rireid_jax.models.pixels import denormalise
from rireid_jax.parallel import Parallel, find_devices
from rireid_jax.paths import expanded
from rireid_jax.runs.workdir import read_config, read_width_max, trial_folders
from rireid_jax.training.checkpoint import Checkpoints
from rireid_jax.weights import load_released, load_resnet50, to_state_dict, write_state_dict

logger = logging.getLogger(__name__)

Images = Iterable[str | Path | Image.Image | np.ndarray | LoadedImage]


@dataclass(frozen=True)
class Description:
    """What an extractor makes of N images, in their order.

    Attributes:
      features: float32, to compare by Euclidean distance.
      native_widths: pixels of the images as they came.
      resolutions: r = native width / `Extractor.width_max`, at most 1.
    """

    features: Float[np.ndarray, "N D"]
    native_widths: Int[np.ndarray, " N"]
    resolutions: Float[np.ndarray, " N"]


class Extractor:
    """Features, restored images and gates of person images.

    Example:
      extractor = Extractor.from_workdir("runs/joint-pedestrians")
      features = extractor.extract(["query/0001_c1.jpg", "gallery/0007_c3.png"])  # float32 [2, 256]
    """

    def __init__(
        self,
        network: Network,
        variables: dict[str, Any],
        image_size: tuple[int, int],
        batch_size: int = 64,
        normalised: bool = False,
        width_max: int = 0,
        views: str = "one",
        stage: str = "",
    ):
        """Wraps a network.

        Args:
          network: without a mapped axis.
          variables: {"params": ..., "batch_stats": ...}.
          image_size: (height, width) of the network's input; images of any size are resized to it.
          batch_size: greatest number of images on the devices at once.
          normalised: whether features are divided by their L2 norm.
          width_max: pixels, the native width of r = 1; 0 is the width of the network's input.
          views: "one", "flip" or "flip_crops": what a feature is the mean of, as `config.eval.views`. Restored images
            and gates are those of the image itself.
          stage: of the run that trained it, for those who ask.

        Raises:
          UserError: an argument is none of these.
        """
        if not isinstance(network, Network):
            raise UserError(f"network: found {type(network).__name__}, expected a Network")
        if not isinstance(variables, Mapping) or "params" not in variables:
            raise UserError(
                "variables: found no params, expected {'params': ..., 'batch_stats': ...}"
            )
        if not isinstance(normalised, bool):
            raise UserError(f"normalised: found {normalised!r}, expected True or False")
        if not isinstance(views, str) or views not in VIEWS:
            raise UserError(f"views: found {views!r}, expected one of {', '.join(VIEWS)}")
        batch_size = _checked_count("batch_size", batch_size)
        image_size = _checked_size(image_size, network)
        self.image_size = image_size
        self.normalised = normalised
        self.views = views
        self.width_max = width_max or image_size[1]
        self.stage = stage
        self._network = network
        parallel = Parallel("shard_map", alone=True)
        self._variables = parallel.replicate(variables)
        self._num_devices = parallel.num_devices
        self.batch_size = -(-batch_size // self._num_devices) * self._num_devices
        make_rows = functools.partial(_rows, normalised=normalised)
        self._engine = Engine(network, parallel, make_rows, views)

    @classmethod
    def from_workdir(
        cls,
        workdir: str | Path,
        *,
        stage: str = "",
        checkpoint: Literal["last", "best"] = "last",
        batch_size: int = 64,
    ) -> "Extractor":
        """Loads what a run has trained.

        Args:
          workdir: of `python -m rireid_jax.main`; of a run over several trials, the folder of one of them.
          stage: whose network to load; "" is the run's final one.
          checkpoint: the stage's last one, or the one with the best Rank-1 on the way, on validation identities
            unless the run held out none.
          batch_size: greatest number of images on the devices at once.

        Raises:
          UserError: the folder holds no run, or one over several trials, or the stage has no such
            checkpoint.
        """
        find_devices(alone=True)
        _checked_count("batch_size", batch_size)
        if checkpoint not in ("last", "best"):
            raise UserError(f"checkpoint: found {checkpoint!r}, expected 'last' or 'best'")
        workdir = expanded(workdir, "workdir")
        if not workdir:
            raise UserError("workdir: found '', expected the work directory of a run")
        config = read_config(workdir)
        trials = [Path(folder).name for folder in trial_folders(workdir)]
        if trials:
            raise UserError(
                f"{workdir}: found a run over several trials, expected the folder of one of them: "
                f"{', '.join(trials)} in it"
            )
        stage = final_stage(config) if stage == "" else stage
        _check_stage(stage, config)
        with Checkpoints(workdir, stage) as checkpoints:
            step = None
            if checkpoint == "best":
                step = checkpoints.best_step()
                if step is None:
                    raise UserError(
                        f"{workdir}: stage {stage} has no evaluated checkpoint, expected a run with "
                        "--config.eval.every_epochs above 0"
                    )
            if step is None:
                _, variables = checkpoints.load_latest()
            else:
                variables = checkpoints.load_variables(step)
        return cls.from_variables(config, stage, variables, batch_size, read_width_max(workdir))

    @classmethod
    def from_variables(
        cls,
        config: ConfigDict,
        stage: str,
        variables: dict[str, Any],
        batch_size: int = 64,
        width_max: int = 0,
    ) -> "Extractor":
        """A stage's network with the given variables.

        Raises:
          UserError: the config has no such stage, or an argument of `Extractor` is wrong.
        """
        _check_stage(stage, config)
        network = create_network(config, stage, num_classes(config, stage, variables))
        size, normalised = tuple(config.data.image_size), config.eval.normalise
        width_max = config.stages[stage].resolution_width or width_max
        return cls(
            network, variables, size, batch_size, normalised, width_max, config.eval.views, stage
        )

    @classmethod
    def from_torch(
        cls,
        path: str | Path,
        variant: str,
        *,
        image_size: tuple[int, int] = (256, 128),
        batch_size: int = 64,
    ) -> "Extractor":
        """Loads weights that were trained in PyTorch; `weights` says which names they must have.

        Args:
          path: `.pth` (any file of `torch.save`) or `.safetensors`.
          variant: "released", a checkpoint of the paper's authors' code, with features of 2048 dimensions; or
            "resnet50", one of torchvision, torchreid or fast-reid, whose feature is the pooled map.
          image_size: (height, width) of the network's input.
          batch_size: greatest number of images on the devices at once.

        Raises:
          UserError: the file cannot be read, holds anything else than tensors, or lacks one.
        """
        find_devices(alone=True)
        loaders = {"released": load_released, "resnet50": load_resnet50}
        _checked_count("batch_size", batch_size)
        if not isinstance(variant, str) or variant not in loaders:
            raise UserError(f"variant: found {variant!r}, expected one of {', '.join(loaders)}")
        network, variables, report = loaders[variant](path)
        noteworthy = report.unexpected or report.prefix
        (logger.warning if noteworthy else logger.info)("%s: %s", path, report)
        return cls(network, variables, image_size, batch_size)

    @property
    def network(self) -> Network:
        """What maps images to features."""
        return self._network

    @property
    def variables(self) -> dict[str, Any]:
        """The network's parameters and running statistics, as arrays of NumPy."""
        return jax.device_get(self._variables)

    def to_torch(self, path: str | Path) -> None:
        """Saves the network's weights as a PyTorch `state_dict`, under the names of its `torch_names`.

        Args:
          path: `.safetensors`, or any other name for `torch.save`.
        """
        write_state_dict(path, to_state_dict(self.variables, self._network))

    def extract(self, images: Images) -> Float[np.ndarray, "N D"]:
        """Features to compare by Euclidean distance, float32.

        Args:
          images: a list, a generator or the like of paths, PIL images, or uint8 arrays [H, W, 3] in RGB, of any
            sizes. An EXIF orientation of a file or of a PIL image is applied, an alpha channel is dropped.

        Raises:
          UserError: an image cannot be read or has more than 8 bits a channel, or the network has no extractor.
        """
        return self.describe(images).features

    def describe(self, images: Images) -> Description:
        """As `extract`, together with the resolution of each image."""
        self._require_extractor()
        rows = self._run(images, "feature", "native_width")
        resolutions = np.minimum(1.0, rows["native_width"] / self.width_max).astype(np.float32)
        return Description(rows["feature"], rows["native_width"], resolutions)

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell models apart: of the weights, and of what else the features depend on."""
        settings: tuple[object, ...] = (self.image_size, self.normalised)
        if self.views != "one":  # a gallery from before the field keeps its model
            settings += (self.views,)
        digest = hashlib.sha256(repr(settings).encode())
        leaves, _ = jax.tree_util.tree_flatten_with_path(self.variables)
        for path, leaf in leaves:
            value = np.asarray(leaf)
            digest.update(f"{jax.tree_util.keystr(path)} {value.dtype} {value.shape}".encode())
            digest.update(value.tobytes())
        return digest.hexdigest()[:16]

    def restore(self, images: Images) -> UInt8[np.ndarray, "N H W 3"]:
        """The images after super-resolution, at the network's size."""
        return self._run(images, "restored")["restored"]

    def weights(self, images: Images) -> tuple[Float[np.ndarray, "N T"], Float[np.ndarray, "N T"]]:
        """wL and wH of the T dual-stream blocks (Eq. 6); T = 0 without them."""
        self._require_extractor()
        gates = self._run(images, "gates")["gates"]
        return gates[..., 0], gates[..., 1]

    def _require_extractor(self) -> None:
        if self._network.extractor is None:
            raise UserError(
                "Extractor: this stage only restores images, expected one with features"
            )

    def _run(self, images: Images, *outputs: str) -> dict[str, np.ndarray]:
        one = isinstance(images, str | bytes | os.PathLike | Image.Image | np.ndarray)
        if one or not isinstance(images, Iterable) or isinstance(images, Mapping | Set):
            found = f"{'one ' if one else ''}{type(images).__name__}"
            raise UserError(f"images: found {found}, expected a list of images")
        return self._engine.run(self._variables, self._batches(images), outputs)

    def _batches(self, images: Images) -> Iterator[dict[str, np.ndarray]]:
        rest = enumerate(images)
        for number in itertools.count():
            loaded = [
                load_image(image, self.image_size, i)
                for i, image in itertools.islice(rest, self.batch_size)
            ]
            if number and not loaded:  # no images at all: padding alone
                return
            # Padded to powers of two, so that any number of images needs a handful of compilations.
            size = self._num_devices
            while size < len(loaded):
                size *= 2
            size = min(size, self.batch_size)
            batch: dict[str, np.ndarray] = {
                "image": np.zeros((size, *self.image_size, 3), np.uint8),
                "native_width": np.zeros(size, np.int32),
                "valid": np.zeros(size, np.float32),
            }
            for i, (image, width) in enumerate(loaded):
                batch["image"][i], batch["native_width"][i], batch["valid"][i] = image, width, 1
            yield batch


def _rows(
    outputs: Outputs, image: jax.Array, batch: DeviceBatch, normalised: bool
) -> dict[str, Any]:
    del image
    feature = outputs.feature
    if feature is not None:
        feature = compared(feature, normalised)
    restored = (denormalise(outputs.restored) * 255).round().astype(np.uint8)
    return {
        "feature": feature,
        "gates": outputs.gates,
        "restored": restored,
        "native_width": batch["native_width"],
    }


def _checked_count(name: str, value: Any) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise UserError(f"{name}: found {value!r}, expected a whole number of at least 1")
    return int(value)


def _checked_size(size: Any, network: Network) -> tuple[int, int]:
    """(height, width) as the network takes it, from any sequence of two numbers."""
    numbers = tuple(size) if isinstance(size, Iterable) else size
    expected = IMAGE_SIZE.problem(numbers)
    multiple = getattr(network.super_resolution, "size_multiple", 1)
    if not expected and any(n % multiple for n in numbers):
        expected = f"two multiples of {multiple}"
    if expected:
        raise UserError(f"image_size: found {size!r}, expected {expected}")
    height, width = numbers
    return height, width


def _check_stage(stage: Any, config: ConfigDict) -> None:
    if not isinstance(stage, str) or stage not in config.stages:
        raise UserError(f"stage: found {stage!r}, expected one of {', '.join(config.stages)}")


def num_classes(config: ConfigDict, stage: str, variables: dict[str, Any]) -> int:
    """Identities of a stage's trained classifier; 0 without one."""
    name = config.stages[stage].extractor
    if name == "none":
        return 0
    return EXTRACTORS[name].count_classes(variables["params"]["extractor"])
