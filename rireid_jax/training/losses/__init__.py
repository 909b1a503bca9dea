"""Loss terms, one file each; `training.terms` defines their interface.

The docstrings of the paper's terms name their equations. The paper sums over pixels and examples. These terms are means
over pixels, because a sum over 10^5 pixels would drown the other terms of Eq. 4 at the paper's loss weights.
"""
