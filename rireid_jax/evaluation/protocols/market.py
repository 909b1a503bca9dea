"""Market-1501's protocol."""

from rireid_jax.components import PROTOCOLS
from rireid_jax.evaluation.distances import LabelledFeatures
from rireid_jax.evaluation.ranking import Ranking, rank_matches


@PROTOCOLS.register("market")
class Market:
    """Ranks the whole gallery, without the images of the query's own identity and camera."""

    draws = False

    @staticmethod
    def rank(query: LabelledFeatures, gallery: LabelledFeatures) -> Ranking:
        """One ranking."""
        return rank_matches(query, gallery)
