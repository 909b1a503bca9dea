"""Resolution-invariant person re-identification in JAX.

`Extractor` turns person images into features; `rireid_jax.evaluation.rank` scores features from any system.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rireid_jax.runs.extractor import Extractor as Extractor

__version__ = "0.1.0"
__all__ = ["Extractor"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: worker processes and config files need neither JAX nor checkpoints.
    if name == "Extractor":
        from rireid_jax.runs.extractor import Extractor

        return Extractor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
