"""Scores features: ranking, protocols, and the quality of restored images."""

from rireid_jax.evaluation.scoring import rank

__all__ = ["rank"]
