"""Who makes the records of a build: threads where images are read, processes where they are drawn."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from rireid_jax.data.dataset import Dataset, Item
from rireid_jax.data.records import Record
from rireid_jax.data.workers import live_as_long_as_the_parent, starting_workers
from rireid_jax.errors import UserError

Made = Record | UserError | None  # None: the image is of no use
Make = Callable[[Sequence[Item]], Iterable[Made]]

_WORTH_PROCESSES = 500  # images; as many are drawn in the time that processes need to begin
_AT_A_TIME = 8  # images that a process gets

_dataset: Dataset  # of a process that draws


@contextlib.contextmanager
def makers(dataset: Dataset, number: int, processes: int) -> Iterator[Make]:
    """Yields a function that makes records of images, in their order.

    Args:
      dataset: what makes one. Python draws one image at a time, whatever the number of threads.
      number: of images in all.
      processes: that draw images, where they are drawn and enough.

    Raises:
      UserError: a process that draws has been killed.
    """
    if dataset.draws and processes > 1 and number >= _WORTH_PROCESSES:
        context = multiprocessing.get_context("spawn")
        others = set(multiprocessing.active_children())
        with starting_workers():
            pool = ProcessPoolExecutor(processes, context, _begin, (dataset,))
            for _ in range(processes):
                pool.submit(int)  # which starts it
        own = set(multiprocessing.active_children()) - others
        try:
            yield partial(pool.map, _draw, chunksize=_AT_A_TIME)
        except BrokenProcessPool as error:
            for process in own:
                process.kill()  # the pool would wait for them: they ignore its SIGTERM
            raise UserError(
                "config.data.build_threads: a process that draws images was killed, expected all to live as long as "
                "the build; if memory ran out, take fewer"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
    elif dataset.threads > 1:
        with ThreadPoolExecutor(dataset.threads) as threads:
            yield partial(threads.map, partial(_make, dataset))
    else:
        yield partial(map, partial(_make, dataset))


def _begin(dataset: Dataset) -> None:
    global _dataset
    live_as_long_as_the_parent()
    _dataset = dataset


def _draw(item: Item) -> Made:
    return _make(_dataset, item)


def _make(dataset: Dataset, item: Item) -> Made:
    try:
        return dataset.make(item)
    except UserError as error:
        return error
