"""What the model makes of one picture, and who in the gallery is nearest to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from rireid_jax.data.loader import load_image
from rireid_jax.errors import UserError
from rireid_jax.gallery import Gallery, Hit, matching
from rireid_jax.runs.calibration import Calibration, Verdict
from rireid_jax.runs.extractor import Extractor

SHOWN = 480  # pixels, the greatest height at which a picture is shown


@dataclass(frozen=True)
class Query:
    """A picture that was asked about.

    Attributes:
      features: float32 [1, D].
      native_width: pixels of the picture as it came, upright.
      native_height: likewise.
      resolution: r in (0, 1].
      came: the picture itself, or a smaller copy that is enough to show it.
      seen: at the network's size, bilinear.
      restored: after super-resolution.
      gates: (wL, wH) of each of T dual-stream blocks; T = 0 without them.
    """

    features: Float[np.ndarray, "1 D"]
    native_width: int
    native_height: int
    resolution: float
    came: Image.Image
    seen: UInt8[np.ndarray, "H W 3"]
    restored: UInt8[np.ndarray, "H W 3"]
    gates: Float[np.ndarray, "T 2"]

    @property
    def restores(self) -> bool:
        """Whether the model has changed the picture at all."""
        return not np.array_equal(self.seen, self.restored)


@dataclass(frozen=True)
class Answer:
    """A gallery entry in the list of a query.

    Attributes:
      rank: from 1 on.
      hit: the entry, and its distance.
      verdict: whether both are the same person; None where the model is not calibrated.
      why: one line, where there is none although it is calibrated.
    """

    rank: int
    hit: Hit
    verdict: Verdict | None
    why: str = ""


def ask(extractor: Extractor, picture: Image.Image) -> Query:
    """Runs the model on a picture, upright RGB."""
    loaded = load_image(picture, extractor.image_size)
    shown = picture.copy()
    shown.thumbnail((2 * SHOWN, SHOWN))
    found = extractor.describe([loaded])
    low, high = extractor.weights([loaded])
    return Query(
        found.features,
        int(found.native_widths[0]),
        picture.height,
        float(found.resolutions[0]),
        shown,
        loaded.pixels,
        extractor.restore([loaded])[0],
        np.stack([low[0], high[0]], -1),
    )


def answers_to(
    query: Query,
    gallery: Gallery,
    calibration: Calibration | None,
    *,
    top: int,
    fpr: float,
    persons: Sequence[str] = (),
    cameras: Sequence[str] = (),
) -> list[Answer]:
    """The nearest entries, nearest first, with verdicts.

    Args:
      query: the picture.
      gallery: of the same model.
      calibration: of the same model; None where it has none.
      top: how many, at most.
      fpr: false-positive rate of the verdicts.
      persons: entries of these alone; none for all.
      cameras: likewise.

    Raises:
      UserError: the gallery is empty, or a number is out of range.
    """
    where = matching(persons=persons, cameras=cameras)
    answers = []
    for rank, hit in enumerate(gallery.search(query.features, top, where)[0], 1):
        verdict, why = None, ""
        if calibration is not None:
            try:
                verdict = calibration.verdict(
                    hit.distance, query.resolution, hit.entry.resolution, fpr
                )
            except UserError:  # r of the entry is in no bin, as 0 for one whose width is unknown
                why = f"no threshold for r = {hit.entry.resolution:.2f}"
        answers.append(Answer(rank, hit, verdict, why))
    return answers
