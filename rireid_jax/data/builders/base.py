"""What all builders share: from a list of images to a TFDS data set on disk.

A builder says which images its splits have (`list_items`) and how one becomes a record (`make`).
Everything else is here: the order, the threads, bad images, checks, the protocol hash, the writing.
TensorFlow is not needed: images reach TFDS as encoded bytes, and go to array_record files.
"""

import abc
import contextlib
import errno
import functools
import hashlib
import io
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow_datasets as tfds
from absl import logging as absl_logging

from rireid_jax.config import DATASETS
from rireid_jax.data.records import (
    FORMAT_VERSION,
    ProtocolRow,
    Record,
    encoded_size,
    protocol_hash,
    recipe_hash,
)
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)

T = TypeVar("T")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
_CHUNK = 256  # records held in memory on their way to the disk
_SHARD = 20_000  # records a file


@dataclass(frozen=True)
class Item:
    """An image that is to become a record.

    Attributes:
      name: of the record.
      pid: identity.
      camid: camera.
      origin: the raw file, or the numbers that the image is drawn from.
    """

    name: str
    pid: int
    camid: int
    origin: Path | tuple[int, ...]


class RecordBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder of records.

    The data set lies in ``data_dir/<dataset>/<hash of the recipe>/<format version>``. It is built
    in a temporary folder beside and renamed when complete, so a build that fails or is interrupted
    leaves nothing. Two processes may build at once: both do the work, one of them wins the rename,
    both read the winner's files.
    """

    VERSION = tfds.core.Version(f"{FORMAT_VERSION}.0.0")
    # Nothing is downloaded; TFDS would look for checksums by way of a package it does not install.
    url_infos = None
    # Decoding and resampling release the interpreter's lock; drawing does not.
    threads = min(16, os.cpu_count() or 1)

    def __init__(
        self, recipe: Mapping[str, Any], *, data_dir: str, raw_dir: str, max_bad_images: int
    ):
        """Prepares a build; nothing is read or written yet.

        Args:
          recipe: every field of the data set's recipe in the config.
          data_dir: where built data sets go.
          raw_dir: where the original files lie; "" where there are none.
          max_bad_images: unreadable images to leave out before giving up.
        """
        self.recipe = dict(recipe)
        self.raw_dir = raw_dir
        self.max_bad_images = max_bad_images
        self.width_max = 0  # pixels; of r = width / width_max; known once items are listed
        self._bad_images = 0
        self._rows: list[ProtocolRow] = []
        config = tfds.core.BuilderConfig(name=recipe_hash(self.name, self.recipe))
        with quiet():  # TFDS warns of every config that is not in a list
            super().__init__(
                data_dir=os.path.expanduser(data_dir), config=config, file_format="array_record"
            )

    @abc.abstractmethod
    def list_items(self) -> dict[str, list[Item]]:
        """The images of every split, in any order. Sets ``width_max``.

        Raises:
          UserError: the raw files are not what the data set expects.
        """

    @abc.abstractmethod
    def make(self, item: Item) -> Record:
        """Makes one record: a function of the item and the recipe alone.

        Raises:
          UserError: the image is not readable.
        """

    @functools.cached_property
    def items(self) -> dict[str, list[Item]]:
        """What `list_items` returned; raw folders may be large."""
        return self.list_items()

    def prepare(self) -> None:
        """Builds the data set.

        Raises:
          UserError: what ``list_items`` raises; more than ``max_bad_images`` unreadable images;
            names that appear twice; a query without any possible match; a full
            disk, or a folder that cannot be written to.
        """
        try:
            with (
                tempfile.TemporaryDirectory() as downloads,  # TFDS makes one even if unused
                contextlib.redirect_stdout(io.StringIO()),  # TFDS announces a download
            ):
                self.download_and_prepare(download_dir=downloads)
        except (OSError, RuntimeError) as error:
            if _disk_full(error):
                raise UserError(
                    f"config.data.dir: the disk is full, expected room for {self.name} in "
                    f"{self.data_dir_root}"
                ) from error
            if not self.data_path.exists():
                if isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
                    raise UserError(
                        f"config.data.dir: {error}, expected a folder to write to"
                    ) from error
                raise
            logger.info("%s: another process has built it meanwhile", self.data_dir)
        finally:
            for folder in (self.data_path.parent, self.data_path.parent.parent):
                with contextlib.suppress(OSError):  # it holds something, as it should
                    os.rmdir(folder)

    def fingerprint(self) -> str:
        """A hash of the raw files' names, sizes in bytes and labels; "" where nothing is raw."""
        if not self.raw_dir:
            return ""
        rows = []
        for split, items in self.items.items():
            for item in items:
                size = item.origin.stat().st_size if isinstance(item.origin, Path) else 0
                rows.append((split, item.name, item.pid, item.camid, size))
        return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:16]

    def _info(self) -> tfds.core.DatasetInfo:
        encoded = tfds.features.Tensor(shape=(), dtype=np.object_)  # bytes, perhaps none
        return tfds.core.DatasetInfo(
            builder=self,
            metadata=tfds.core.MetadataDict(),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "target": encoded,
                    "mask": encoded,
                    "pid": tfds.features.Scalar(np.int32),
                    "camid": tfds.features.Scalar(np.int32),
                    "resolution": tfds.features.Scalar(np.float32),
                    "name": encoded,
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        _check_names(self.items)
        _check_queries(self.items)
        return {split: self._generate_examples(split, items) for split, items in self.items.items()}

    def _generate_examples(
        self, split: str, items: Sequence[Item]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the records of a split in the order of their names, as TFDS features."""
        logger.info("%s: builds %d images of %s", self.name, len(items), split)
        with ThreadPoolExecutor(self.threads) as pool:
            for chunk in _chunks(sorted(items, key=lambda item: item.name)):
                results = pool.map(self._attempt, chunk) if self.threads > 1 else None
                for item, result in zip(chunk, results or map(self._attempt, chunk), strict=True):
                    if isinstance(result, UserError):
                        self._count_bad_image(result)
                        continue
                    size = encoded_size(result.image)
                    self._rows.append(ProtocolRow(split, item.name, size, item.pid, item.camid))
                    yield item.name, vars(result) | {"name": os.fsencode(result.name)}

    def _attempt(self, item: Item) -> Record | UserError:
        try:
            return self.make(item)
        except UserError as error:
            return error

    def _count_bad_image(self, error: UserError) -> None:
        self._bad_images += 1
        if self._bad_images > self.max_bad_images:
            raise UserError(
                f"{error} (bad image {self._bad_images}; config.data.max_bad_images allows "
                f"{self.max_bad_images})"
            )
        logger.warning("left out: %s", error)

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Writes the records as they come.

        TFDS would shuffle them first, and needs TensorFlow to do so past one gigabyte.
        """
        info = self._info()  # of the temporary folder
        writer = tfds.core.SequentialWriter(
            info, max_examples_per_shard=_SHARD, file_format="array_record"
        )
        splits = self._split_generators(dl_manager)
        writer.initialize_splits(list(splits))
        for split, examples in splits.items():
            for chunk in _chunks(examples):
                writer.add_examples({split: [example for _, example in chunk]})
        writer.close_all()
        self._check_rows(splits)
        self.info.set_splits(info.splits)
        self.info.metadata.update(
            protocol_hash=protocol_hash(self.name, self.recipe, self._rows),
            width_max=self.width_max,
            train_pids=sorted({row.pid for row in self._rows if row.split == "train"}),
            fingerprint=self.fingerprint(),
            recipe=self.recipe,
        )

    def _check_rows(self, splits: Iterable[str]) -> None:
        """Checks again what bad images may have undone."""
        left: dict[str, list[Item]] = {split: [] for split in splits}
        for row in self._rows:
            left[row.split].append(Item(row.name, row.pid, row.camid, ()))
        for split, items in left.items():
            if not items:
                raise UserError(f"{self.name}: found no readable image for {split}")
        _check_queries(left)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TFDS from logging what is of no use to the user."""
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        yield
    finally:
        absl_logging.set_verbosity(verbosity)


def raw_folder(dataset: str, raw_dir: str) -> Path:
    """The folder or file ``config.data.raw_dir``.

    Raises:
      UserError: it is not given or not there; the message says what is expected.
    """
    expected = DATASETS[dataset].raw
    if not raw_dir:
        raise UserError(f"--config.data.raw_dir: not given, expected {expected}")
    path = Path(raw_dir).expanduser()
    if not path.exists():
        raise UserError(f"--config.data.raw_dir: {raw_dir} is not there, expected {expected}")
    return path


def image_files(folder: Path) -> list[Path]:
    """The images directly in a folder, by name; hidden files and other suffixes do not count."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def read_bytes(path: Path) -> bytes:
    """Reads a raw file.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}, expected a readable image") from error


def keyed_order(seed: int, purpose: str, names: Iterable[str]) -> list[str]:
    """Names in a random order that depends on nothing but ``(seed, purpose)`` and the names."""

    def rank(name: str) -> tuple[bytes, str]:
        key = json.dumps([seed, purpose, name]).encode()
        return hashlib.blake2b(key, digest_size=16).digest(), name

    return sorted(names, key=rank)


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _check_names(splits: Mapping[str, Sequence[Item]]) -> None:
    seen: dict[str, str] = {}
    for split, items in splits.items():
        for item in items:
            if item.name in seen:
                raise UserError(
                    f"{item.name}: found twice, in {seen[item.name]} and in {split}, expected "
                    "every image once"
                )
            seen[item.name] = split


def _check_queries(splits: Mapping[str, Sequence[Item]]) -> None:
    """Every query needs a gallery image of its identity from another camera to be found."""
    if "query" not in splits:
        return
    cameras: dict[int, set[int]] = {}
    for item in splits["gallery"]:
        cameras.setdefault(item.pid, set()).add(item.camid)
    lost = [item for item in splits["query"] if not cameras.get(item.pid, set()) - {item.camid}]
    if lost:
        first = min(lost, key=lambda item: item.name)
        identities = len({item.pid for item in lost})
        raise UserError(
            f"query: {identities} of {len({item.pid for item in splits['query']})} identities have "
            "an image without any gallery image from another camera, so it could never be "
            f"matched; first {first.name} (identity {first.pid}, camera {first.camid})"
        )


def _disk_full(error: BaseException) -> bool:
    # array_record raises RuntimeError with the system's words in it.
    code = getattr(error, "errno", None)
    return code in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)
