"""Building a data set unless it is there, and opening it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow_datasets as tfds

from rireid_jax.components import DATASETS
from rireid_jax.data.batches import Source
from rireid_jax.data.build.builder import RecordBuilder, quiet
from rireid_jax.data.build.checks import Allowed
from rireid_jax.data.records import Record
from rireid_jax.errors import UserError


class RecordSource:
    """The records of one split: random access, picklable, in the order of their names."""

    def __init__(self, examples: Sequence[Mapping[str, Any]]):
        """Wraps a TFDS data source whose images are left encoded."""
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"index: found {index}, expected 0 to {len(self) - 1}")
        example = dict(self._examples[index])
        example["name"] = os.fsdecode(example["name"])
        return Record(**example)


@dataclass(frozen=True)
class Built:
    """A data set on disk.

    Attributes:
      dataset: its name.
      protocol_hash: what its results are comparable under.
      train_pids: identities of the split `train`, sorted; the position of one is its label.
      width_max: pixels; of r = width / width_max.
      splits: records by split; `train`, `query` and `gallery`, or `train` alone; also `validation` where
        identities are held out of `train` (`hold_out`).
      path: its folder.
      validation_pids: identities of the split `validation`, sorted.
    """

    dataset: str
    protocol_hash: str
    train_pids: tuple[int, ...]
    width_max: int
    splits: Mapping[str, Source]
    path: str
    validation_pids: tuple[int, ...] = ()

    def resolution_scale(self, resolution_width: int) -> float:
        """Returns the factor from a record's r to that of a stage, before it is cut off at 1 (`batches.rescaled`).

        Args:
          resolution_width: `stage.resolution_width`, the width of r = 1 in the stage, in pixels; 0: `width_max`.
        """
        return self.width_max / resolution_width if resolution_width else 1.0


def check_same_files(builder: RecordBuilder) -> None:
    """A data set that has been built is used for the files that it was built from.

    Raises:
      UserError: `raw_dir` is given and holds others.
    """
    raw_dir = builder.dataset.raw_dir
    if raw_dir and builder.fingerprint() != builder.info.metadata["fingerprint"]:
        raise UserError(
            f"--config.data.raw_dir: the files in {raw_dir} are not those that "
            f"{builder.data_path} was built from; delete that folder to build anew, or give another "
            "--config.data.dir"
        )


def build(
    dataset: str,
    recipe: Mapping[str, Any],
    *,
    data_dir: str,
    raw_dir: str = "",
    max_bad_images: int = 0,
    allow_unmatched_queries: bool = False,
    allow_shared_identities: bool = False,
    threads: int = 0,
    processes: int = 1,
    beam: str = "",
) -> Built:
    """Builds a data set unless it has been built before, and opens it.

    Args:
      dataset: a name in `DATASETS`.
      recipe: a value for every field of the data set's recipe.
      data_dir: where built data sets go; made if need be.
      raw_dir: where the original files lie. "" opens what was built before.
      max_bad_images: unreadable images to leave out, each with a warning, before giving up.
      allow_unmatched_queries: whether to go on where some queries could never be matched; they do not count in
        results.
      allow_shared_identities: whether to go on where identities are both in training and in test.
      threads: that read and make images; 0: as many as there are cores.
      processes: that draw images, where they are drawn; more than one begin by importing the main module of this
        program, as all of `multiprocessing` do.
      beam: options of the Apache Beam pipeline that builds; "": this process does.

    Raises:
      UserError: the raw files are missing, are not what the data set expects, or are other files
        than those of the earlier build; the disk is full.
    """
    builder = RecordBuilder(
        DATASETS[dataset](recipe, raw_dir, threads),
        data_dir=data_dir,
        max_bad_images=max_bad_images,
        allowed=Allowed(allow_unmatched_queries, allow_shared_identities),
        processes=processes,
        beam=beam,
    )
    path = str(builder.data_path)
    if not builder.data_path.exists():
        builder.prepare()
    else:
        check_same_files(builder)
        # Of a user's own files, whoever trains is told what is not trained on.
        if builder.dataset.source():
            builder.tell()
    with quiet():
        built = tfds.builder_from_directory(path)
    # Left encoded: TFDS would decode by OpenCV where it finds it, to other pixels.
    examples = built.as_data_source(decoders={"image": tfds.decode.SkipDecoding()})
    metadata = built.info.metadata
    return Built(
        dataset=dataset,
        protocol_hash=metadata["protocol_hash"],
        train_pids=tuple(metadata["train_pids"]),
        width_max=metadata["width_max"],
        splits={split: RecordSource(source) for split, source in examples.items()},
        path=path,
    )
