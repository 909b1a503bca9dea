"""The protocol of CUHK03's 1367/100 splits, where query and gallery are the same images."""

import numpy as np

from rireid_jax.components import PROTOCOLS
from rireid_jax.evaluation.distances import JUNK_PID, LabelledFeatures, distances, strips
from rireid_jax.evaluation.ranking import Matches, Ranking, rank_matches


@PROTOCOLS.register("cuhk03")
class CUHK03:
    """Ranks, for each query, one random image of each identity, without the query's identity and camera.

    The CMC is the mean over draws; mAP and mINP are those of the whole gallery. torchreid calls this
    `use_metric_cuhk03`.
    """

    draws = True

    @staticmethod
    def rank(
        query: LabelledFeatures, gallery: LabelledFeatures, repeats: int, seed: int
    ) -> Ranking:
        """One ranking a draw."""
        whole = rank_matches(query, gallery)
        matches = Matches(query, gallery)
        drawn_from = np.flatnonzero((matches.sizes > 0) & (matches.pids != JUNK_PID))
        first_match = np.full((repeats, len(query)), -1, np.int64)
        for rows, strip in strips(query, gallery, np.flatnonzero(whole.valid)):
            for row, distance in zip(rows, np.asarray(distances(strip))[: len(rows)], strict=True):
                own = matches.indices(np.array([row]), int(matches.counts[row]))[0]
                rng = np.random.default_rng([seed, row])
                place = rng.integers(0, matches.sizes[drawn_from], size=(repeats, len(drawn_from)))
                drawn = matches.by_pid[matches.starts[drawn_from] + place]
                column = np.searchsorted(drawn_from, matches.query_identity[row])
                drawn[:, column] = rng.choice(own, repeats)
                match, drawn_distance = drawn[:, column, None], distance[drawn]
                bound = drawn_distance[:, column, None]
                precedes = (drawn_distance < bound) | ((drawn_distance == bound) & (drawn < match))
                first_match[:, row] = np.count_nonzero(precedes, axis=1)
        shape = first_match.shape
        return Ranking(
            first_match,
            np.broadcast_to(whole.average_precision, shape),
            np.broadcast_to(whole.inverse_negative_penalty, shape),
            valid=whole.valid,
            num_gallery=whole.num_gallery,
        )
