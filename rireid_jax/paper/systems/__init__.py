"""The systems that Table 3 of the paper compares with, other than networks that the core has.

JUDEA, SLD2L and SDF learn on hand-made features, with NumPy and SciPy on the CPU. Each takes
`LabelledImages`, trains with `fit(train)`, and gives `distances(query, gallery)`, an array `[Q, G]`
that `features_with_distances` turns into features for `rireid_jax.evaluation.rank`.

None of their publications' equations were at hand: each is a reconstruction from the abstract and
from what others wrote. The constant `PARTIAL` of a module says how far; print it next to every number.
"""
