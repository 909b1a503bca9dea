"""The single-shot protocol."""

import numpy as np
from jaxtyping import Int

from rireid_jax.components import PROTOCOLS
from rireid_jax.errors import UserError
from rireid_jax.evaluation.distances import JUNK_PID, LabelledFeatures, identity_camera_groups
from rireid_jax.evaluation.ranking import Ranking, rank_matches


@PROTOCOLS.register("single_shot")
class SingleShot:
    """Ranks one random image of each identity, the same for all queries; rates are means over draws."""

    draws = True

    @staticmethod
    def rank(
        query: LabelledFeatures, gallery: LabelledFeatures, repeats: int, seed: int
    ) -> Ranking:
        """One ranking a draw."""
        # The gallery is one for all queries, so an image that is no fair match of one query cannot be
        # left out of it.
        unfair = np.isin(*identity_camera_groups(query, gallery)) & (query.pids != JUNK_PID)
        if unfair.any():
            raise UserError(
                f"protocol single_shot: {np.count_nonzero(unfair)} of {len(query)} queries have "
                "gallery images of their own identity and camera, expected a gallery of other cameras "
                "(protocol cuhk03 draws a gallery for each query)"
            )
        draws = [draw_single_shot_gallery(gallery.pids, seed, repeat) for repeat in range(repeats)]
        rankings = [rank_matches(query, gallery[drawn]) for drawn in draws]
        return Ranking(
            np.concatenate([ranking.first_match for ranking in rankings]),
            np.concatenate([ranking.average_precision for ranking in rankings]),
            np.concatenate([ranking.inverse_negative_penalty for ranking in rankings]),
            valid=rankings[0].valid,
            num_gallery=rankings[0].num_gallery,
        )


def draw_single_shot_gallery(
    gallery_pids: Int[np.ndarray, " G"], seed: int, repeat: int
) -> Int[np.ndarray, " I"]:
    """Draws one image of each of I identities, junk left out; ascending gallery indices."""
    ranked = np.flatnonzero(gallery_pids != JUNK_PID)
    by_pid = ranked[np.argsort(gallery_pids[ranked], kind="stable")]
    _, starts, sizes = np.unique(gallery_pids[by_pid], return_index=True, return_counts=True)
    rng = np.random.default_rng([seed, repeat])
    return np.sort(by_pid[starts + rng.integers(0, sizes)])
