"""The same images at every resolution: measures what Figures 2 and 4 of the paper draw."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from rireid_jax.data.degradation import downsample
from rireid_jax.data.loader import Source
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError
from rireid_jax.paper.objective import Objective, objective

RESOLUTIONS = tuple(eighth / 8 for eighth in range(1, 9))  # the range of Figures 2 and 4
_AT_ONCE = 512  # images decoded at once

Images = list[Image.Image]
Extract = Callable[[Images], np.ndarray]  # features [n, D] of n images
Gates = Callable[[Images], tuple[np.ndarray, np.ndarray]]  # wL and wH of n images, each [n, T]


class Originals:
    """High-resolution originals of the people that a data set's queries show.

    They come from the splits query and gallery. Distractors are left out, because their identities
    have no query, and so are images of naturally low resolution, which have no original.
    """

    def __init__(self, query: Source, gallery: Source, width_max: int):
        """Finds the images.

        Args:
          query: split of a built data set.
          gallery: split of the same data set.
          width_max: greatest width in pixels, in r = width / width_max.

        Raises:
          UserError: no image has an original.
        """
        self._width_max = width_max
        self._places: list[tuple[Source, int]] = []
        people: set[int] = set()
        pids: list[int] = []
        for split in (query, gallery):
            for index in range(len(split)):
                record = split[index]
                if split is query:
                    people.add(record.pid)
                if record.target and record.pid in people:
                    self._places.append((split, index))
                    pids.append(record.pid)
        if not pids:
            raise UserError(
                f"query, gallery: found no high-resolution original in {len(query) + len(gallery)} "
                "images, expected some"
            )
        self.pids: Int[np.ndarray, " N"] = np.array(pids)

    def at(self, resolution: float) -> Iterator[Images]:
        """Yields all images at resolution r, some at a time, in the order of `pids`.

        They are down-sampled to a width of r * width_max. A narrower image stays as it is, because
        enlarging it would not enhance its resolution (section 3 of the paper).

        Args:
          resolution: r in (0, 1].
        """
        width = max(1, round(resolution * self._width_max))
        for start in range(0, len(self._places), _AT_ONCE):
            images = []
            for split, index in self._places[start : start + _AT_ONCE]:
                record = split[index]
                image = decode_image(record.target, record.name)
                images.append(downsample(image, min(width, image.width), "bicubic"))
            yield images


@dataclass(frozen=True)
class ObjectiveCurves:
    """O of Eq. 2 at each of `RESOLUTIONS`.

    Attributes:
      equal: O(r, r), panel (a) of Figures 2 and 4: all images are of low resolution.
      varied: O(r, 1), panel (b): images of low resolution against those of full resolution.
    """

    equal: tuple[Objective, ...]
    varied: tuple[Objective, ...]


def objective_curves(extract: Extract, originals: Originals) -> ObjectiveCurves:
    """Measures O of Eq. 2 as Figures 2 and 4 of the paper do.

    Args:
      extract: gives features of images of any sizes, as `Extractor.extract` does.
      originals: the images.

    Raises:
      UserError: as `objective`.
    """

    def features(resolution: float) -> np.ndarray:
        return np.concatenate([extract(images) for images in originals.at(resolution)])

    full = features(1.0)
    equal, varied = [], []
    for resolution in RESOLUTIONS:
        low = full if resolution == 1 else features(resolution)
        equal.append(objective(low, low, originals.pids))
        varied.append(objective(low, full, originals.pids))
    return ObjectiveCurves(tuple(equal), tuple(varied))


@dataclass(frozen=True)
class GateCurves:
    """(wL, wH) of T dual-stream blocks (Eq. 6) at each of R `RESOLUTIONS`, over the images.

    Attributes:
      mean: mean over the images.
      deviation: standard deviation over the images.
    """

    mean: Float[np.ndarray, "R T 2"]
    deviation: Float[np.ndarray, "R T 2"]


def gate_curves(gates: Gates, originals: Originals) -> GateCurves:
    """Measures the gates of dual-stream blocks, their estimate of the resolution of images.

    Args:
      gates: gives wL and wH of images of any sizes, as `Extractor.weights` does.
      originals: the images.

    Raises:
      UserError: the network has no dual-stream block.
    """
    means, deviations = [], []
    for resolution in RESOLUTIONS:
        parts = [np.stack(gates(images), axis=-1) for images in originals.at(resolution)]
        found = np.concatenate(parts)
        if found.shape[1] == 0:
            raise UserError("gates: found a network without dual-stream blocks, expected RIFE")
        means.append(found.mean(axis=0))
        deviations.append(found.std(axis=0))
    return GateCurves(np.stack(means), np.stack(deviations))
