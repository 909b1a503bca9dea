"""What the builders of benchmarks share: a reader of the download, its published counts, its splits."""

import functools
import hashlib
import logging
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from rireid_jax.config import DATASETS
from rireid_jax.data.builders.base import RecordBuilder, keyed_order
from rireid_jax.data.builders.split_file import read_split_file
from rireid_jax.data.raw.base import RawDataset, RawImage, existing_path
from rireid_jax.errors import UserError

logger = logging.getLogger(__name__)


class BenchmarkBuilder(RecordBuilder):
    """A builder that reads its images from a download."""

    raw_class: ClassVar[type[RawDataset]]

    @functools.cached_property
    def raw(self) -> RawDataset:
        """The reader of ``config.data.raw_dir``."""
        path = existing_path(self.raw_dir, DATASETS[self.name].raw)
        return self.raw_class(path, self.recipe)

    @functools.cached_property
    def images(self) -> list[RawImage]:
        """All images of the download."""
        return self.raw.images()

    def sources(self) -> Sequence[Path]:
        return self.raw.sources()

    def prepare(self) -> None:
        raw = self.raw
        try:
            for problem in raw.mismatches(self.images):
                logger.warning(
                    "%s: %s; results on a part of it are not comparable with published ones",
                    *(self.name, problem),
                )
            self.expected_size = raw.size
            super().prepare()
        finally:
            raw.close()

    def greatest_width(self) -> int:
        """Of all images of the download, in pixels."""
        with ThreadPoolExecutor(self.threads) as pool:
            return max(pool.map(self.raw.width, (image.origin for image in self.images)))


class DividedBuilder(BenchmarkBuilder):
    """A benchmark whose identities are divided, at random or by a list, into training and test.

    The recipe has `split_source` ("random", "official", or a JSON file), `split`, `train_identities` and
    `seed`.
    """

    def hashed_recipe(self) -> dict[str, Any]:
        source = self.recipe["split_source"]
        if source in ("random", "official"):
            return self.recipe
        try:  # what is in the file counts, not where it lies
            content = Path(os.path.expanduser(source)).read_bytes()
        except OSError as error:
            raise UserError(
                f"config.data.recipe.split_source: found {source!r} ({error.strerror}), expected "
                "'random', 'official', or a JSON file"
            ) from error
        return self.recipe | {"split_source": hashlib.sha256(content).hexdigest()[:16]}

    def listed_splits(self) -> Sequence[Collection[int]] | None:
        """Test identities of every split that the source lists; None where splits are drawn at random.

        Raises:
          UserError: the source cannot be read.
        """
        source = self.recipe["split_source"]
        if source == "random":
            return None
        if source == "official":
            return self.raw.official_splits()
        return read_split_file(Path(os.path.expanduser(source)), self.images)

    def test_identities(self, identities: Collection[int]) -> set[int]:
        """Those out of the given identities that this split tests on.

        Raises:
          UserError: the source has no such split, or it leaves nobody to test or to train on.
        """
        recipe = self.recipe
        split, source = recipe["split"], recipe["split_source"]
        splits = self.listed_splits()
        if splits is None:
            count = recipe["train_identities"]
            if count >= len(identities):
                raise UserError(
                    f"config.data.recipe.train_identities: found {count}, expected less than the "
                    f"{len(identities)} identities in {self.raw_dir}"
                )
            names = keyed_order(recipe["seed"], f"split{split}", map(str, identities))
            return {int(name) for name in names[count:]}
        place = self.raw_dir if source == "official" else source
        if split >= len(splits):
            raise UserError(
                f"config.data.splits: found {split}, expected less than {len(splits)}, the number "
                f"of splits in {place}"
            )
        test = set(splits[split]) & set(identities)
        if not test or len(test) == len(identities):
            raise UserError(
                f"config.data.recipe.split_source: split {split} of {place} tests on {len(test)} "
                f"of {len(identities)} identities, expected some to test and some to train on"
            )
        return test
