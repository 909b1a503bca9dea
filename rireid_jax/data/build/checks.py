"""What must hold of the images of a data set, before it is built and after images were left out."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rireid_jax.data.build.shards import Written
from rireid_jax.data.dataset import Dataset, Item, Splits
from rireid_jax.data.files import counted, has_more_frames
from rireid_jax.data.layouts.base import check_divided
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)

_HANDFUL = 5  # identities


@dataclass(frozen=True)
class Allowed:
    """What a build goes on with, though results are worth less.

    Attributes:
      unmatched_queries: queries without a gallery image of their identity by another camera, but not all of them.
      shared_identities: identities both in training and in test.
    """

    unmatched_queries: bool = False
    shared_identities: bool = False


NOTHING = Allowed()


def check_splits(dataset: Dataset, allowed: Allowed) -> None:
    """Checks the images that are listed, before any is read.

    Args:
      dataset: whose they are.
      allowed: what it may go on with.

    Raises:
      UserError: a name appears twice, there are fewer than two identities to train on, some are in training and in
        test, or queries are without a match.
    """
    check_names(dataset.items)
    if dataset.has_identities and not allowed.shared_identities:
        check_divided(
            (
                (split, item.pid, item.origin if isinstance(item.origin, Path) else Path(item.name))
                for split, items in dataset.items.items()
                for item in items
            ),
            "; --config.data.allow_shared_identities=True goes on all the same",
        )
    check_queries(dataset.items, allow_unmatched=allowed.unmatched_queries)
    check_training(dataset, dataset.items["train"])


def check_training(dataset: Dataset, items: Iterable[Item]) -> None:
    """There must be somebody to tell from somebody else.

    Raises:
      UserError: there are fewer than two identities to train on.
    """
    if not dataset.has_identities:
        return
    people = len(_people(dataset, items))
    if people < 2:
        raise UserError(
            f"train: found {counted(people, 'identity')}, expected at least 2, as nothing can be learned from one"
        )


def summary(dataset: Dataset) -> str:
    """How many images, identities and cameras every split has, in a line."""
    parts = []
    for split, items in dataset.items.items():
        text = f"{split} {counted(len(items), 'image')}"
        if dataset.has_identities:
            nobody = sum(item.pid == dataset.distractor for item in items)
            people = [item for item in items if item.pid != dataset.distractor]
            text = f"{split} {counted(len(people), 'image')} of {counted(len(_people(dataset, items)), 'identity')}"
            if dataset.has_cameras:
                text += f" by {counted(len({item.camid for item in people}), 'camera')}"
            text += f" and {nobody:,} of distractors" if nobody else ""
        parts.append(text)
    return ", ".join(parts)


def remarks(dataset: Dataset) -> Iterator[str]:
    """What is odd about the images that are listed, though they can be built: a line each.

    Args:
      dataset: whose they are; `check_splits` has passed them.
    """
    splits = dataset.items
    every = [item for items in splits.values() for item in items]
    files = {item.origin for item in every if isinstance(item.origin, Path)}
    if several := sum(dataset.in_threads(has_more_frames, files)):
        yield f"{counted(several, 'image file')} with more than one frame or page: the first one is taken"
    if not dataset.has_identities:
        return
    people = len(_people(dataset, every))
    cameras = len({item.camid for item in every})
    if people < _HANDFUL:
        yield (
            f"only {counted(people, 'identity')} to train and to test on, too few to learn or to tell anything; is "
            "every identity a folder or number of its own?"
        )
    if len({item.pid for item in splits.get("gallery", ())}) == 1:
        yield "the gallery shows a single identity, so that every answer is right, whoever gives it"
    names = {item.name for item in every}
    raw = dataset.raw_images()
    if unused := [image for image in raw if image.name not in names]:
        of = len({image.pid for image in unused} - {dataset.distractor})
        yield (
            f"{len(unused):,} of {counted(len(raw), 'image')} are in no split ({counted(of, 'identity')} among them), "
            "by the recipe"
        )
    if dataset.has_cameras and cameras > people:
        yield f"{counted(cameras, 'camera')} for {counted(people, 'identity')}: are they really cameras?"
    tested = [*splits.get("query", ()), *splits.get("gallery", ())]
    if shared := len(_people(dataset, splits["train"]) & _people(dataset, tested)):
        yield (
            f"{counted(shared, 'identity')} both in training and in test: results are better than they should be"
        )
    if lost := unmatched_queries(splits):
        yield f"{_of_lost(lost, splits)}, so they do not count"


def _people(dataset: Dataset, items: Iterable[Item]) -> set[int]:
    return {item.pid for item in items} - {dataset.distractor}


def check_names(splits: Splits) -> None:
    """Every record needs a name of its own.

    Raises:
      UserError: one appears twice.
    """
    seen: dict[str, str] = {}
    for split, items in splits.items():
        for item in items:
            if item.name in seen:
                raise UserError(
                    f"{item.name}: found twice, in {seen[item.name]} and in {split}, expected "
                    "every image once"
                )
            seen[item.name] = split


def check_queries(splits: Splits, *, allow_unmatched: bool = False) -> None:
    """Every query needs a gallery image of its identity from another camera to be found.

    Args:
      splits: all of them.
      allow_unmatched: whether some, but not all, may have none.

    Raises:
      UserError: some have none, or all.
    """
    lost = unmatched_queries(splits)
    if lost and not (allow_unmatched and len(lost) < len(splits["query"])):
        hint = "--config.data.allow_unmatched_queries=True goes on without counting them"
        every = len(lost) == len(splits["query"])
        raise UserError(
            f"query: {_of_lost(lost, splits)}, so it could never be matched"
            f"{', expected some that could' if every else f'; {hint}'}"
        )


def unmatched_queries(splits: Splits) -> list[Item]:
    """The queries that could never be matched: no gallery image shows their identity by another camera."""
    if "query" not in splits:
        return []
    cameras: dict[int, set[int]] = {}
    for item in splits["gallery"]:
        cameras.setdefault(item.pid, set()).add(item.camid)
    return [item for item in splits["query"] if not cameras.get(item.pid, set()) - {item.camid}]


def _of_lost(lost: list[Item], splits: Splits) -> str:
    first = min(lost, key=lambda item: item.name)
    identities, every = ({item.pid for item in items} for items in (lost, splits["query"]))
    return (
        f"{len(identities)} of {len(every)} identities have an image without any gallery image from another "
        f"camera ({len(lost):,} of {counted(len(splits['query']), 'image')}, first {first.name} of identity "
        f"{first.pid} by camera {first.camid})"
    )


class LeftOut:
    """Counts the images that did not become records, or not as expected."""

    def __init__(self, dataset: str, max_bad_images: int):
        self._dataset, self._max_bad_images = dataset, max_bad_images
        self._bad = self._passed_over = self._num_odd = 0
        self._odd_size = ""

    @property
    def any(self) -> bool:
        return self._bad + self._passed_over > 0

    def add(self, written: Written) -> None:
        """Raises UserError as soon as there are too many bad images."""
        self._passed_over += written.passed_over
        self._num_odd += written.num_odd
        self._odd_size = self._odd_size or written.odd_size
        for message in written.bad:
            self._bad += 1
            if self._bad > self._max_bad_images:
                raise UserError(
                    f"{message} (bad image {self._bad}; config.data.max_bad_images allows "
                    f"{self._max_bad_images})"
                )
            logger.warning("left out: %s", message)

    def tell(self, expected_size: tuple[int, int] | None) -> None:
        """Warns of what is no error."""
        if self._passed_over:
            logger.warning(
                "%s: %d images passed over as too small", self._dataset, self._passed_over
            )
        if expected_size and self._num_odd:
            logger.warning(
                "%s: expected %dx%d pixels, found %d images of another size, first %s; is this the "
                "original download?",
                *(self._dataset, *expected_size, self._num_odd, self._odd_size),
            )
