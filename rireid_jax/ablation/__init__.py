"""`--mode report`: trains the rows of Tables 1 to 3, and writes tables and figures beside the paper's."""

from rireid_jax.ablation.report import report

__all__ = ["report"]
