"""Features of images with their names, as a file: `.npz` or `.parquet`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rireid_jax.errors import UserError
from rireid_jax.runs.files import written_whole

SUFFIXES = (".npz", ".parquet")
_COLUMNS = ("names", "features", "native_widths", "resolutions", "identities", "cameras", "paths")
_TEXT = ("names", "identities", "cameras", "paths")


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
      paths: where the images lay; none where that is not known.
      skipped: names of images that were left out because they could not be read.
    """

    names: tuple[str, ...]
    features: Float[np.ndarray, "N D"]
    native_widths: Int[np.ndarray, " N"]
    resolutions: Float[np.ndarray, " N"]
    identities: tuple[str, ...]
    cameras: tuple[str, ...]
    fingerprint: str
    paths: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def write(self, path: Path) -> None:
        """Writes the table as `.npz` or `.parquet`, whole or not at all; the same bytes for the same table.

        Raises:
          UserError: the name has another suffix, or pyarrow is not installed.
        """
        check_format(path)
        with written_whole(path) as temporary:
            if path.suffix.lower() == ".parquet":
                _write_parquet(self, temporary)
            else:
                _write_npz(self, temporary)


def check_format(path: Path) -> None:
    """Raises UserError where a table cannot be a file of this name."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: found the suffix {suffix!r}, expected {' or '.join(SUFFIXES)}")
    if suffix == ".parquet":
        _parquet(path)


def read_table(path: Path) -> FeatureTable:
    """Reads what `FeatureTable.write` wrote.

    Raises:
      UserError: it is no such file, or pyarrow is needed and not installed.
    """
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_npz
    try:
        columns = read(path)
        table = FeatureTable(**columns)
        whole = all(len(getattr(table, name)) == len(table) for name in _COLUMNS[:-1])
        if not whole or table.features.ndim != 2 or len(table.paths) not in (0, len(table)):
            raise ValueError("its columns have different lengths")
    except UserError:
        raise
    except Exception as error:  # NumPy and Arrow raise almost anything at a damaged file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: {reason}, expected a file of `rireid extract`") from error
    return table


def _write_npz(table: FeatureTable, path: Path) -> None:
    columns: dict[str, Any] = {name: np.asarray(getattr(table, name)) for name in _COLUMNS}
    for name in (*_TEXT, "skipped"):  # an empty one would be an array of numbers
        columns[name] = np.asarray(getattr(table, name), np.str_)
    with path.open("wb") as file:
        np.savez(file, fingerprint=np.asarray(table.fingerprint), **columns)


def _read_npz(path: Path) -> dict[str, Any]:
    # NumPy leaves a damaged file open that it has opened itself.
    with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files}
    needed = [name for name in _COLUMNS[:-1] if name not in columns]
    if needed:
        raise ValueError(f"it has no {' and no '.join(needed)}")
    for name in (*_TEXT, "skipped"):
        columns[name] = tuple(columns.get(name, np.empty(0, np.str_)).tolist())
    columns["fingerprint"] = str(columns["fingerprint"])
    return columns


def _write_parquet(table: FeatureTable, path: Path) -> None:
    pyarrow, parquet = _parquet(path)
    number, dim = table.features.shape
    features = pyarrow.FixedSizeListArray.from_arrays(
        pyarrow.array(np.ascontiguousarray(table.features).reshape(number * dim)), dim
    )
    columns = {name: pyarrow.array(getattr(table, name), pyarrow.string()) for name in _TEXT}
    if not table.paths:
        del columns["paths"]
    for name in ("native_widths", "resolutions"):
        columns[name] = pyarrow.array(getattr(table, name))
    columns["features"] = features
    content = pyarrow.table({name: columns[name] for name in _COLUMNS if name in columns})
    # No name holds a NUL.
    metadata = {"fingerprint": table.fingerprint, "skipped": "\0".join(table.skipped)}
    parquet.write_table(content.replace_schema_metadata(metadata), path)


def _read_parquet(path: Path) -> dict[str, Any]:
    _, parquet = _parquet(path)
    content = parquet.read_table(path, partitioning=None).combine_chunks()
    metadata = {name.decode(): value.decode() for name, value in content.schema.metadata.items()}
    columns: dict[str, Any] = {
        name: tuple(content[name].to_pylist()) for name in _TEXT if name in content.column_names
    }
    for name in ("native_widths", "resolutions"):
        columns[name] = content[name].to_numpy()
    lists = content["features"]
    flat = lists.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    columns["features"] = flat.reshape(len(content), lists.type.list_size)
    skipped = metadata["skipped"]
    columns["skipped"] = tuple(skipped.split("\0")) if skipped else ()
    columns["fingerprint"] = metadata["fingerprint"]
    return columns


def _parquet(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(
            f"{path}: found no pyarrow, expected it for .parquet: pip install 'rireid_jax[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet
