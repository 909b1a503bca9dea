"""Which images a model is calibrated on, and what is written."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from rireid_jax.components import DATASETS
from rireid_jax.config import final_stage
from rireid_jax.data.batches import rescaled
from rireid_jax.data.build import Built
from rireid_jax.data.layouts.crops import find_crops
from rireid_jax.data.layouts.market1501 import DISTRACTOR, JUNK
from rireid_jax.data.records import decode_image
from rireid_jax.errors import UserError
from rireid_jax.evaluation.calibration import RATES, calibrate
from rireid_jax.evaluation.embed import Embedding
from rireid_jax.paths import expanded
from rireid_jax.runs.calibration import (
    FPR,
    Calibration,
    calibration_file,
    load_calibration,
    point_at,
)
from rireid_jax.runs.calibration_picture import draw_calibration
from rireid_jax.runs.extractor import Extractor
from rireid_jax.runs.feature_table import read_table
from rireid_jax.runs.image_lists import list_images

logger = logging.getLogger(__name__)

# More are drawn from: distances of all pairs of so many take seconds, and their memory stays below 2 GiB.
MOST_IMAGES = 20_000
_UNKNOWN = -1  # camera
_OF_RUN = "query and gallery of "  # the beginning of the source where a run calibrates itself
_SPLITS = ("query", "gallery")


@dataclass(frozen=True)
class LabelledImages:
    """What a model makes of images whose people are known and were in no training.

    Attributes:
      features: float32.
      pids: identities; -1 is junk.
      camids: cameras; -1 is unknown.
      resolutions: r, as `Extractor.describe` gives it.
      source: what they are, in words.
      protocol_hash: of a data set that was built; "" for others.
    """

    features: Float[np.ndarray, "N D"]
    pids: Int[np.ndarray, " N"]
    camids: Int[np.ndarray, " N"]
    resolutions: Float[np.ndarray, " N"]
    source: str
    protocol_hash: str = ""


def calibrate_model(
    images: LabelledImages,
    fingerprint: str,
    width_max: int,
    edges: Sequence[float],
    fpr: float = FPR,
) -> Calibration:
    """Thresholds for every pair of bins of r.

    Args:
      images: of which at most `MOST_IMAGES` are taken, by chance.
      fingerprint: of the model.
      width_max: pixels, of the model.
      edges: of the bins.
      fpr: a false-positive rate to have in the table besides `RATES`.
    """
    kept = np.flatnonzero(images.pids != JUNK)
    if len(kept) > MOST_IMAGES:
        kept = np.sort(np.random.default_rng(0).choice(kept, MOST_IMAGES, replace=False))
    labels = (images.pids[kept], images.camids[kept], images.resolutions[kept])
    rates = sorted({*RATES, fpr})
    pairs = calibrate(images.features[kept], *labels, edges, rates)
    return Calibration(
        fingerprint=fingerprint,
        width_max=width_max,
        edges=tuple(map(float, edges)),
        source=images.source,
        protocol_hash=images.protocol_hash,
        num_people=len(np.unique(labels[0])),
        num_images=len(kept),
        pairs=pairs,
    )


def write_calibration(calibration: Calibration, model: str | Path, stage: str = "") -> epath.Path:
    """Writes the file and, on a local disk and with matplotlib, the picture next to it; returns the file."""
    path = calibration_file(model, stage)
    calibration.write(path)
    if "://" not in str(model):
        try:
            draw_calibration(calibration, Path(path).with_suffix(".png"))
        except UserError as error:  # matplotlib is not needed for the thresholds
            logger.warning("%s", error)
    return path


def calibrate_run(
    config: ConfigDict,
    workdir: str,
    data: Built,
    query: Embedding,
    gallery: Embedding,
    variables: Any,
) -> None:
    """Calibrates the final stage of a run on its queries and gallery, and says in one line what is known.

    These people are in no training. That figures are reported on them does no harm: a threshold changes no ranking.
    Validation identities would do as well, but there are fewer, and settings may have been chosen by them.

    Args:
      config: of the run.
      workdir: of the run.
      data: its data set.
      query: what the stage makes of the queries.
      gallery: what it makes of the gallery.
      variables: of the stage.
    """
    stage = final_stage(config)
    extractor = Extractor.from_variables(config, stage, variables, width_max=data.width_max)
    try:
        known = load_calibration(workdir, extractor.fingerprint)
    except UserError:  # of another model, or damaged
        known = None
    if known is not None and not known.source.startswith(_OF_RUN):
        logger.info("calibration: that on %s is kept; rireid calibrate replaces it", known.source)
        return
    images = of_splits(config, data, stage, query, gallery)
    edges = config.eval.bins
    try:
        found = calibrate_model(images, extractor.fingerprint, extractor.width_max, edges)
    except (
        UserError
    ) as error:  # there is nobody to calibrate on; the run has its results all the same
        logger.warning("not calibrated: %s", error)
        return
    path = write_calibration(found, workdir)
    given = sum(point_at(pair, FPR) is not None for pair in found.pairs)
    logger.info(
        "calibration: %d people give %d of %d pairs of bins a threshold at a false-positive rate of %g; %s",
        *(found.num_people, given, len(found.pairs), FPR, path.name),
    )


def of_splits(
    config: ConfigDict, data: Built, stage: str, query: Embedding, gallery: Embedding
) -> LabelledImages:
    """Query and gallery as images to calibrate on."""
    parts = (query, gallery)
    features, pids, camids, resolutions = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("features", "pids", "camids", "resolutions")
    )
    scale = data.resolution_scale(config.stages[stage].resolution_width)
    return LabelledImages(
        features,
        _people(config.dataset, pids),
        camids,
        rescaled(resolutions, scale).astype(np.float32),
        f"{_OF_RUN}{config.dataset}",
        data.protocol_hash,
    )


def of_built(extractor: Extractor, config: ConfigDict, data: Built) -> LabelledImages:
    """The images of query and gallery of a data set that is built."""
    splits = [data.splits[split] for split in _SPLITS]
    records = (split[i] for split in splits for i in range(len(split)))
    pids, camids = [], []

    def pictures() -> Any:
        for record in records:
            pids.append(record.pid)
            camids.append(record.camid)
            yield np.asarray(decode_image(record.image, record.name))

    found = extractor.describe(pictures())
    return LabelledImages(
        found.features,
        _people(config.dataset, np.array(pids)),
        np.array(camids),
        found.resolutions,
        f"{_OF_RUN}{config.dataset}",
        data.protocol_hash,
    )


def _people(dataset: str, pids: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """The identities, where distractors are junk: which of them are one person is not known."""
    distractor = DATASETS[dataset].distractor
    people = pids.astype(np.int64)
    return people if distractor is None else np.where(people == distractor, JUNK, people)


def of_source(extractor: Extractor, source: str) -> LabelledImages:
    """Images of known people that a user names.

    Args:
      extractor: the model.
      source: a folder with a folder for each person, or with names as in Market-1501; a CSV file with the columns
        path,id[,camera]; or a table of `rireid extract` from such a CSV file.

    Raises:
      UserError: it is none of these, or of another model.
    """
    path = Path(expanded(source, "--images"))
    if path.suffix.lower() == ".npz":
        table = read_table(path)
        if table.fingerprint != extractor.fingerprint:
            raise UserError(
                f"{source}: found features of another model ({table.fingerprint}), expected those of "
                f"{extractor.fingerprint}"
            )
        pids, camids = _numbered(source, table.identities, table.cameras)
        return LabelledImages(table.features, pids, camids, table.resolutions, str(source))
    if path.suffix.lower() == ".csv":
        files = list_images([source])
        pids, camids = _numbered(
            source, [file.identity for file in files], [file.camera for file in files]
        )
        paths = [file.path for file in files]
    else:
        try:
            crops = find_crops(path).crops if path.is_dir() else ()
        except UserError as error:
            raise UserError(str(error).replace("--config.data.raw_dir", "--images")) from error
        if not crops:
            raise UserError(
                f"--images: found {source}, expected a folder with a folder for each person, a CSV file with the "
                "columns path,id, or a table of rireid extract"
            )
        pids = np.array([JUNK if crop.pid == DISTRACTOR else crop.pid for crop in crops], np.int64)
        camids = np.array(
            [_UNKNOWN if crop.camid is None else crop.camid for crop in crops], np.int64
        )
        paths = [crop.path for crop in crops]
    found = extractor.describe(paths)
    return LabelledImages(found.features, pids, camids, found.resolutions, str(source))


def _numbered(
    source: str, identities: Sequence[str], cameras: Sequence[str]
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Names of people and cameras as numbers from 0 on; people called -1 are junk, "" is no camera."""
    missing = sum(not name for name in identities)
    if missing:
        raise UserError(
            f"{source}: found {missing} of {len(identities)} images without an identity, expected a column id"
        )
    pids = np.unique(np.asarray(identities), return_inverse=True)[1].astype(np.int64)
    camids = np.unique(np.asarray(cameras), return_inverse=True)[1].astype(np.int64)
    junk = np.array([name == str(JUNK) for name in identities])
    unknown = np.array([not name for name in cameras])
    return np.where(junk, JUNK, pids), np.where(unknown, _UNKNOWN, camids)
