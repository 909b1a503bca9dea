"""Features of images with their names, as a file."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float, Int

from rireid_jax.errors import UserError
from rireid_jax.runs.files import write_whole

_COLUMNS = ("names", "features", "native_widths", "resolutions", "identities", "cameras")


@dataclass(frozen=True)
class FeatureTable:
    """What a model makes of N images.

    Attributes:
      names: of the images, as `ImageFile` has them.
      features: float32, to compare by Euclidean distance.
      native_widths: pixels of the images as they came.
      resolutions: r = native width / the model's `width_max`, at most 1.
      identities: as the user's list has them; "" where it has none.
      cameras: likewise.
      fingerprint: of the model, `Extractor.fingerprint`.
    """

    names: tuple[str, ...]
    features: Float[np.ndarray, "N D"]
    native_widths: Int[np.ndarray, " N"]
    resolutions: Float[np.ndarray, " N"]
    identities: tuple[str, ...]
    cameras: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.names)

    def write(self, path: Path) -> None:
        """Writes the table as `.npz`, whole or not at all."""
        columns: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in _COLUMNS}
        content = io.BytesIO()
        np.savez(content, fingerprint=np.asarray(self.fingerprint), **columns)
        write_whole(epath.Path(path), content.getvalue())


def read_table(path: Path) -> FeatureTable:
    """Reads what `FeatureTable.write` wrote.

    Raises:
      UserError: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in (*_COLUMNS, "fingerprint")}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: {error}, expected a file of `rireid extract`") from error
    return FeatureTable(
        names=tuple(columns["names"].tolist()),
        features=columns["features"],
        native_widths=columns["native_widths"],
        resolutions=columns["resolutions"],
        identities=tuple(columns["identities"].tolist()),
        cameras=tuple(columns["cameras"].tolist()),
        fingerprint=str(columns["fingerprint"]),
    )
