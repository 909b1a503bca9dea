"""A gallery that stays: features of known persons in a file or on a server, behind the Milvus API.

`Gallery` adds, searches and removes rows; an `Entry` is a row without its feature; `matching` writes filters. The
package knows nothing of runs and models: it takes features, and a fingerprint that tells models apart.
"""

from rireid_jax.gallery.entries import Entry, Hit
from rireid_jax.gallery.filters import matching
from rireid_jax.gallery.gallery import Gallery, Statistics

__all__ = ["Entry", "Gallery", "Hit", "Statistics", "matching"]
