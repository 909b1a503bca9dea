"""Loss terms, one file each; `training.terms` says what a term must offer.

The paper's are named by their equations. It sums over pixels and examples; these are means over pixels, because a sum
over 10^5 pixels would drown the other terms of Eq. 4 at the paper's weights.
"""
