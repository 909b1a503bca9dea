"""The three systems of Table 3 that learn on hand-made features: JUDEA, SLD2L and SDF.

All take `LabelledImages`, train with `fit(train)`, and give `distances(query, gallery)`, an array
`[Q, G]` that `features_with_distances` turns into what `rireid_jax.evaluation.rank` ranks. NumPy
and SciPy, on the CPU.

The constant `PARTIAL` of each module says what of its publication it cannot claim to follow. Print
it beside every number: the equations of none of the three were at hand, and what is built here is
a reconstruction from abstracts and from what others wrote.
"""

from rireid_jax.paper.classical.features import elf
from rireid_jax.paper.classical.images import LabelledImages, features_with_distances
from rireid_jax.paper.classical.judea import Judea
from rireid_jax.paper.classical.sdf import Sdf
from rireid_jax.paper.classical.sld2l import Sld2l

__all__ = ["Judea", "LabelledImages", "Sdf", "Sld2l", "elf", "features_with_distances"]
