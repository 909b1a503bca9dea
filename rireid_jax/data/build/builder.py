"""From a `Dataset` to a TFDS data set on disk.

A `Dataset` lists the images of its splits and makes a record of each. Everything else is here and in `shards`:
the order, threads or clusters, bad images, checks, the protocol hash. TensorFlow is not needed: images reach
TFDS as encoded bytes, and go to array_record files.
"""

import contextlib
import errno
import functools
import hashlib
import io
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging as absl_logging
from etils import epath
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from rireid_jax.data.build.beam import run_on_beam
from rireid_jax.data.build.checks import (
    NOTHING,
    Allowed,
    LeftOut,
    check_queries,
    check_splits,
    check_training,
    remarks,
    summary,
)
from rireid_jax.data.build.naming import build_name
from rireid_jax.data.build.shards import plan_shards, read_written, write_shard
from rireid_jax.data.dataset import Dataset, Item
from rireid_jax.data.files import file_size
from rireid_jax.data.records import ProtocolHash, Record
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)

# An exit that a signal's handler raises may end in a callback that swallows it, such as JAX's at every
# collection of garbage; so whoever makes a record looks here.
_TERMINATED = threading.Event()
_LINE_SECONDS = 15.0  # between two lines of progress
_SHARDS = "shards"  # where they are until the data set is complete


