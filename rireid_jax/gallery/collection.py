"""The collection that holds a gallery: its schema, what it remembers of the model, and all of its rows.

A person must be gone from the disk when it is removed, but Milvus Lite only marks a row as deleted, and keeps it until
it happens to merge the file with others. `rewrite` therefore copies what remains into a new collection and swaps the
two. A kill in between leaves one of the states that `restore` completes: the old collection is whole until the new one
is, and the presence of a new one means that rows may have been removed.
"""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rireid_jax.gallery.engine import Engine
from rireid_jax.gallery.entries import FEATURE, KEY, LONGEST

NAME = "rireid_gallery"
_NEW, _OLD = f"{NAME}_new", f"{NAME}_old"
_PAGE = 16_000  # rows, of which Milvus allows 16,384; every page is a look at all rows
_PAGE_BYTES = 2**25  # of features; a message may have 64 MB
_FINGERPRINT, _WIDTH_MAX = "rireid.fingerprint", "rireid.width_max"


def create(
    engine: Engine, dimension: int, fingerprint: str, width_max: int, name: str = NAME
) -> None:
    """Creates an empty collection."""
    from pymilvus import DataType

    schema = engine.client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(KEY, DataType.VARCHAR, is_primary=True, max_length=32)
    for column, longest in LONGEST.items():
        schema.add_field(column, DataType.VARCHAR, max_length=longest)
    schema.add_field("native_width", DataType.INT64)
    schema.add_field("resolution", DataType.DOUBLE)
    schema.add_field("fields", DataType.JSON)
    schema.add_field(FEATURE, DataType.FLOAT_VECTOR, dim=dimension)
    engine.client.create_collection(
        name,
        schema=schema,
        index_params=_index(engine),
        consistency_level="Strong",  # a search sees what was added before it
        properties={_FINGERPRINT: f"model {fingerprint}", _WIDTH_MAX: f"{width_max} pixels"},
    )


def remembered(engine: Engine) -> tuple[int, str, int] | None:
    """Dimension, fingerprint and `width_max` of a gallery's model; None if there is no collection yet."""
    if not engine.client.has_collection(NAME):
        return None
    found = engine.client.describe_collection(NAME)
    properties = found["properties"]
    dimension = next(f["params"]["dim"] for f in found["fields"] if f["name"] == FEATURE)
    fingerprint = str(properties.get(_FINGERPRINT, "")).removeprefix("model ")
    width_max = str(properties.get(_WIDTH_MAX, "0")).partition(" ")[0]
    return int(dimension), fingerprint, int(width_max)


def count(engine: Engine, name: str = NAME) -> int:
    """Number of rows."""
    return int(engine.client.query(name, filter="", output_fields=["count(*)"])[0]["count(*)"])


def rows(
    engine: Engine, columns: Sequence[str], where: str = "", page: int = _PAGE
) -> Iterator[list[dict[str, Any]]]:
    """All rows that satisfy a filter, in pages of so many rows."""
    pages = engine.client.query_iterator(
        NAME, batch_size=page, filter=where, output_fields=list(columns)
    )
    try:
        while found := pages.next():
            yield found
    finally:
        pages.close()


def restore(engine: Engine) -> bool:
    """Completes what a killed process has begun, and makes the collection ready to be searched.

    Returns:
      Whether there is a collection.
    """
    client = engine.client
    if engine.folder is None:
        names = set(client.list_collections())
    else:
        _sweep(engine.folder)
        names = set(client.list_collections())
        if NAME not in names and {_NEW, _OLD} <= names:
            client.rename_collection(_NEW, NAME)
            names = names - {_NEW} | {NAME}
        if _OLD in names:
            client.drop_collection(_OLD)
        if {NAME, _NEW} <= names:
            rewrite(engine)
    if NAME not in names:
        return False
    if not client.list_indexes(NAME):  # killed while it was created
        client.create_index(NAME, _index(engine))
    client.load_collection(NAME)
    if engine.folder is not None:
        client.flush(NAME)  # what a killed process left in the log is slow to search
    return True


def begin_rewrite(engine: Engine) -> int:
    """Leaves a mark on the disk that rows are about to be removed; returns the dimension of the features."""
    found = remembered(engine)
    assert found
    dimension, fingerprint, width_max = found
    if engine.client.has_collection(_NEW):
        engine.client.drop_collection(_NEW)
    create(engine, dimension, fingerprint, width_max, _NEW)
    return dimension


def rewrite(engine: Engine) -> None:
    """Copies the rows that remain, and deletes the files of the others; of Milvus Lite alone."""
    assert engine.folder is not None
    client = engine.client
    client.load_collection(NAME)
    size = min(_PAGE, max(1, _PAGE_BYTES // (4 * begin_rewrite(engine))))
    for page in rows(engine, ["*"], page=size):
        client.insert(_NEW, page)
    client.flush(_NEW)
    assert count(engine, _NEW) == count(engine)
    engine.sync()
    client.rename_collection(NAME, _OLD)
    client.rename_collection(_NEW, NAME)
    client.load_collection(NAME)
    client.drop_collection(_OLD)
    engine.sync()


def _index(engine: Engine) -> Any:
    index = engine.client.prepare_index_params()
    index.add_index(FEATURE, index_type="FLAT", metric_type="L2")
    return index


def _sweep(folder: Path) -> None:
    """Deletes what is left of a collection that was being created or dropped: a folder without a schema."""
    for name in (NAME, _NEW, _OLD):
        place = folder / "collections" / name
        if place.is_dir() and not (place / "schema.json").exists():
            if name == NAME:  # it has no rows yet; if it has, they are not ours to delete
                (place / "schema.json.tmp").unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    place.rmdir()
            else:
                shutil.rmtree(place, ignore_errors=True)
