"""From a `Dataset` to a TFDS data set on disk.

A `Dataset` lists the images of its splits and makes a record of each. Everything else is here and in `shards`:
the order, threads or clusters, bad images, checks, the protocol hash. TensorFlow is not needed: images reach
TFDS as encoded bytes, and go to array_record files.
"""

import contextlib
import errno
import functools
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging as absl_logging
from etils import epath
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from rireid_jax.data.build import shards
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
from rireid_jax.data.build.makers import Made, Make, makers
from rireid_jax.data.build.naming import build_name
from rireid_jax.data.build.unfinished import unfinished_folder
from rireid_jax.data.dataset import Dataset, Item
from rireid_jax.data.files import file_size
from rireid_jax.data.records import ProtocolHash, Record
from rireid_jax.errors import UserError
from rireid_jax.progress_bar import ProgressBar

logger = logging.getLogger(__name__)

_LINE_SECONDS = 15.0  # between two lines of progress
_COMPLETE = "complete"  # the folder of the data set before it is moved to its place


class RecordBuilder(tfds.core.GeneratorBasedBuilder):
    """The TFDS builder of any data set.

    The data set lies in `data_dir/<dataset>/<hash of the recipe and the source>/<version>`. It is built in a folder
    next to that one, and moved when it is complete. A build that fails leaves nothing, and one that is interrupted the
    shards that it has finished, for the next one. Two processes may build at once: both do the work, one of them wins
    the move, and both read the winner's files.
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
        processes: int = 1,
        beam: str = "",
        config_name: str = "",
    ):
        """Prepares a build; nothing is read or written yet.

        Args:
          dataset: what to build.
          data_dir: where built data sets go.
          max_bad_images: unreadable images to leave out before giving up.
          allowed: what to go on with.
          processes: that draw images, where they are drawn.
          beam: options of the Apache Beam pipeline that builds; "": this process does.
          config_name: of its folder, in a worker that writes a part of it; "": the data set's.

        Raises:
          UserError: no source is given, and there are builds of several.
        """
        self.name = dataset.name  # type: ignore[misc]  # TFDS has one class for each name
        self.dataset = dataset
        self.max_bad_images = max_bad_images
        self.allowed = allowed
        self.processes = processes
        self.beam = beam
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
        _ = self.dataset.width_max  # its errors come before the work
        try:
            with unfinished_folder(self.data_path, self._stamp()) as folder:
                if not self.data_path.exists():  # another process may just have built it
                    self._complete(self._write_shards(folder), folder)
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

    def _stamp(self) -> str:
        """A hash of all that the shards are a function of, besides the recipe that names their folder."""
        given = (self.fingerprint(), self.dataset.width_max, self.max_bad_images, shards.SHARD_SIZE)
        stamp = hashlib.sha256(repr((self.dataset.version, *given)).encode())
        for split, items in sorted(self.dataset.items.items()):
            for item in sorted(items, key=lambda item: item.name):
                stamp.update(os.fsencode(repr((split, item))))
        return stamp.hexdigest()

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

    def _write_shards(self, folder: epath.Path) -> list[str]:
        """Writes the shards that are not there yet. Returns the names of all."""
        shards.remove_torn(folder)
        names = shards.plan_shards(self.dataset.items, folder)
        left = [shard for shard in names if not shards.is_written(shard, folder)]
        if len(left) < len(names):
            logger.info(
                "%s: goes on after %d of %d parts", self.name, len(names) - len(left), len(names)
            )
        if self.beam:
            run_on_beam(self.beam, left, functools.partial(self.write, folder=str(folder)))
            return names
        total = sum(len(shards.planned(shard, folder)) for shard in left)
        bad = 0
        with (
            makers(self.dataset, total, self.processes) as make,
            ProgressBar(total, self.name, "image", line_seconds=_LINE_SECONDS) as bar,
        ):

            def told(items: Sequence[Item]) -> Iterator[Made]:
                for record in make(items):
                    bar.add(1)
                    yield record

            for shard in left:
                bad += self.write(shard, str(folder), told)
                if bad > self.max_bad_images:
                    break
        return names

    def write(self, shard: str, folder: str, make: Make | None = None) -> int:
        """Writes a shard whose plan lies in the folder. Returns how many of its images are unreadable.

        Args:
          shard: its name.
          folder: of all shards.
          make: makes records; None makes them as the data set's threads allow, as in a worker on a cluster.
        """
        if make is None:
            with makers(self.dataset, 0, 1) as make:
                return self.write(shard, folder, make)

        return shards.write_shard(
            shard,
            epath.Path(folder),
            make=make,
            serialize=serialize,
            expected_size=self.dataset.expected_size,
            max_bad_images=self.max_bad_images,
            hash_images=self.dataset.hashes_images,
        )

    def _complete(self, names: Sequence[str], folder: epath.Path) -> None:
        """Moves the records of all shards to their places, and writes the data set's metadata."""
        protocol = ProtocolHash(self.name, self.dataset.hashed_recipe())
        train_pids: set[int] = set()
        lengths: dict[str, list[int]] = {split: [] for split in self.dataset.items}
        num_bytes = dict.fromkeys(self.dataset.items, 0)
        written: dict[str, list[str]] = {split: [] for split in self.dataset.items}
        left_out = LeftOut(self.name, self.max_bad_images)
        for shard in names:
            written_shard = shards.read_written(shard, folder)
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
        for split, own in written.items():
            if not own:
                raise UserError(
                    f"{self.name}: found no image of use for {split} in {self.dataset.raw_dir}, expected "
                    "some that are readable and large enough"
                )
        if left_out.any:
            self._check_what_is_left(names, folder)
        complete = folder / _COMPLETE
        complete.rmtree(missing_ok=True)  # of a build that was killed here
        complete.mkdir()
        infos = []
        for split, own in written.items():
            template = tfds.core.ShardedFileTemplate(
                dataset_name=self.name,
                data_dir=complete,
                split=split,
                filetype_suffix="array_record",
            )
            for number, shard in enumerate(own):
                place = template.sharded_filepath(shard_index=number, num_shards=len(own))
                (folder / f"{shard}{shards.RECORDS}").replace(place)
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
        self.info.download_size = tfds.core.utils.Size(0)
        self.info.write_to_directory(complete)
        complete.rename(self.data_path)
        self.info.update_data_dir(self.data_dir)

    def _check_what_is_left(self, names: Iterable[str], folder: epath.Path) -> None:
        """Checks again what images that were left out may have undone."""
        left: dict[str, list[Item]] = {split: [] for split in self.dataset.items}
        for shard in names:
            for row in shards.read_written(shard, folder).rows:
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
