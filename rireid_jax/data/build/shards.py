"""The files of a data set: planned at once, written one by one, wherever and in whatever order.

A plan divides the images of every split, in the order of their names, into shards of a fixed number. Each
shard is written by `write_shard`, a function of its plan alone, which leaves two files: the records and, last, a
summary of them. That is why threads, processes and clusters give the same bytes, and why memory is bounded by a
few hundred images however many there are.
"""

import hashlib
import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar
from uuid import uuid4

from array_record.python.array_record_module import ArrayRecordWriter
from etils import epath

from rireid_jax.data.build.makers import Make
from rireid_jax.data.dataset import Item
from rireid_jax.data.records import ProtocolRow, Record, encoded_size
from rireid_jax.errors import UserError

T = TypeVar("T")

SHARD_SIZE = 2_000  # images; a unit of work, some hundred megabytes at most
RECORDS, _PLAN, _SUMMARY = ".records", ".plan", ".summary"  # suffixes of a shard's files
_CHUNK = 256  # records held in memory on their way to the disk


@dataclass(frozen=True)
class Written:
    """What became of a shard.

    Attributes:
      rows: what the protocol hash covers, a row for every record written.
      images: hashes of the images' and targets' bytes, by row; empty where the protocol hash does not cover them.
      num_bytes: of the records.
      bad: messages about unreadable images.
      passed_over: images that the builder had no use for.
      odd_size: the first image of another size than the benchmark's images have, and its size.
      num_odd: how many such images there are.
    """

    rows: Sequence[ProtocolRow]
    images: Sequence[str]
    num_bytes: int
    bad: Sequence[str]
    passed_over: int
    odd_size: str
    num_odd: int


def plan_shards(splits: Mapping[str, Sequence[Item]], folder: epath.Path) -> list[str]:
    """Writes the plan of every shard into a folder, which may hold what an earlier build of the same has written.

    Returns:
      The shards' names, by split and then by position.
    """
    shards = []
    for split, items in sorted(splits.items()):
        ordered = sorted(items, key=lambda item: item.name)
        for number, start in enumerate(range(0, len(ordered), SHARD_SIZE)):
            shard = f"{split}-{number:05d}"
            plan = pickle.dumps(ordered[start : start + SHARD_SIZE])
            (folder / f"{shard}{_PLAN}").write_bytes(plan)
            shards.append(shard)
    return shards


def planned(shard: str, folder: epath.Path) -> list[Item]:
    """The images of a shard."""
    items: list[Item] = pickle.loads((folder / f"{shard}{_PLAN}").read_bytes())
    return items


def is_written(shard: str, folder: epath.Path) -> bool:
    """Whether `write_shard` has come to its end."""
    return all((folder / f"{shard}{suffix}").exists() for suffix in (RECORDS, _SUMMARY))


def remove_torn(folder: epath.Path) -> None:
    """Removes what a killed build was writing."""
    for path in folder.glob("*-*"):
        if path.suffix not in (_PLAN, RECORDS, _SUMMARY):
            path.unlink()


def write_shard(
    shard: str,
    folder: epath.Path,
    *,
    make: Make,
    serialize: Callable[[Record], bytes],
    expected_size: tuple[int, int] | None,
    max_bad_images: int,
    hash_images: bool = False,
) -> int:
    """Makes the records of a shard; may be repeated, and done by two at once.

    Args:
      shard: its name.
      folder: of the plans; what is written goes there too.
      make: makes records of images.
      serialize: the record as it is stored.
      expected_size: (width, height) that high-resolution images should have; None: any.
      max_bad_images: unreadable images after which to give up.
      hash_images: whether the protocol hash covers the images' bytes.

    Returns:
      How many images were unreadable; if more than `max_bad_images`, those after them were not tried.
    """
    split = shard.rpartition("-")[0]
    rows: list[ProtocolRow] = []
    images: list[str] = []
    bad: list[str] = []
    num_bytes = passed_over = num_odd = 0
    odd_size = ""

    unique = f"{shard}.{uuid4().hex}"
    writer = ArrayRecordWriter(str(folder / unique), "group_size:1")
    for chunk in chunks(planned(shard, folder)):
        for item, record in zip(chunk, make(chunk), strict=True):
            if record is None:
                passed_over += 1
                continue
            if isinstance(record, UserError):
                bad.append(str(record))
                continue
            size = encoded_size(record.image)
            rows.append(ProtocolRow(split, item.name, size, item.pid, item.camid))
            if hash_images:
                images.append(hashlib.sha256(record.image + record.target).hexdigest())
            original = encoded_size(record.target) if record.target else size
            if expected_size not in (None, original):
                num_odd += 1
                odd_size = odd_size or f"{item.name} of {original[0]}x{original[1]}"
            data = serialize(record)
            num_bytes += len(data)
            writer.write(data)
        if len(bad) > max_bad_images:
            break
    writer.close()
    (folder / unique).replace(folder / f"{shard}{RECORDS}")
    summary = {
        "rows": rows,
        "images": images,
        "num_bytes": num_bytes,
        "bad": bad,
        "passed_over": passed_over,
        "odd_size": odd_size,
        "num_odd": num_odd,
    }
    temporary = folder / f"{unique}.json"
    temporary.write_text(json.dumps(summary))
    temporary.replace(folder / f"{shard}{_SUMMARY}")
    return len(bad)


def read_written(shard: str, folder: epath.Path) -> Written:
    """What `write_shard` left."""
    summary: dict[str, Any] = json.loads((folder / f"{shard}{_SUMMARY}").read_text())
    rows = [
        ProtocolRow(split, name, tuple(size), pid, camid)
        for split, name, size, pid, camid in summary.pop("rows")
    ]
    return Written(rows=rows, **summary)


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Lists of a few hundred values."""
    iterator = iter(values)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