class RecordBuilder(tfds.core.GeneratorBasedBuilder):
    """The TFDS builder of any data set.

    The data set lies in `data_dir/<dataset>/<hash of the recipe and the source>/<version>`. It is built in a temporary
    folder next to that one, which is renamed when it is complete, so a build that fails or is interrupted
    leaves nothing. Two processes may build at once: both do the work, one of them wins the rename, and
    both read the winner's files.
    """

    VERSION = tfds.core.Version("1.0.0")  # TFDS wants one of the class; each data set has its own
    # Nothing is downloaded; TFDS would look for checksums by way of a package it does not install.
    url_infos = None

    def __init__(
        self,
        dataset: Dataset,
        *,
        data_dir: str,
        max_bad_images: int = 0,
        allowed: Allowed = NOTHING,
        beam: str = "",
        config_name: str = "",
    ):
        """Prepares a build; nothing is read or written yet.

        Args:
          dataset: what to build.
          data_dir: where built data sets go.
          max_bad_images: unreadable images to leave out before giving up.
          allowed: what to go on with.
          beam: options of the Apache Beam pipeline that builds; "": this process does.
          config_name: of its folder, in a worker that writes a part of it; "": the data set's.

        Raises:
          UserError: no source is given, and there are builds of several.
        """
        self.name = dataset.name  # type: ignore[misc]  # TFDS has one class for each name
        self.dataset = dataset
        self.max_bad_images = max_bad_images
        self.allowed = allowed
        self.beam = beam
        self._lock = threading.Lock()
        self._made = self._total = 0  # images; workers know no total
        self._begun = self._told = 0.0  # on the monotonic clock
        name = config_name or build_name(dataset, os.path.expanduser(data_dir), self.fingerprint)
        self._arguments = dict(data_dir=data_dir, max_bad_images=max_bad_images, config_name=name)
        config = tfds.core.BuilderConfig(
            name=name,
            version=tfds.core.Version(dataset.version),
        )
        with quiet():  # TFDS warns of every config that is not in a list
            super().__init__(
                data_dir=os.path.expanduser(data_dir), config=config, file_format="array_record"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to workers as what it was made from."""
        return _rebuild, (self.dataset, self._arguments)

    def prepare(self) -> None:
        """Builds the data set.

        Raises:
          UserError: what `list_items` raises; more than `max_bad_images` unreadable images; names that
            appear twice; a query without any possible match; a full disk, or a folder that cannot be
            written to.
        """
        try:
            for mismatch in self.dataset.mismatches():
                logger.warning(
                    "%s: %s; results on a part of it are not comparable with published ones",
                    *(self.name, mismatch),
                )
            check_splits(self.dataset, self.allowed)
            logger.info("%s: builds %s", self.name, summary(self.dataset))
            self.tell()
            self._prepare()
        finally:
            self.dataset.close()

    def tell(self) -> None:
        """Logs what lies among the raw files and is not taken, and what is odd about what is."""
        for line in (*self.dataset.ignored(), *remarks(self.dataset)):
            logger.warning("%s: %s", self.name, line)

    def _prepare(self) -> None:
        try:
            with (
                _terminated_as_by_exit(),
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
        dataset = self.dataset
        if not dataset.raw_dir:
            return ""
        rows: list[tuple[Any, ...]] = []
        for split, items in dataset.items.items():
            rows += [(split, i.name, i.pid, i.camid, dataset.raw_size(i)) for i in items]
        rows += [("", path.name, 0, 0, file_size(path)) for path in dataset.sources()]
        return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:16]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self, metadata=tfds.core.MetadataDict(), features=_features()
        )

    def _split_generators(self, dl_manager: Any) -> Any:
        raise NotImplementedError  # `_download_and_prepare` needs none

    def _generate_examples(self, **_: Any) -> Any:
        raise NotImplementedError

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Writes the shards, and what is to be known of them.

        TFDS would shuffle the records first, and needs TensorFlow to do so past one gigabyte.
        """
        items = self.dataset.items
        _ = self.dataset.width_max  # its errors come before the work
        self._total = sum(map(len, items.values()))
        folder = epath.Path(self.data_dir) / _SHARDS  # of the temporary folder
        shards = plan_shards(items, folder)
        if self.beam:
            run_on_beam(self.beam, shards, functools.partial(self.write, folder=str(folder)))
        else:
            bad = 0
            for shard in shards:
                bad += self.write(shard, str(folder))
                if bad > self.max_bad_images:
                    break
        self._complete(shards, folder)

    def write(self, shard: str, folder: str) -> int:
        """Writes a shard whose plan lies in the folder. Returns how many of its images are unreadable."""
        return write_shard(
            shard,
            epath.Path(folder),
            make=self._make_unless_terminated,
            serialize=serialize,
            expected_size=self.dataset.expected_size,
            max_bad_images=self.max_bad_images,
            threads=self.dataset.threads,
            hash_images=self.dataset.hashes_images,
        )

    def _make_unless_terminated(self, item: Item) -> Record | None:
        if _TERMINATED.is_set():
            sys.exit(128 + signal.SIGTERM)
        self._tell_progress()
        return self.dataset.make(item)

    def _tell_progress(self) -> None:
        """Logs how far the build is, every now and then."""
        with self._lock:
            now = time.monotonic()
            if self._made == 0:
                self._begun = self._told = now
            if self._total and now - self._told > _LINE_SECONDS:
                self._told = now
                left = (now - self._begun) * (self._total - self._made) / self._made
                logger.info(
                    "%s: %s of %s images, about %d s left",
                    *(self.name, f"{self._made:,}", f"{self._total:,}", round(left)),
                )
            self._made += 1

    def _complete(self, shards: Sequence[str], folder: epath.Path) -> None:
        """Moves the records to their places and writes the data set's metadata."""
        protocol = ProtocolHash(self.name, self.dataset.hashed_recipe())
        train_pids: set[int] = set()
        lengths: dict[str, list[int]] = {split: [] for split in self.dataset.items}
        num_bytes = dict.fromkeys(self.dataset.items, 0)
        written: dict[str, list[str]] = {split: [] for split in self.dataset.items}
        left_out = LeftOut(self.name, self.max_bad_images)
        for shard in shards:
            written_shard = read_written(shard, folder)
            left_out.add(written_shard)
            images = written_shard.images or [""] * len(written_shard.rows)
            for row, image in zip(written_shard.rows, images, strict=True):
                protocol.add(row, image)
            split = shard.rpartition("-")[0]
            if split == "train":
                train_pids.update(row.pid for row in written_shard.rows)
            if written_shard.rows:
                lengths[split].append(len(written_shard.rows))
                num_bytes[split] += written_shard.num_bytes
                written[split].append(shard)
        left_out.tell(self.dataset.expected_size)
        for split, names in written.items():
            if not names:
                raise UserError(
                    f"{self.name}: found no image of use for {split} in {self.dataset.raw_dir}, expected "
                    "some that are readable and large enough"
                )
        if left_out.any:
            self._check_what_is_left(shards, folder)
        infos = []
        for split, names in written.items():
            template = tfds.core.ShardedFileTemplate(
                dataset_name=self.name,
                data_dir=folder.parent,
                split=split,
                filetype_suffix="array_record",
            )
            for number, shard in enumerate(names):
                place = template.sharded_filepath(shard_index=number, num_shards=len(names))
                (folder / f"{shard}.records").replace(place)
            infos.append(
                tfds.core.SplitInfo(
                    name=split,
                    shard_lengths=lengths[split],
                    num_bytes=num_bytes[split],
                    filename_template=template,
                )
            )
        self.info.set_splits(tfds.core.SplitDict(infos))
        self.info.metadata.update(
            protocol_hash=protocol.hexdigest(),
            width_max=self.dataset.width_max,
            train_pids=sorted(train_pids),
            fingerprint=self.fingerprint(),
            recipe=self.dataset.hashed_recipe(),
            source=self.dataset.source(),
        )
        folder.rmtree()

    def _check_what_is_left(self, shards: Iterable[str], folder: epath.Path) -> None:
        """Checks again what images that were left out may have undone."""
        left: dict[str, list[Item]] = {split: [] for split in self.dataset.items}
        for shard in shards:
            for row in read_written(shard, folder).rows:
                left[row.split].append(Item(row.name, row.pid, row.camid, ()))
        check_training(self.dataset, left["train"])
        check_queries(left, allow_unmatched=self.allowed.unmatched_queries)


def _rebuild(dataset: Dataset, arguments: dict[str, Any]) -> RecordBuilder:
    return RecordBuilder(dataset, **arguments)


def _features() -> tfds.features.FeaturesDict:
    encoded = tfds.features.Tensor(shape=(), dtype=np.object_)  # bytes, perhaps none
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "target": encoded,
            "mask": encoded,
            "pid": tfds.features.Scalar(np.int32),
            "camid": tfds.features.Scalar(np.int32),
            "resolution": tfds.features.Scalar(np.float32),
            "name": encoded,
        }
    )


@functools.cache
def _serializer() -> tuple[tfds.features.FeaturesDict, ExampleSerializer]:
    features = _features()
    return features, ExampleSerializer(features.get_serialized_info())


def serialize(record: Record) -> bytes:
    """A record as TFDS stores it, in the same bytes in every process."""
    fields = {name: getattr(record, name) for name in Record.__dataclass_fields__}
    features, serializer = _serializer()
    example = features.encode_example(fields | {"name": os.fsencode(record.name)})
    # TFDS leaves the order of the fields to protobuf, which draws it anew in every process.
    return serializer.get_tf_example(example).SerializeToString(deterministic=True)


@contextlib.contextmanager
def _terminated_as_by_exit() -> Iterator[None]:
    """Lets SIGTERM unwind the stack, so that what was begun is taken away; else it ends Python at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def stop(number: int, _: Any) -> None:
        _TERMINATED.set()
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        _TERMINATED.clear()
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TFDS from logging what is of no use to the user."""
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        yield
    finally:
        absl_logging.set_verbosity(verbosity)


def _disk_full(error: BaseException) -> bool:
    # array_record raises RuntimeError with the system's words in it, and so does Beam.
    code = getattr(error, "errno", None)
    return code in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)
