"""From records to batches: in which order, in which processes.

Grain gives the order of training: global batch t is a function of (seed, t) alone, so a run may stop at any
step and go on with another number of processes or workers.
"""

import contextlib
import itertools
import multiprocessing
import os
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import grain
import numpy as np
from absl import flags
from jaxtyping import UInt8
from PIL import Image

from rireid_jax.data.augmentation import Augmentation, View
from rireid_jax.data.batches import Batch, Draw, EvaluationBatch, Source, TrainingBatch
from rireid_jax.data.records import Record, decode_image, opened_image
from rireid_jax.data.sampler import IdentityBatches
from rireid_jax.data.shared_memory import affordable, full_memory_is_named, refuse_dead
from rireid_jax.data.workers import live_as_long_as_the_parent, starting_workers
from rireid_jax.errors import UserError
from rireid_jax.paths import expanded

_READ_AHEAD = 2  # batches, in every worker or in the one thread that decodes


def train_batches(
    source: Source,
    *,
    image_size: tuple[int, int],
    batch_size: int,
    seed: int,
    augmentation: Augmentation,
    labels: Mapping[int, int] | None = None,
    images_per_identity: int = 0,
    targets: bool = True,
    resolution_scale: float = 1.0,
    start_step: int = 0,
    workers: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Generator[Batch, None, None]:
    """Endless training batches of this process.

    Every epoch is a new permutation; batches run across its end. With `images_per_identity` there
    are no epochs (`sampler.IdentityBatches`). Process p has the examples p,
    p + P, p + 2P ... of a global batch. Close the generator (`contextlib.closing`) to end its
    workers.

    Args:
      source: records of the split `train`.
      image_size: (height, width) of the network's input.
      batch_size: images a step over all processes; a multiple of `process_count`.
      seed: of order and augmentation.
      augmentation: what to do at random.
      labels: from identity to label; `None` gives every example the label 0.
      images_per_identity: K of batches of P identities with K images each; 0: batches at random.
      targets: `False` leaves stored targets and masks undecoded, except those to be degraded. That halves
        the work where nothing is restored; batches look as if there were no targets.
      resolution_scale: what a record's r is multiplied by, where r = 1 is another width than the
        data set's greatest; r stays at most 1.
      start_step: the batch to begin with; a run that stopped after step t continues with t.
      workers: decoding processes; 0 decodes in a thread of this process. Each has six batches in shared
        memory; where that does not suffice, fewer are taken (`shared_memory.affordable`).
      process_index: of this process.
      process_count: processes that share a global batch.

    Returns:
      A generator of dictionaries of arrays, b = batch_size / process_count:
        image: uint8 `[b, H, W, 3]`, the low resolution enlarged bilinearly.
        native_width: int32 `[b]`, pixels, of the low resolution before it was enlarged.
        target: uint8 `[b, H, W, 3]`, the high resolution; 0 where there is none.
        has_target: float32 `[b]`, 1 where there is a target.
        mask: uint8 `[b, H, W]`, 255 on the person; 255 everywhere where no mask is stored.
        label: int32 `[b]`.
        resolution: float32 `[b]`, r.
        erased: int32 `[b, 4]`, (top, left, height, width) of a rectangle that the extractor is not
          to see; there only if the augmentation erases.

    Raises:
      UserError: the batch size is no multiple of the processes, there are no records, too few
        identities for a batch, or a worker has been killed.
    """
    local = _local_batch_size(batch_size, process_count)
    if len(source) == 0:
        raise UserError("train: found no records, expected at least one")
    label_of = None if labels is None else dict(labels)
    assemble = TrainingBatch(image_size, augmentation, label_of, targets, resolution_scale)
    if images_per_identity:
        pids = [source[index].pid for index in range(len(source))]
        order = IdentityBatches(pids, batch_size, images_per_identity, seed)
        records = grain.MapDataset.range(sys.maxsize).seed(seed).map(_Ordered(source, order))
    else:
        records = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
    drawn = records.random_map(Draw(image_size, augmentation))[process_index::process_count]
    batches = drawn.batch(local, drop_remainder=True, batch_fn=assemble)[start_step:]
    return _batches(batches, affordable(workers, local, image_size))


def evaluation_batches(
    source: Source,
    *,
    image_size: tuple[int, int],
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Generator[Batch, None, None]:
    """All records once, in order, without augmentation; every process gets as many batches.

    Args:
      source: records of any split.
      image_size: (height, width) of the network's input.
      batch_size: images a step over all processes; a multiple of `process_count`.
      process_index: of this process; it has the records p, p + P, p + 2P ...
      process_count: processes that share the records.

    Returns:
      A generator of what `train_batches` yields, `label` being 0, `has_target` being 0 too where
      the image is its own original, with nothing to restore, and
        pid, camid, index: int32 `[b]`; `index` is the record's position in the source.
        valid: float32 `[b]`, 0 for what fills up the last batch: zeros, with index -1.

    Raises:
      UserError: the batch size is no multiple of the processes.
    """
    local = _local_batch_size(batch_size, process_count)
    padded = -(-len(source) // batch_size) * batch_size
    positions = grain.MapDataset.range(padded)[process_index::process_count]
    batches = positions.batch(local, batch_fn=EvaluationBatch(source, image_size))
    return _batches(batches, workers=0)


class LoadedImage(NamedTuple):
    """An image at the network's size, and its width in pixels before."""

    pixels: UInt8[np.ndarray, "H W 3"]
    native_width: int


def load_image(image: Any, image_size: tuple[int, int], index: int = 0) -> LoadedImage:
    """Brings any image to the network's size, by the same code as the batches.

    Args:
      image: a path, a PIL image, or a uint8 array `[H, W, 3]` of any size; or what this returned for one of them, which
        is taken as it is.
      image_size: (height, width) of the network's input.
      index: of the image among those that the user gave, for the error.

    Raises:
      UserError: the file is missing or no image; the PIL image is unreadable or has more than 8 bits a
        channel; the array has another shape or type; it is something else.
    """
    if isinstance(image, LoadedImage):
        assert image.pixels.shape[:2] == image_size
        return image
    if isinstance(image, str | os.PathLike):
        path = expanded(image, f"image {index}")
        try:
            picture = decode_image(Path(path).read_bytes(), path)
        except OSError as error:
            place = path or f"image {index}"
            raise UserError(f"{place}: {error.strerror}, expected a readable image") from error
    elif isinstance(image, Image.Image):
        picture = opened_image(image, f"image {index}")
    elif isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
            raise UserError(
                f"image {index}: found an array {list(image.shape)} of {image.dtype}, expected "
                "uint8 [H, W, 3]"
            )
        picture = Image.fromarray(image)
    else:
        unread = " (cv2.imread returns it for a file that it cannot read)" if image is None else ""
        raise UserError(
            f"image {index}: found {type(image).__name__}{unread}, expected a path, a PIL image or a uint8 array "
            "[H, W, 3]"
        )
    return LoadedImage(View(image_size)(picture), picture.width)


def _local_batch_size(batch_size: int, process_count: int) -> int:
    if batch_size % process_count:
        raise UserError(
            f"batch_size: found {batch_size}, expected a multiple of the {process_count} processes"
        )
    return batch_size // process_count


def _batches(batches: grain.MapDataset, workers: int) -> Generator[Batch, None, None]:
    """Iterates in threads or in worker processes, and ends them with the generator."""
    if workers:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain hands flags to its workers; notebooks parse none
        options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        dataset = batches.to_iter_dataset(options).mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=_READ_AHEAD),
            worker_init_fn=live_as_long_as_the_parent,
        )
    else:
        # A second thread would only fight the first for the interpreter's lock.
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_READ_AHEAD)
        dataset = batches.to_iter_dataset(options)

    def generate() -> Generator[Batch, None, None]:
        started: set[BaseProcess] = set()
        with contextlib.ExitStack() as opened, full_memory_is_named(workers):
            try:
                with starting_workers() if workers else contextlib.nullcontext():
                    iterator = iter(dataset)
                    opened.callback(iterator.close)
                    first = list(itertools.islice(iterator, 1))  # with which the processes begin
                for batch in itertools.chain(first, iterator):
                    if workers:  # they hand over shared memory, which must be free when they end
                        batch = {name: np.array(array) for name, array in batch.items()}
                        children = multiprocessing.active_children()
                        started |= {p for p in children if "grain" in p.name}
                        refuse_dead(process.exitcode for process in started)
                    yield batch
            except RuntimeError as error:
                # A killed process is why, or else it is another error.
                refuse_dead([process.exitcode for process in started], error)
                raise

    return generate()


@dataclass(frozen=True)
class _Ordered:
    """The record at a position of the training order."""

    source: Source
    order: IdentityBatches

    def __call__(self, position: int) -> Record:
        return self.source[self.order[position]]
