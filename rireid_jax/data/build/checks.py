"""What must hold of the images of a data set, before it is built and after images were left out."""

import logging

from rireid_jax.data.build.shards import Written
from rireid_jax.data.dataset import Splits
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)


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


def check_queries(splits: Splits) -> None:
    """Every query needs a gallery image of its identity from another camera to be found.

    Raises:
      UserError: some have none.
    """
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
