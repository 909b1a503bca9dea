"""The systems that Table 3 of the paper compares with, but for the extractors that the core has.

Importing this package registers the components of SING and CSR-GAN: their super-resolution networks and loss terms.

JUDEA, SLD2L and SDF learn on hand-made features, with NumPy and SciPy on the CPU. Each takes
`LabelledImages`, trains with `fit(train)`, and gives `distances(query, gallery)`, an array `[Q, G]`
that `features_with_distances` turns into features for `rireid_jax.evaluation.rank`.

None of their publications' equations were at hand: each is a reconstruction from the abstract and
from what others wrote. The constant `PARTIAL` of a module says how far; print it next to every number.
"""

from rireid_jax.paper.systems import csr_gan_losses, csr_gan_networks, sing

__all__ = ["csr_gan_losses", "csr_gan_networks", "sing"]
