"""Scores the classical systems of Table 3, which learn on hand-made features: JUDEA, SLD2L and SDF."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rireid_jax.components import PROTOCOLS
from rireid_jax.config import evaluation_protocol
from rireid_jax.data.build import Built
from rireid_jax.data.loader import Source, load_image
from rireid_jax.data.records import decode_image
from rireid_jax.evaluation.scoring import Outcomes, outcomes, rank_queries, summarize
from rireid_jax.paper.systems import judea, sdf, sld2l
from rireid_jax.paper.systems.judea import Judea
from rireid_jax.paper.systems.labelled_images import LabelledImages, features_with_distances
from rireid_jax.paper.systems.sdf import Sdf
from rireid_jax.paper.systems.sld2l import Sld2l

PARTIAL: Mapping[str, str] = {
    "judea": judea.PARTIAL,
    "sld2l": sld2l.PARTIAL,
    "sdf": sdf.PARTIAL,
}
# The distances are one matrix in memory, and `features_with_distances` is exact for so many queries.
MAX_PAIRS = 4_000_000
_SYSTEMS: Mapping[str, Callable[[], Judea | Sdf | Sld2l]] = {
    "judea": Judea,
    "sld2l": Sld2l,
    "sdf": Sdf,
}


def score(config: ConfigDict, name: str, data: Built) -> tuple[dict[str, Any], Outcomes]:
    """Trains a system on a data set and ranks its gallery.

    Args:
      config: of the data set.
      name: key of `PARTIAL`.
      data: the data set, with at most `MAX_PAIRS` pairs of query and gallery images.

    Returns:
      Metrics as `results.json` holds them, and the outcomes of the queries.

    Raises:
      UserError: the images do not suit the system.
    """
    size = tuple(config.data.image_size)
    system = _SYSTEMS[name]().fit(_labelled(data.splits["train"], size))
    query, gallery = (_labelled(data.splits[split], size) for split in ("query", "gallery"))
    scoring = evaluation_protocol(config)
    ranking = rank_queries(
        *features_with_distances(system.distances(query, gallery)),
        query.pids,
        gallery.pids,
        query.camids,
        gallery.camids,
        **scoring,
    )
    restoration = dict.fromkeys(("psnr", "psnr_foreground", "psnr_bilinear"))
    nothing = {"by_resolution": [], "gates": [], "restoration": restoration}
    rates = summarize(ranking, PROTOCOLS[scoring["protocol"]].draws)
    metrics = {"protocol": scoring["protocol"], **rates, **nothing}
    return metrics, outcomes(ranking, query.pids, query.resolutions)


def _labelled(source: Source, size: tuple[int, int]) -> LabelledImages:
    images, pids, camids, resolutions = [], [], [], []
    for index in range(len(source)):
        record = source[index]
        image = decode_image(record.image, record.name)
        images.append(load_image(image, size, index)[0])
        pids.append(record.pid)
        camids.append(record.camid)
        resolutions.append(float(record.resolution))
    labels = np.array(pids), np.array(camids), np.array(resolutions)
    return LabelledImages(np.stack(images), *labels)
